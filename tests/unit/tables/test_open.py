"""Opening tables by name: types, mistakes in names, lists of tables."""

from pathlib import Path

import pytest

from posthouse.tables.open import NotBuiltError, is_fixed_spec, open_maps
from posthouse.tables.table import SENSITIVE, TableFlags
from posthouse.util.errors import ConfigError, TableError
from posthouse.util.successor import set_successor_handler
from tests.support.lookups import logged, now, opener


def test_an_unknown_type_names_the_known_ones() -> None:
    """A typing mistake gets a suggestion."""
    with pytest.raises(ConfigError, match='unsupported dictionary type: lmdp; did you mean "lmdb"') as caught:
        opener().open("lmdp:/etc/aliases")
    assert "texthash" in caught.value.why


def test_a_type_of_postfix_that_is_not_built_is_told_apart() -> None:
    """So that a check can name it without calling it a typing mistake."""
    with pytest.raises(NotBuiltError, match="use the text file"):
        opener().open("sdbm:/etc/postfix/users")


@pytest.mark.parametrize("spec", ["lmdb", "lmdb:", ":name", "proxy:", "debug:name", "pipemap:x", "unionmap:{}"])
def test_a_malformed_name_is_refused(spec: str) -> None:
    """Each table is type:name."""
    with pytest.raises(ConfigError):
        opener().open(spec)


def test_a_table_is_opened_once() -> None:
    """However many parameters name it."""
    tables = opener()
    assert tables.open("inline:{a=b}") is tables.open("inline:{a=b}")
    assert tables.open("inline:{a=b}") is not tables.open("inline:{a=b}", TableFlags(fold=False))


def test_the_first_table_that_has_the_key_answers() -> None:
    """In the order of the list."""
    maps = open_maps(["inline:{a=1}", "inline:{a=2,b=3}"], opener())
    assert (now(maps.find("a")), now(maps.find("b")), now(maps.find("c"))) == ("1", "3", None)


def test_an_error_is_not_passed_over() -> None:
    """A table that fails before the one that has the key: no answer."""
    maps = open_maps(["fail:x", "inline:{a=2}"], opener())
    with pytest.raises(TableError):
        now(maps.find("a"))


def test_an_empty_key_is_never_looked_up() -> None:
    """Not even in a table that would fail."""
    assert now(open_maps(["fail:x", "static:y"], opener()).find("")) is None


def test_partial_keys_go_to_fixed_tables_only() -> None:
    """A static: or regexp: table sees whole keys."""
    maps = open_maps(["static:never", "inline:{@a=b}"], opener())
    assert now(maps.find_partial("@a")) == "b"


def test_a_table_that_cannot_be_opened_may_fail_later_instead() -> None:
    """strict=False: the log says why, and each lookup again."""
    with logged() as lines:
        maps = open_maps(["texthash:/nowhere/map"], opener(), strict=False)
        with pytest.raises(TableError):
            now(maps.find("x"))
    assert lines[0] == "error: open database /nowhere/map: No such file or directory"
    assert lines[1].startswith("warning: texthash:/nowhere/map is unavailable. ")


def test_sensitive_tables_may_not_substitute() -> None:
    """A recipient must not choose its transport or uid (facts B14.19)."""
    with logged() as lines:
        table = opener().open("regexp:{{/(.*)/ $1}}", SENSITIVE)
        assert now(table.lookup("x")) is None
    assert lines == [
        "warning: regexp map {{/(.*)/ $1}}, line 1: regular expression substitution is not allowed: skipping this rule"
    ]


@pytest.mark.parametrize(
    ("spec", "fixed"),
    [
        ("lmdb:/x", True),
        ("proxy:unix:passwd.byname", True),
        ("proxy:regexp:/x", False),
        ("debug:static:x", False),
        ("pipemap:{lmdb:/x, pcre:/y}", False),
        ("unionmap:{lmdb:/x, inline:{a=b}}", True),
    ],
)
def test_what_a_name_tells_about_partial_keys(spec: str, fixed: bool) -> None:
    """A daemon must know it of a table that only proxymap has open."""
    assert is_fixed_spec(spec) is fixed


def test_without_smtputf8_keys_may_be_anything() -> None:
    """smtputf8_enable = no turns the checks off."""
    table = opener(smtputf8_enable="no").open("regexp:{{/^x/ found}}")
    assert now(table.lookup("x\udcff")) == "found"


def test_pipemap_and_unionmap() -> None:
    """A chain stops at the first miss; a union joins what is found; errors go through."""
    tables = opener()
    pipe = tables.open("pipemap:{inline:{a=b},inline:{b=c}}")
    assert (now(pipe.lookup("a")), now(pipe.lookup("b"))) == ("c", None)
    union = tables.open("unionmap:{static:s,inline:{a=b}}")
    assert (now(union.lookup("a")), now(union.lookup("z"))) == ("s,b", "s")
    for spec in ("pipemap:{inline:{a=b},fail:x}", "unionmap:{static:s,fail:x}"):
        with pytest.raises(TableError):
            now(tables.open(spec).lookup("a"))


def test_system_accounts_as_tables() -> None:
    """unix:passwd.byname gives passwd(5) lines."""
    tables = opener()
    line = now(tables.open("unix:passwd.byname").lookup("root"))
    assert line is not None
    assert line.startswith("root:")
    assert line.split(":")[2:4] == ["0", "0"]
    group = now(tables.open("unix:group.byname").lookup("root"))
    assert group is not None
    assert group.startswith("root:")
    assert now(tables.open("unix:passwd.byname").lookup("no such user")) is None
    assert now(tables.open("unix:passwd.byname").lookup("root\0x")) is None


def test_a_table_that_cannot_be_opened_may_end_the_daemon() -> None:
    """With daemon_table_open_error_is_fatal; otherwise what needs the table waits."""
    spec = "texthash:/nowhere/table"
    with pytest.raises(ConfigError, match="/nowhere/table"):
        open_maps([spec], opener(daemon_table_open_error_is_fatal="yes"))
    with logged() as lines, pytest.raises(TableError):
        now(open_maps([spec], opener()).find("a"))
    assert lines[0].startswith("error: open ")


def test_a_table_that_comes_after_the_start_is_opened_by_another_process(tmp_path: Path) -> None:
    """One that could not be opened is not given up for as long as the process lives; nobody is asked in vain."""
    asked: list[str] = []
    file = tmp_path / "map"
    set_successor_handler(asked.append)
    try:
        with logged():
            [table] = open_maps([f"texthash:{file}"], opener()).tables
            table.poll()
            assert not asked
            file.write_text("a b\n", encoding="ascii")
            table.poll()
            table.poll()
            with pytest.raises(TableError):  # this process does not change what it knows of its tables
                now(table.lookup("a"))
    finally:
        set_successor_handler(lambda _reason: None)
    assert asked == [f"texthash:{file}: {file} has changed"]
