"""cdb tables: the file format, damaged files, and files that are replaced."""

import os
import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.tables import cdb
from posthouse.tables.cdb import Cdb, CdbFile
from posthouse.tables.index_file import DamagedError
from posthouse.util.errors import ConfigError, TableError
from tests.support.lookups import logged, opener


def _open(directory: Path) -> Cdb:
    table = opener(str(directory)).open("cdb:map")
    assert isinstance(table, Cdb)
    return table


def test_the_hash_is_the_published_one() -> None:
    """Start 5381, times 33, exclusive or."""
    assert cdb.cdb_hash(b"") == 5381
    assert cdb.cdb_hash(b"one") == ((((5381 * 33) ^ 0x6F) * 33 ^ 0x6E) * 33 ^ 0x65) & 0xFFFFFFFF


@given(st.dictionaries(st.text(max_size=300), st.text(max_size=2000), max_size=60))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, contents: dict[str, str]) -> None:
    """Any text as key and value, in the order of writing."""
    path = str(tmp_path_factory.mktemp("cdb") / "map.cdb")
    clean = {
        key.encode("utf-8", "surrogatepass").decode("utf-8", "replace"): value.encode("utf-8", "replace").decode()
        for key, value in contents.items()
    }
    cdb.write_all(path, clean)
    file = CdbFile(path)
    try:
        assert [(key.decode(), value.decode()) for key, value in file.items()] == list(clean.items())
        for key, value in clean.items():
            assert file.get(key.encode()) == value.encode()
        assert file.get(b"\xff not there") is None
    finally:
        file.close()


def test_keys_without_final_nul_and_with_it(tmp_path: Path) -> None:
    """Both are read; the key's own NUL never counts as the final one."""
    for nul in (False, True):
        cdb.write_all(str(tmp_path / "map.cdb"), {"a": "1"}, nul=nul)
        table = _open(tmp_path)
        assert (table.get("A"), table.get("a\0"), list(table.items())) == ("1", None, [("a", "1")])


def test_a_full_hash_table_is_searched_around_its_end(tmp_path: Path) -> None:
    """Twenty thousand keys: slots collide and wrap around."""
    contents = {f"key{number}": str(number) for number in range(20_000)}
    cdb.write_all(str(tmp_path / "map.cdb"), contents)
    table = _open(tmp_path)
    assert all(table.get(key) == value for key, value in contents.items())
    assert all(table.get(f"other{number}") is None for number in range(2_000))


def test_a_file_renamed_into_place_is_opened(tmp_path: Path) -> None:
    """As postmap does it."""
    cdb.write_all(str(tmp_path / "map.cdb"), {"a": "1"})
    table = _open(tmp_path)
    cdb.write_all(str(tmp_path / "map.cdb"), {"a": "2"})
    table.poll()
    assert (table.get("a"), table.generation) == ("2", 1)


def test_a_file_copied_over_in_place_is_read_anew(tmp_path: Path) -> None:
    """Neither a signal that kills the reader nor an answer that is neither the old nor the new one."""
    path = tmp_path / "map.cdb"
    cdb.write_all(str(path), {f"key{number}": "1" for number in range(5000)})
    table = _open(tmp_path)
    cdb.write_all(str(tmp_path / "other"), {"a": "2"})
    path.write_bytes((tmp_path / "other").read_bytes())
    with pytest.raises(TableError, match="damaged"):
        [table.get(f"key{number}") for number in range(5000)]
    table.poll()  # first sight of the change
    table.poll()  # it stands still
    assert table.get("a") == "2"


def test_a_broken_file_renamed_into_place_leaves_the_old_table(tmp_path: Path) -> None:
    """Mail goes on with what was good; the log says so."""
    cdb.write_all(str(tmp_path / "map.cdb"), {"a": "1"})
    table = _open(tmp_path)
    (tmp_path / "other").write_bytes(b"short")
    os.rename(tmp_path / "other", tmp_path / "map.cdb")
    with logged() as lines:
        table.poll()
        assert table.get("a") == "1"
    assert "old table stays in use" in lines[0]


def test_entries_cannot_be_changed_one_by_one(tmp_path: Path) -> None:
    """A cdb file is only ever made as a whole."""
    cdb.write_all(str(tmp_path / "map.cdb"), {"a": "1"})
    table = _open(tmp_path)
    for change in (lambda: table.put("a", "2"), lambda: table.delete("a")):
        with pytest.raises(TableError, match="cannot be changed entry by entry"):
            change()


def test_a_failed_writer_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old table stays, and no temporary file."""
    path = tmp_path / "map.cdb"
    cdb.write_all(str(path), {"a": "1"})
    monkeypatch.setattr(cdb, "MAX_SIZE", 5000)
    with pytest.raises(TableError, match="do not fit"):
        cdb.write_all(str(path), {"a": "x" * 5000})
    assert os.listdir(tmp_path) == ["map.cdb"]


@pytest.mark.parametrize("data", [b"", b"x" * 100, struct.pack("<II", 0, 1) * 256, b"\xff" * 4096])
def test_no_cdb_file(tmp_path: Path, data: bytes) -> None:
    """The error names the file."""
    (tmp_path / "map.cdb").write_bytes(data)
    with pytest.raises(ConfigError, match=r"map\.cdb"):
        _open(tmp_path)


def test_flipped_bits_and_cut_ends_are_damage_and_nothing_else(tmp_path: Path) -> None:
    """Every lookup and listing ends, with a value, nothing, or DamagedError."""
    path = tmp_path / "map.cdb"
    keys = [f"key{number}" for number in range(40)]
    cdb.write_all(str(path), {key: "x" * number for number, key in enumerate(keys)})
    whole, generator, damaged = path.read_bytes(), random.Random(5), 0
    for _ in range(1500):
        data = bytearray(whole)
        if generator.random() < 0.3:
            del data[generator.randrange(len(data)) :]
        for _ in range(generator.randrange(1, 6)):
            if data:
                at = generator.randrange(len(data))
                data[at] ^= 1 << generator.randrange(8)
        path.write_bytes(data)
        try:
            file = CdbFile(str(path))
        except DamagedError:
            damaged += 1
            continue
        try:
            for key in keys:
                file.get(key.encode())
            list(file.items())
        except DamagedError:
            damaged += 1
        finally:
            file.close()
    assert 100 < damaged < 1500
