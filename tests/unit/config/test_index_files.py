"""Which file hash: and btree: tables are in, and who has to know."""

import os
from pathlib import Path

import pytest

from posthouse.commands.postfix.indexes import missing_indexes
from posthouse.config.check_tables import check_table
from posthouse.config.index_files import index_path
from posthouse.config.settings import Settings
from posthouse.skeleton import rules
from tests.unit.skeleton.test_rules import MAIN, daemon


@pytest.mark.parametrize("kind", ["hash", "btree"])
def test_the_db_file_counts_while_it_is_all_there_is(kind: str, tmp_path: Path) -> None:
    """With neither, the one that would be made is named."""
    name = str(tmp_path / "map")
    assert index_path(kind, name) == name + ".lmdb"
    (tmp_path / "map.db").write_bytes(b"")
    assert index_path(kind, name) == name + ".db"
    assert index_path("lmdb", name) == name + ".lmdb"
    (tmp_path / "map.lmdb").write_bytes(b"")
    assert index_path(kind, name) == name + ".lmdb"


def test_a_db_file_is_as_good_as_an_index(tmp_path: Path) -> None:
    """Neither is it missing, nor made at the start; it may be older than its source."""
    (tmp_path / "map").write_text("a b\n")
    (tmp_path / "map.db").write_bytes(b"")
    built = frozenset({"hash"})
    assert list(check_table("hash", str(tmp_path / "map"), built)) == []
    settings = Settings.from_mapping({"alias_maps": "", "alias_database": "", "transport_maps": f"hash:{tmp_path}/map"})
    assert list(missing_indexes(settings)) == []
    os.utime(tmp_path / "map.db", (1000, 1000))
    assert [problem.kind.id for problem in check_table("hash", str(tmp_path / "map"), built)] == [
        "index-older-than-source"
    ]


def test_daemons_may_read_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is there and the one that will take over, file by file where others' files lie beside them."""
    monkeypatch.setattr(rules, "SHARED_DIRECTORIES", frozenset({str(tmp_path)}))
    settings = Settings.from_mapping({**MAIN, "transport_maps": f"hash:{tmp_path}/map"})
    (tmp_path / "map.db").write_bytes(b"")
    reads = rules.compute_rules(daemon("trivial_rewrite"), settings, has_runas=True).reads
    assert {path for path in reads if path.startswith(str(tmp_path))} == {f"{tmp_path}/map.db", f"{tmp_path}/map.lmdb"}
