"""lmdb tables: what changes are seen, and how files of other makers are read."""

import os
from pathlib import Path

import pytest

from posthouse.tables import lmdb
from posthouse.tables.lmdb import Lmdb
from posthouse.tables.open import Opener
from posthouse.util.errors import ConfigError
from tests.support.lookups import logged, now, opener


def _open(tables: Opener, name: str = "lmdb:map") -> Lmdb:
    table = tables.open(name)
    assert isinstance(table, Lmdb)
    return table


def test_an_update_is_seen_at_once(tmp_path: Path) -> None:
    """A transaction by another writer changes the next answer and the generation."""
    path = str(tmp_path / "map.lmdb")
    lmdb.write_all(path, {"a": "1"})
    tables = opener(str(tmp_path))
    table = _open(tables)
    before = tables.poll()
    assert now(table.lookup("a")) == "1"
    lmdb.update(path, [("a", "2"), ("b", "3")])
    assert (now(table.lookup("a")), now(table.lookup("b"))) == ("2", "3")
    assert tables.poll() != before


def test_a_file_renamed_into_place_is_opened(tmp_path: Path) -> None:
    """As scripts do it that build a table elsewhere."""
    path = str(tmp_path / "map.lmdb")
    lmdb.write_all(path, {"a": "1"})
    table = _open(opener(str(tmp_path)))
    lmdb.write_all(str(tmp_path / "other.lmdb"), {"a": "2"})
    os.rename(tmp_path / "other.lmdb", path)
    table.poll()
    assert now(table.lookup("a")) == "2"


def test_a_broken_file_renamed_into_place_leaves_the_old_table(tmp_path: Path) -> None:
    """Mail goes on with what was good; the log says so."""
    path = str(tmp_path / "map.lmdb")
    lmdb.write_all(path, {"a": "1"})
    table = _open(opener(str(tmp_path)))
    (tmp_path / "other").write_bytes(b"x" * 8192)
    os.rename(tmp_path / "other", path)
    with logged() as lines:
        table.poll()
        assert now(table.lookup("a")) == "1"
    assert "old table stays in use" in lines[0]


def test_two_tables_share_one_file(tmp_path: Path) -> None:
    """LMDB forbids opening a file twice; two parameters may still name it."""
    lmdb.write_all(str(tmp_path / "map.lmdb"), {"a": "1"})
    first, second = _open(opener(str(tmp_path))), _open(opener(str(tmp_path)), "hash:map")
    first.close()
    assert now(second.lookup("a")) == "1"


def test_a_table_grows_beyond_its_first_size(tmp_path: Path) -> None:
    """20 MB in one go, read by a table that was opened when it was small."""
    path = str(tmp_path / "map.lmdb")
    lmdb.write_all(path, {"a": "1"})
    table = _open(opener(str(tmp_path)))
    lmdb.write_all(path, {f"key{number}": "x" * 1000 for number in range(20_000)})
    assert now(table.lookup("key19999")) == "x" * 1000
    assert now(table.lookup("a")) is None


def test_put_and_delete(tmp_path: Path) -> None:
    """A table can be changed entry by entry; keys are folded."""
    lmdb.write_all(str(tmp_path / "map.lmdb"), {})
    table = _open(opener(str(tmp_path)))
    table.put("Key", "value")
    assert now(table.lookup("KEY")) == "value"
    assert table.delete("key")
    assert not table.delete("key")
    assert now(table.lookup("key")) is None


def test_a_source_newer_than_its_table_is_remarked_on(tmp_path: Path) -> None:
    """Somebody edited the text and forgot postmap."""
    lmdb.write_all(str(tmp_path / "map.lmdb"), {"a": "1"})
    (tmp_path / "map").write_text("a 2\n")
    os.utime(tmp_path / "map.lmdb", (1000, 1000))
    os.utime(tmp_path / "map", (2000, 2000))
    with logged() as lines:
        _open(opener(str(tmp_path)))
    assert "is older than source file" in lines[0]


@pytest.mark.parametrize("files", [[], ["aliases.db"]])
def test_no_file_that_can_be_read(files: list[str], tmp_path: Path) -> None:
    """hash:aliases without a file, or with an aliases.db that is none: the error says which command to run."""
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ConfigError, match="run: postalias hash:aliases"):
        opener(str(tmp_path)).open("hash:aliases")


def test_no_lmdb_file_at_all(tmp_path: Path) -> None:
    """Any other content is refused by name."""
    (tmp_path / "map.lmdb").write_bytes(b"no database\n" * 1000)
    with pytest.raises(ConfigError, match=r"open database map\.lmdb"):
        opener(str(tmp_path)).open("lmdb:map")


def test_a_new_file_gets_the_mode_asked_for(tmp_path: Path) -> None:
    """And nothing else is left in the directory."""
    lmdb.write_all(str(tmp_path / "map.lmdb"), {"a": "1"}, mode=0o600)
    assert [(entry.name, entry.stat().st_mode & 0o777) for entry in os.scandir(tmp_path)] == [("map.lmdb", 0o600)]
