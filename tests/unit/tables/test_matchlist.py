"""Match lists: names, parents, networks, files, tables, and negation."""

from pathlib import Path

import pytest

from posthouse.config.parameters import MYDESTINATION, MYNETWORKS, RELAY_DOMAINS
from posthouse.config.settings import Settings
from posthouse.tables.matchlist import (
    Kind,
    ListOptions,
    MatchList,
    open_domain_list,
    open_host_list,
    open_string_list,
    parse_patterns,
)
from posthouse.util.errors import ConfigError, TableError
from tests.support.lookups import logged, now, opener


def _list(text: str, kind: Kind = Kind.STRING, *, parents: bool = False, strict: bool = True) -> MatchList:
    options = ListOptions(kind, parents=parents, label="a_parameter", strict=strict)
    return MatchList(parse_patterns(text), opener(), options)


def test_strings_match_whole() -> None:
    """Case does not matter, parents do."""
    names = _list("example.com, Other.Example")
    asked = ("EXAMPLE.com", "other.example", "sub.example.com", "com", "")
    assert [now(names.matches(name)) for name in asked] == [True, True, False, False, False]


def test_domains_match_their_subdomains() -> None:
    """With parents "example.com" does it, without only ".example.com"."""
    asked = ("example.com", "a.b.example.com", "badexample.com")
    for text, parents, expected in (
        ("example.com", True, [True, True, False]),
        ("example.com", False, [True, False, False]),
        (".example.com", False, [False, True, False]),
    ):
        names = _list(text, Kind.DOMAIN, parents=parents)
        assert [now(names.matches(name)) for name in asked] == expected


def test_the_first_item_that_matches_decides() -> None:
    """An exception must stand before the rule."""
    names = _list("!bad.example.com, example.com", Kind.DOMAIN, parents=True)
    assert [now(names.matches(name)) for name in ("bad.example.com", "x.bad.example.com", "a.example.com")] == [
        False,
        False,
        True,
    ]
    assert now(_list("example.com, !bad.example.com", Kind.DOMAIN, parents=True).matches("bad.example.com"))
    assert now(_list("!!example.com").matches("example.com"))


def test_clients_match_by_name_address_and_network() -> None:
    """As in mynetworks."""
    clients = _list("192.0.2.0/28, [2001:db8::]/32, 198.51.100.7, [::1], trusted.example", Kind.HOST, parents=True)
    for name, address, expected in (
        ("", "192.0.2.15", True),
        ("", "192.0.2.16", False),
        ("", "2001:DB8:1::1", True),
        ("", "2001:db9::1", False),
        ("", "198.51.100.7", True),
        ("", "::1", True),
        ("a.trusted.example", "203.0.113.1", True),
        ("unknown", "not an address", False),
        ("", "", False),
    ):
        assert now(clients.matches_client(name, address)) is expected, (name, address)


@pytest.mark.parametrize("text", ["192.0.2.1/28", "192.0.2.0/33", "[::1]/x", "[be:be]", "be/be", "!", "/nowhere/file"])
def test_mistakes_stop_the_start(text: str) -> None:
    """A network list that means something else than it says must not be used."""
    with pytest.raises(ConfigError):
        _list(text, Kind.HOST)


def test_mistakes_are_errors_when_met_if_not_strict() -> None:
    """Never "not in the list"; IPv4 clients do not see mistakes in IPv6 patterns."""
    clients = _list("192.0.2.1/28, 198.51.100.0/24", Kind.HOST, strict=False)
    with logged() as lines, pytest.raises(TableError):
        now(clients.matches_client("", "198.51.100.1"))
    assert lines[0].startswith('warning: a_parameter: non-null host address bits in "192.0.2.1/28"')
    assert not now(clients.matches_client("", "2001:db8::1"))


def test_files_stand_for_their_items(tmp_path: Path) -> None:
    """With comments, negation inside and outside, and braces over several lines."""
    path = tmp_path / "names"
    path.write_text("# comment\none, !two\n inline:{\n  { three = x }\n }\n")
    for text, expected in ((str(path), [True, False, True]), (f"!{path}, four", [False, True, False])):
        names = _list(text)
        assert [now(names.matches(name)) for name in ("one", "two", "three")] == expected
    assert now(_list(f"!{path}, four").matches("four"))


def test_a_file_may_not_name_itself(tmp_path: Path) -> None:
    """It would never end."""
    path = tmp_path / "names"
    path.write_text(f"a {path}\n")
    with pytest.raises(ConfigError, match="name each other"):
        _list(str(path))


def test_tables_match_when_they_have_the_key() -> None:
    """Whatever the value; a domain's parents are asked as well, an address is asked as it is."""
    domains = _list("inline:{example.com=x}", Kind.DOMAIN, parents=True)
    assert [now(domains.matches(name)) for name in ("example.com", "a.example.com", "com")] == [True, True, False]
    dotted = _list("inline:{.example.com=x}", Kind.DOMAIN)
    assert [now(dotted.matches(name)) for name in ("example.com", "a.example.com")] == [False, True]
    clients = _list("!inline:{192.0.2.1=x}, static:all", Kind.HOST)
    assert not now(clients.matches_client("h", "192.0.2.1"))
    assert now(clients.matches_client("h", "192.0.2.2"))
    assert clients.has_tables


def test_a_failing_table_is_no_answer() -> None:
    """Neither yes nor no."""
    with logged() as lines, pytest.raises(TableError):
        now(_list("fail:x, example.com").matches("example.com"))
    assert lines == ["warning: a_parameter: fail:x: table lookup problem"]


@pytest.mark.parametrize("spec", ["texthash:/nowhere/table", "nothing:x"])
def test_a_table_that_cannot_be_opened_is_no_answer(spec: str) -> None:
    """The service goes on; what needs the table has to wait, what an item before it decides has not."""
    with logged() as lines:
        names = _list(f"example.com, {spec}, example.org", Kind.DOMAIN, parents=True)
        assert lines[0].startswith("error: ")
        assert now(names.matches("a.example.com"))
        for name in ("example.org", "a.example.net"):
            with pytest.raises(TableError):
                now(names.matches(name))


def test_a_file_that_cannot_be_read_is_no_answer(tmp_path: Path) -> None:
    """Where mistakes do not stop the start."""
    with logged() as lines:
        names = _list(f"one, !{tmp_path}/missing, two", strict=False)
        assert lines == [f"error: open file {tmp_path}/missing: No such file or directory"]
        assert now(names.matches("one"))
        with pytest.raises(TableError, match="missing"):
            now(names.matches("two"))


def test_files_with_mistakes(tmp_path: Path) -> None:
    """Text behind an item is remarked on; a brace that is not closed makes the file useless."""
    path = tmp_path / "names"
    path.write_text("one #two\n")
    with logged() as lines:
        names = _list(str(path))
    assert lines == ["warning: a_parameter: #comment after other text is not allowed: #two ..."]
    assert [now(names.matches(name)) for name in ("one", "two", "#two")] == [True, False, False]
    path.write_text("one {two\n")
    with pytest.raises(ConfigError, match="missing '}'"):
        _list(str(path))
    with logged() as lines, pytest.raises(TableError):
        now(_list(str(path), strict=False).matches("one"))
    assert lines[0] == f"error: {path}: missing '}}' in \"{{two\n\"".replace("\n", "?")
    with pytest.raises(ConfigError, match="missing '}'"):
        parse_patterns("{one")


def test_an_address_that_no_table_can_tell() -> None:
    """Is an error too."""
    with logged() as lines, pytest.raises(TableError):
        now(_list("fail:x", Kind.HOST).matches_client("", "192.0.2.1"))
    assert lines == ["warning: a_parameter: fail:x: table lookup problem"]


def test_patterns_in_tables_see_whole_names() -> None:
    """A regular expression is asked once, not for each parent."""
    names = _list("regexp:{{/^b.example$/ x}}", Kind.DOMAIN, parents=True)
    assert [now(names.matches(name)) for name in ("b.example", "a.b.example")] == [True, False]


def test_lists_of_parameters() -> None:
    """parent_domain_matches_subdomains decides by the parameter's name; errors name parameter and place."""
    settings = Settings.from_mapping(
        {
            "compatibility_level": "3.6",
            "mydestination": "example.com",
            "relay_domains": "example.org",
            "mynetworks": "127.0.0.0/8",
        }
    )
    assert not now(open_string_list(MYDESTINATION, settings).matches("a.example.com"))
    assert now(open_domain_list(RELAY_DOMAINS, settings).matches("a.example.org"))
    assert now(open_host_list(MYNETWORKS, settings).matches_client("", "127.0.0.9"))
    with pytest.raises(ConfigError, match=r"mynetworks: non-null host address bits"):
        open_host_list(MYNETWORKS, settings.overlaid({"mynetworks": "127.0.0.1/8"}))
