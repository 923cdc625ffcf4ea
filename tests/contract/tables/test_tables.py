"""What every table type owes its users, whatever it is made of (tables/table.py)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.tables import cdb, lmdb
from posthouse.tables.table import LocalTable, Table, TableFlags
from posthouse.util.errors import ConfigError
from tests.support.lookups import now, opener

Make = Callable[[Path, TableFlags], Table]

# All hold: alpha → one, "b c" → "two words", Ünï@exämple.org → drei
TEXT = 'alpha one\n"b c" two words\nÜnï@exämple.org drei\n'
INLINE = 'inline:{ alpha=one, {"b c" = two words}, {Ünï@exämple.org = drei} }'


def _texthash(directory: Path, flags: TableFlags) -> Table:
    (directory / "map").write_text(TEXT)
    return opener(str(directory)).open("texthash:map", flags)


def _lmdb(kind: str, *, nul: bool = True) -> Make:
    def make(directory: Path, flags: TableFlags) -> Table:
        contents = {"alpha": "one", '"b c"': "two words", "ünï@exämple.org": "drei"}
        lmdb.write_all(str(directory / "map.lmdb"), contents, nul=nul)
        return opener(str(directory)).open(f"{kind}:map", flags)

    return make


def _cdb(directory: Path, flags: TableFlags) -> Table:
    cdb.write_all(str(directory / "map.cdb"), {"alpha": "one", '"b c"': "two words", "ünï@exämple.org": "drei"})
    return opener(str(directory)).open("cdb:map", flags)


def _spec(spec: str) -> Make:
    return lambda directory, flags: opener(str(directory)).open(spec, flags)


FIXED: dict[str, Make] = {
    "texthash": _texthash,
    "lmdb": _lmdb("lmdb"),
    "lmdb without NUL": _lmdb("lmdb", nul=False),
    "hash": _lmdb("hash"),
    "btree": _lmdb("btree"),
    "cdb": _cdb,
    "inline": _spec(INLINE),
    "unionmap": _spec(f"unionmap:{{{INLINE}}}"),
    "debug": _spec(f"debug:{INLINE}"),
    "proxy, opened here": _spec(f"proxy:{INLINE}"),
}
PATTERNS: dict[str, Make] = {
    "static": _spec("static:one"),
    "regexp": _spec("regexp:{{/^alpha$/ one}}"),
    "pcre": _spec("pcre:{{/^alpha$/ one}}"),
    "cidr": _spec("cidr:{{192.0.2.0/24 one}}"),
    "randmap": _spec("randmap:{one}"),
    "union with patterns": _spec("unionmap:{inline:{alpha=one},regexp:{{/x/ y}}}"),
}


@pytest.fixture(params=FIXED, ids=str)
def make_fixed(request: pytest.FixtureRequest) -> Make:
    """One fixed-string type."""
    return FIXED[request.param]


@pytest.fixture(params=PATTERNS, ids=str)
def make_pattern(request: pytest.FixtureRequest) -> Make:
    """One pattern type."""
    return PATTERNS[request.param]


def test_a_key_gives_its_value(make_fixed: Make, tmp_path: Path) -> None:
    """Keys with blanks (quoted) and values with blanks are kept whole."""
    table = make_fixed(tmp_path, TableFlags())
    assert now(table.lookup("alpha")) == "one"
    assert now(table.lookup('"b c"')) == "two words"


def test_a_key_that_is_not_there_gives_none(make_fixed: Make, tmp_path: Path) -> None:
    """Neither an empty key, nor a very long one, nor part of a key is an error."""
    table = make_fixed(tmp_path, TableFlags())
    assert [now(table.lookup(key)) for key in ("beta", "", "alph", "x" * 5000)] == [None] * 4


def test_fixed_strings_are_folded(make_fixed: Make, tmp_path: Path) -> None:
    """The key's case does not matter, beyond ASCII too."""
    table = make_fixed(tmp_path, TableFlags())
    assert now(table.lookup("ALPHA")) == "one"
    assert now(table.lookup("üNÏ@EXÄMPLE.ORG")) == "drei"


def test_a_malformed_key_is_not_found(make_fixed: Make, tmp_path: Path) -> None:
    """Octets that are no UTF-8 are nobody's key."""
    assert now(make_fixed(tmp_path, TableFlags()).lookup("alpha\udcff")) is None


def test_fixed_strings_take_partial_keys(make_fixed: Make, tmp_path: Path) -> None:
    """Search orders may ask them for @domain and the like."""
    assert make_fixed(tmp_path, TableFlags()).takes_partial_keys


def test_patterns_take_whole_keys_only(make_pattern: Make, tmp_path: Path) -> None:
    """@domain would match patterns meant for addresses."""
    assert not make_pattern(tmp_path, TableFlags()).takes_partial_keys


def test_patterns_answer(make_pattern: Make, tmp_path: Path) -> None:
    """A matching key gives the text."""
    table = make_pattern(tmp_path, TableFlags())
    assert now(table.lookup("192.0.2.7" if table.name.startswith("cidr") else "alpha")) == "one"


def test_polling_an_unchanged_table_changes_nothing(make_fixed: Make, tmp_path: Path) -> None:
    """The generation stands still while the content does."""
    table = make_fixed(tmp_path, TableFlags())
    before = table.generation
    table.poll()
    table.poll()
    assert table.generation == before


@pytest.mark.parametrize("kind", ["texthash", "lmdb", "hash", "btree", "cdb", "cidr", "regexp", "pcre"])
def test_a_missing_file_is_a_configuration_error(kind: str, tmp_path: Path) -> None:
    """It names the file and says that it is not there."""
    with pytest.raises(ConfigError, match="No such file"):
        opener(str(tmp_path)).open(f"{kind}:nothing")


@pytest.mark.root
@pytest.mark.parametrize("kind", ["texthash", "cidr", "regexp", "pcre", "lmdb", "cdb", "hash"])
def test_an_unreadable_file_is_a_configuration_error(kind: str, tmp_path: Path) -> None:
    """Opened as somebody else, without the right to read."""
    for name in ("map", "map.lmdb", "map.cdb", "map.db"):
        (tmp_path / name).write_text("x y\n")
        (tmp_path / name).chmod(0)
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigError, match="Permission denied"):
            opener(str(tmp_path)).open(f"{kind}:map")
    finally:
        os.seteuid(0)


def test_tables_that_list_their_entries(tmp_path: Path) -> None:
    """What can be dumped gives just what is in it."""
    for make in (_texthash, _lmdb("lmdb"), _cdb, _spec(INLINE), _spec(f"debug:{INLINE}")):
        table = make(tmp_path, TableFlags())
        assert isinstance(table, LocalTable)
        assert sorted(table.items()) == [('"b c"', "two words"), ("alpha", "one"), ("ünï@exämple.org", "drei")]


def test_without_folding_the_case_matters(tmp_path: Path) -> None:
    """TableFlags(fold=False) keeps keys as they are written."""
    table = _texthash(tmp_path, TableFlags(fold=False))
    assert now(table.lookup("ALPHA")) is None
    assert now(table.lookup("Ünï@exämple.org")) == "drei"
