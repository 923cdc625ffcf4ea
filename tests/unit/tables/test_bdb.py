"""Files of Berkeley DB: what Debian's tools write is read, damage is damage, and an lmdb file takes over."""

import fcntl
import os
import random
from pathlib import Path

import pytest

from posthouse.tables import bdb, lmdb
from posthouse.tables.bdb import Bdb, read_bdb
from posthouse.tables.bdb_btree import BtreeFile
from posthouse.tables.bdb_hash import HashFile
from posthouse.tables.bdb_pages import Pages
from posthouse.tables.index_file import BusyError, DamagedError, IndexFile
from posthouse.util.errors import ConfigError, TableError
from tests.support.bdb import HAS_DB_LOAD, HAS_POSTMAP, db_load, postmap, source
from tests.support.lookups import logged, opener

needs_postmap = pytest.mark.skipif(not HAS_POSTMAP, reason="Debian's postfix is not installed")
needs_load = pytest.mark.skipif(not HAS_DB_LOAD, reason="Debian's db5.3-util is not installed")
KINDS = ("hash", "btree")
# Keys and values beyond a page, beyond many pages, and enough of the others for many buckets and three levels.
CONTENTS = {
    **{f"user{number}@example.com": f"value {number}" for number in range(3000)},
    **{f"{'k' * length}{length}": f"{'v' * length} {length}" for length in (500, 1020, 1030, 2000, 4090, 9000, 40_000)},
    "ünï@exämple.org": "drei",
}


def _open(directory: Path, spec: str) -> Bdb:
    table = opener(str(directory)).open(spec)
    assert isinstance(table, Bdb)
    return table


def _parsed(data: bytes) -> IndexFile:
    pages = Pages(data)
    return HashFile(pages) if pages.magic == 0x061561 else BtreeFile(pages)


@needs_postmap
@pytest.mark.parametrize("kind", KINDS)
def test_what_postmap_wrote_is_read(kind: str, tmp_path: Path) -> None:
    """Every key, every value, and no other."""
    source(tmp_path, "map", CONTENTS)
    assert postmap(tmp_path, f"{kind}:map").returncode == 0
    with logged() as lines:
        table = _open(tmp_path, f"{kind}:map")
    assert lines == []  # the start has told it once for all daemons (commands/postfix/indexes.py)
    assert dict(table.items()) == CONTENTS
    assert {key: table.get(key.upper()) for key in CONTENTS} == CONTENTS
    assert [table.get(key) for key in ("user3000@example.com", "", "user", "k" * 3000, "alpha\0")] == [None] * 5
    assert "".join(f"{key}\t{value}\n" for key, value in table.items()) == postmap(tmp_path, "-s", f"{kind}:map").stdout


@needs_postmap
@pytest.mark.parametrize("kind", KINDS)
def test_entries_added_and_deleted_one_by_one(kind: str, tmp_path: Path) -> None:
    """Pages that were split and emptied again."""
    source(tmp_path, "map", CONTENTS)
    postmap(tmp_path, f"{kind}:map")
    gone = [f"user{number}@example.com" for number in range(0, 3000, 3)]
    added = {f"new{number}": "x" * (number % 90 + 1) for number in range(2000)}
    postmap(tmp_path, "-d", "-", f"{kind}:map", text="".join(f"{key}\n" for key in gone))
    postmap(tmp_path, "-i", f"{kind}:map", text="".join(f"{key} {value}\n" for key, value in added.items()))
    table = _open(tmp_path, f"{kind}:map")
    wanted = {**{key: value for key, value in CONTENTS.items() if key not in gone}, **added}
    assert dict(table.items()) == wanted
    assert {key: table.get(key) for key in wanted} == wanted
    assert not any(table.get(key) for key in gone)


@needs_load
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [1234, 4321])
@pytest.mark.parametrize("size", [512, 4096, 65536])
def test_both_byte_orders_and_all_page_sizes(kind: str, order: int, size: int, tmp_path: Path) -> None:
    """A file may come from another machine. postmap -n writes without NUL, as here."""
    contents = {key: value for key, value in CONTENTS.items() if key.isascii()}
    db_load(tmp_path / "map.db", kind, contents, f"db_lorder={order}", f"db_pagesize={size}")
    table = _open(tmp_path, f"{kind}:map")
    assert dict(table.items()) == contents
    assert {key: table.get(key) for key in contents} == contents
    assert table.get("other") is None


@needs_load
def test_checksums_and_other_formats_are_refused_by_name(tmp_path: Path) -> None:
    """No mail system writes them."""
    db_load(tmp_path / "sum.db", "hash", {"a": "1"}, "chksum=1")
    with pytest.raises(ConfigError, match="checksummed"):
        _open(tmp_path, "hash:sum")
    db_load(tmp_path / "list.db", "recno", {"1": "a"})
    with pytest.raises((ConfigError, TableError)):
        list(_open(tmp_path, "hash:list").items())
    (tmp_path / "text.db").write_text("no database\n" * 1000)
    with pytest.raises(ConfigError, match="not a Berkeley DB hash or btree file"):
        _open(tmp_path, "hash:text")
    (tmp_path / "none.db").write_bytes(b"")
    with pytest.raises(ConfigError, match="0 bytes"):
        _open(tmp_path, "btree:none")


@needs_postmap
@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_and_cut_ends_are_damage_and_nothing_else(kind: str, tmp_path: Path) -> None:
    """Every lookup and listing ends, with a value, nothing, or DamagedError."""
    some = {key: value for place, (key, value) in enumerate(CONTENTS.items()) if place % 12 == 0 or len(value) > 3000}
    source(tmp_path, "map", some)
    postmap(tmp_path, f"{kind}:map")
    whole, generator, damaged = (tmp_path / "map.db").read_bytes(), random.Random(7), 0
    for _ in range(400):
        data = bytearray(whole)
        if generator.random() < 0.2:
            del data[generator.randrange(len(data)) :]
        for _ in range(generator.randrange(1, 30)):
            # Most hits go where the numbers are: the first page, and the heads of the others.
            at = generator.choice((0, generator.randrange(len(whole)) & ~4095)) + generator.randrange(120)
            if at < len(data):
                data[at] ^= 1 << generator.randrange(8)
        try:
            file = _parsed(bytes(data))
            for key in list(some)[::20]:
                file.get(key.encode() + b"\0")
            list(file.items())
        except DamagedError:
            damaged += 1
    assert 100 < damaged < 400


@needs_postmap
def test_a_chain_that_bites_its_tail_ends(tmp_path: Path) -> None:
    """Pages that follow one another in a circle."""
    source(tmp_path, "map", CONTENTS)
    postmap(tmp_path, "hash:map")
    data = bytearray((tmp_path / "map.db").read_bytes())
    pages = Pages(bytes(data))
    for number in range(1, pages.count):
        if pages.numbers("II", number * 4096 + 8)[0] == number:
            data[number * 4096 + 16 : number * 4096 + 20] = number.to_bytes(4, "little")
    (tmp_path / "map.db").write_bytes(data)
    with pytest.raises(TableError, match="has no end"):
        _open(tmp_path, "hash:map").get("not there")


@needs_postmap
def test_a_table_made_anew_in_place_is_read_anew(tmp_path: Path) -> None:
    """Postfix's postmap writes into the same file."""
    source(tmp_path, "map", {"a": "1"})
    postmap(tmp_path, "hash:map")
    table = _open(tmp_path, "hash:map")
    assert table.get("a") == "1"
    source(tmp_path, "map", {"a": "2", "b": "3"})
    postmap(tmp_path, "hash:map")
    table.poll()  # first sight of the change
    table.poll()  # it stands still
    assert (table.get("a"), table.get("b"), table.generation) == ("2", "3", 1)


@needs_postmap
def test_a_file_that_is_being_written_to_is_left_alone(tmp_path: Path) -> None:
    """The old content answers until the writer has let go."""
    source(tmp_path, "map", {"a": "1"})
    postmap(tmp_path, "hash:map")
    table = _open(tmp_path, "hash:map")
    source(tmp_path, "map", {"a": "2"})
    postmap(tmp_path, "hash:map")
    with open(tmp_path / "map.db", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BusyError):
            read_bdb(str(tmp_path / "map.db"), wait=False)
        for _ in range(3):
            table.poll()
        assert table.get("a") == "1"
    table.poll()
    assert table.get("a") == "2"


@needs_postmap
@pytest.mark.parametrize("kind", KINDS)
def test_an_lmdb_file_takes_over_when_it_comes(kind: str, tmp_path: Path) -> None:
    """The next postmap writes one; nobody has to reload."""
    source(tmp_path, "map", {"a": "1"})
    postmap(tmp_path, f"{kind}:map")
    table = _open(tmp_path, f"{kind}:map")
    before = table.generation
    lmdb.write_all(str(tmp_path / "map.lmdb"), {"a": "2"})
    table.poll()
    assert (table.get("a"), list(table.items())) == ("2", [("a", "2")])
    assert table.generation > before
    before = table.generation
    lmdb.write_all(str(tmp_path / "map.lmdb"), {"a": "3"})
    table.poll()
    assert table.get("a") == "3"
    assert table.generation > before


@needs_postmap
def test_with_both_files_lmdb_counts(tmp_path: Path) -> None:
    """A .db file that is newer is remarked on: somebody still runs Postfix's postmap."""
    source(tmp_path, "map", {"a": "1"})
    postmap(tmp_path, "hash:map")
    lmdb.write_all(str(tmp_path / "map.lmdb"), {"a": "2"})
    os.utime(tmp_path / "map.lmdb", (1_000_000_001, 1_000_000_001))
    with logged() as lines:
        assert opener(str(tmp_path)).open("hash:map").name == "hash:map"
    assert "is newer" in lines[0]
    os.utime(tmp_path / "map.db", (1_000_000_000, 1_000_000_000))
    with logged() as lines:
        opener(str(tmp_path)).open("hash:map")
    assert lines == []


@needs_postmap
def test_a_change_to_one_entry_makes_the_lmdb_file(tmp_path: Path) -> None:
    """Nothing is ever written to a .db file."""
    source(tmp_path, "map", {"a": "1", "b": "2"})
    postmap(tmp_path, "hash:map")
    (tmp_path / "map.db").chmod(0o640)
    before = (tmp_path / "map.db").read_bytes()
    table = _open(tmp_path, "hash:map")
    assert not table.delete("c")
    assert not (tmp_path / "map.lmdb").exists()
    assert table.delete("a")
    table.put("C", "3")
    assert dict(table.items()) == {"b": "2", "c": "3"}
    assert (tmp_path / "map.db").read_bytes() == before
    assert (tmp_path / "map.lmdb").stat().st_mode & 0o777 == 0o640


def _first_page(**changes: int) -> bytes:
    """The first page of a hash file of one page of 512 octets."""
    numbers = {"magic": 0x061561, "version": 9, "size": 512, **changes}
    data = bytearray(1024)
    for name, at in (("magic", 12), ("version", 16), ("size", 20)):
        data[at : at + 4] = numbers[name].to_bytes(4, "little")
    data[24], data[26] = changes.get("encryption", 0), changes.get("flags", 0)
    data[92:96] = changes.get("check", 0x5E688DD1).to_bytes(4, "little")
    data[72:76] = changes.get("last", 0).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"magic": 0x042253}, "a Berkeley DB queue"),
        ({"magic": 1}, "not a Berkeley DB hash or btree file"),
        ({"version": 6}, "format version 6 is not read here"),
        ({"version": 11}, "format version 11 is not read here"),
        ({"size": 513}, "page size 513"),
        ({"encryption": 1}, "encrypted"),
        ({"flags": 1}, "checksummed"),
        ({"check": 7}, "a hash function of its own"),
        ({"last": 2}, "2 pages cannot hold 3 buckets"),
    ],
)
def test_the_first_page_tells_what_is_wrong(changes: dict[str, int], problem: str) -> None:
    """Each number in it is looked at before anything is read by it."""
    with pytest.raises(DamagedError, match=problem):
        _parsed(_first_page(**changes))


def test_an_empty_bucket_that_was_never_written_to() -> None:
    """Pages are set aside in groups; a zero page is an empty one."""
    file = _parsed(_first_page())
    assert isinstance(file, HashFile)
    with pytest.raises(DamagedError, match="there is no page 0"):
        file.get(b"a")
    data = bytearray(_first_page())
    data[96] = 1  # the first bucket is on page 1
    assert (_parsed(bytes(data)).get(b"a"), list(_parsed(bytes(data)).items())) == (None, [])


@needs_postmap
def test_buckets_that_share_their_pages_are_damage(tmp_path: Path) -> None:
    """Listing a file costs no more than its pages, whatever it says."""
    source(tmp_path, "map", CONTENTS)
    postmap(tmp_path, "hash:map")
    data = bytearray((tmp_path / "map.db").read_bytes())
    spare = data[96:100]
    for place in range(100, 120, 4):  # the buckets of each doubling begin on other pages
        data[place : place + 4] = spare
    for number in range(1, len(data) // 4096):
        data[number * 4096 + 16 : number * 4096 + 20] = (number + 1 if number < 60 else 0).to_bytes(4, "little")
        data[number * 4096 + 8 : number * 4096 + 12] = number.to_bytes(4, "little")
        data[number * 4096 + 25] = 13
        data[number * 4096 + 20 : number * 4096 + 22] = bytes(2)
    with pytest.raises(DamagedError, match="in the chains of several buckets"):
        list(_parsed(bytes(data)).items())


@needs_postmap
def test_a_file_that_is_too_large_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be in the memory of every daemon."""
    source(tmp_path, "map", {"a": "1"})
    postmap(tmp_path, "hash:map")
    monkeypatch.setattr(bdb, "MAX_SIZE", 4096)
    with pytest.raises(ConfigError, match=r"bytes are too many .*; run: postmap hash:map"):
        _open(tmp_path, "hash:map")
