"""Tables in files and in memory against a dictionary: random content, changes, long texts, writers at work."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.config.index_files import OLD_SUFFIX
from posthouse.tables import cdb, lmdb
from posthouse.tables.open import Opener
from posthouse.tables.table import LocalTable, TableFlags, WritableTable, fold_key
from posthouse.util.errors import TableError
from tests.support.bdb import HAS_POSTMAP, postmap
from tests.support.lookups import logged, opener

Fill = Callable[[Path, dict[str, str]], str]  # makes a table with some content, gives its name
REPOSITORY = Path(__file__).resolve().parents[3]


def _source(directory: Path, contents: dict[str, str]) -> Path:
    path = directory / "map"
    path.write_bytes("".join(f"{key} {value}\n" for key, value in contents.items()).encode("utf-8", "surrogateescape"))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def _texthash(directory: Path, contents: dict[str, str]) -> str:
    _source(directory, contents)
    return "texthash:map"


def _indexed(kind: str, *, nul: bool) -> Fill:
    def fill(directory: Path, contents: dict[str, str]) -> str:
        module = cdb if kind == "cdb" else lmdb
        module.write_all(str(directory / f"map{module.SUFFIX}"), contents, nul=nul)
        return f"{kind}:map"

    return fill


def _old(kind: str) -> Fill:
    def fill(directory: Path, contents: dict[str, str]) -> str:
        if not HAS_POSTMAP:
            pytest.skip("Debian's postfix is not installed")
        _source(directory, contents)
        done = postmap(directory, "-u", "-f", f"{kind}:map")
        assert (done.returncode, done.stderr) == (0, "")
        return f"{kind}:map"

    return fill


def _inline(_: Path, contents: dict[str, str]) -> str:
    return "inline:{" + ", ".join(f"{{{key} = {value}}}" for key, value in contents.items()) + "}"


FILLED: dict[str, Fill] = {
    "texthash": _texthash,
    "lmdb": _indexed("lmdb", nul=True),
    "lmdb without NUL": _indexed("lmdb", nul=False),
    "hash in lmdb": _indexed("hash", nul=True),
    "hash in .db": _old("hash"),
    "btree in .db": _old("btree"),
    "cdb": _indexed("cdb", nul=False),
    "cdb with NUL": _indexed("cdb", nul=True),
    "inline": _inline,
}
FILES = [name for name in FILLED if name != "inline"]
# What stands in a source text as one word, folded already
KEYS = st.text("abcdefgxyz0123456789@.-_+äöß漢", min_size=1, max_size=40).map(str.casefold)
VALUES = st.text("abcXYZ 0123@.:/äÖ漢", min_size=1, max_size=60).map(str.strip).filter(bool)


@contextmanager
def _opened(directory: Path, spec: str, flags: TableFlags | None = None) -> Iterator[LocalTable]:
    tables = opener(str(directory))
    table = tables.open(spec, flags or TableFlags())
    assert isinstance(table, LocalTable)
    try:
        yield table
    finally:
        tables.close()


@pytest.fixture(params=FILLED, ids=str)
def fill(request: pytest.FixtureRequest) -> Fill:
    """Make a table of one type."""
    return FILLED[request.param]


@pytest.fixture(params=FILES, ids=str)
def fill_file(request: pytest.FixtureRequest) -> Fill:
    """Make a table of one type, in a file."""
    return FILLED[request.param]


@pytest.mark.parametrize("name", FILLED)
@settings(max_examples=10, deadline=None)
@given(contents=st.dictionaries(KEYS, VALUES, min_size=1, max_size=50), others=st.lists(KEYS, max_size=10))
def test_it_is_a_dictionary(
    name: str, contents: dict[str, str], others: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every key in any case, no other, and the list of all entries."""
    directory = tmp_path_factory.mktemp("table")
    with logged(), _opened(directory, FILLED[name](directory, contents)) as table:
        assert {key: table.get(key) for key in contents} == contents
        assert {key: table.get(key.upper()) for key in contents if key.isascii()} == {
            key: value for key, value in contents.items() if key.isascii()
        }
        assert {key: table.get(key) for key in others} == {key: contents.get(key) for key in others}
        assert dict(table.items()) == contents
        assert len(list(table.items())) == len(contents)


def test_keys_that_nothing_has(fill: Fill, tmp_path: Path) -> None:
    """Empty, longer than any format allows, with NUL in it or at its end, malformed, and parts of keys."""
    with logged(), _opened(tmp_path, fill(tmp_path, {"alpha": "one", "b": "two"})) as table:
        strange = ["", "a" * 100_000, "alpha\0", "al\0pha", "\0", "alpha\udcff", "alph", "alphaa", "*", "@"]
        assert [table.get(key) for key in strange] == [None] * len(strange)
        assert table.get("alpha") == "one"


def test_long_keys_and_values(fill_file: Fill, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Keys of what lmdb can hold (510 octets) and values of 100 kB; longer keys where the format has no such limit."""
    contents = {"k" * 510: "v" * 100_000, "short": "x" * 5000}
    if "lmdb" not in request.node.callspec.id:
        contents["l" * 20_000] = "long key"
    with logged(), _opened(tmp_path, fill_file(tmp_path, contents)) as table:
        assert dict(table.items()) == contents
        assert {key: table.get(key) for key in contents} == contents


def test_without_folding_keys_are_as_they_are_written(fill_file: Fill, tmp_path: Path) -> None:
    """TableFlags(fold=False), as postmap -f makes and asks."""
    with _opened(tmp_path, fill_file(tmp_path, {"Alpha": "one"}), TableFlags(fold=False)) as table:
        assert (table.get("Alpha"), table.get("alpha"), table.get("ALPHA")) == ("one", None, None)


def test_values_that_are_not_utf8(fill_file: Fill, tmp_path: Path) -> None:
    """They are a temporary error where UTF-8 is asked for, and go through as they are where it is not."""
    spec = fill_file(tmp_path, {"alpha": "caf\udce9", "b": "ok"})
    with logged() as lines, _opened(tmp_path, spec) as table:
        with pytest.raises(TableError, match="non-UTF-8 value"):
            table.get("alpha")
        assert table.get("b") == "ok"
    assert any("malformed UTF-8" in line for line in lines)
    with logged(), _opened(tmp_path, spec, TableFlags(utf8=False)) as table:
        assert table.get("ALPHA") == "caf\udce9"


def test_a_file_renamed_into_its_place(fill_file: Fill, tmp_path: Path) -> None:
    """The next look finds it, and the generation tells."""
    with logged(), _opened(tmp_path, fill_file(tmp_path, {"a": "1", "gone": "x"})) as table:
        other = tmp_path / "other"
        other.mkdir()
        fill_file(other, {"a": "2", "new": "y"})
        for path in other.iterdir():
            if path.name != "main.cf" and (path.suffix or not list(tmp_path.glob("map.*"))):
                path.rename(tmp_path / path.name)
        before = table.generation
        table.poll()
        assert [table.get(key) for key in ("a", "new", "gone")] == ["2", "y", None]
        assert table.generation > before


@settings(max_examples=6, deadline=None)
@given(
    contents=st.dictionaries(KEYS, VALUES, min_size=1, max_size=20),
    changes=st.lists(st.tuples(KEYS, st.none() | VALUES), max_size=6),
)
@pytest.mark.parametrize("name", ["lmdb", "lmdb without NUL", "hash in .db", "btree in .db", "internal"])
def test_changes_one_by_one(
    name: str,
    contents: dict[str, str],
    changes: list[tuple[str, str | None]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Storing and deleting, against a dictionary; delete tells whether the key was there."""
    directory = tmp_path_factory.mktemp("table")
    spec = "internal:x" if name == "internal" else FILLED[name](directory, contents)
    with logged(), _opened(directory, spec) as table:
        assert isinstance(table, WritableTable)
        expected = {} if name == "internal" else dict(contents)
        for key, value in changes:
            if value is None:
                assert table.delete(key.upper()) == (expected.pop(fold_key(key.upper(), utf8=True), None) is not None)
            else:
                table.put(key, value)
                expected[key] = value
        assert dict(table.items()) == expected
        assert {key: table.get(key) for key in expected} == expected


_WRITER = """
import sys
from posthouse.tables import cdb, lmdb
kind, path, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
module = cdb if kind == "cdb" else lmdb
for turn in range(rounds):
    module.write_all(path, {f"key{number}": f"{turn}" for number in range(400)})
"""


@pytest.mark.parametrize("kind", ["lmdb", "cdb"])
def test_a_reader_beside_a_writer_sees_whole_tables(kind: str, tmp_path: Path) -> None:
    """Another process makes the table anew again and again: every key is always there, and values never go back."""
    path = str(tmp_path / f"map.{kind}")
    (cdb if kind == "cdb" else lmdb).write_all(path, {f"key{number}": "0" for number in range(400)})
    generator, newest = random.Random(1), 0
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, kind, path, "40"], cwd=REPOSITORY)
    try:
        with _opened(tmp_path, f"{kind}:map") as table:
            while writer.poll() is None:
                for _ in range(50):
                    value = table.get(f"key{generator.randrange(400)}")
                    assert value is not None
                    assert int(value) >= newest
                    newest = int(value)
                table.poll()
            table.poll()
            assert table.get("key7") == "39"
    finally:
        writer.kill()
        writer.wait()
    assert newest > 0


@pytest.mark.skipif(not HAS_POSTMAP, reason="Debian's postfix is not installed")
@pytest.mark.parametrize("kind", ["hash", "btree"])
def test_a_reader_beside_postmap_sees_whole_tables(kind: str, tmp_path: Path) -> None:
    """Postfix's postmap writes in place, under its lock: what is read is the old table or the new one."""
    keys = [f"key{number}" for number in range(400)]
    _source(tmp_path, dict.fromkeys(keys, "0"))
    postmap(tmp_path, f"{kind}:map")
    with logged(), _opened(tmp_path, f"{kind}:map") as table:
        for turn in range(1, 6):
            _source(tmp_path, dict.fromkeys(keys, str(turn)))
            assert postmap(tmp_path, f"{kind}:map").returncode == 0
            for _ in range(2):
                table.poll()
                assert len({table.get(key) for key in keys}) == 1
            assert table.get("key3") == str(turn)
    assert (tmp_path / f"map{OLD_SUFFIX}").exists()


@pytest.mark.parametrize("kind", ["lmdb", "hash", "btree", "cdb"])
def test_a_table_of_one_opener_ends_with_it(kind: str, tmp_path: Path) -> None:
    """close() lets go of descriptors, also of tables that were replaced meanwhile."""
    module = cdb if kind == "cdb" else lmdb
    before = os.listdir("/proc/self/fd")
    for turn in range(20):
        module.write_all(str(tmp_path / f"map{module.SUFFIX}"), {"a": str(turn)})
        tables: Opener = opener(str(tmp_path))
        table = tables.open(f"{kind}:map")
        fresh = tmp_path / "fresh"
        module.write_all(str(fresh), {"a": "new"})
        fresh.rename(tmp_path / f"map{module.SUFFIX}")
        table.poll()
        tables.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("kind", ["dbm", "sdbm", "nis", "nisplus", "netinfo"])
def test_types_that_never_come_name_what_to_use(kind: str) -> None:
    """They are types of Postfix, and there is something better."""
    with pytest.raises(Exception, match=f"unsupported dictionary type: {kind}; .* use .*(lmdb|ldap):"):
        opener().open(f"{kind}:/etc/map")
