"""cidr tables: first match, conditions, mistakes; and that the index gives what a plain list would."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.tables.cidr import Cidr, parse_network
from posthouse.tables.table import LocalTable
from posthouse.util.netaddr import format_ip, parse_ip
from tests.support.lookups import logged, now, opener


def _table(*rules: str) -> LocalTable:
    table = opener().open("cidr:{" + ", ".join(f"{{{rule}}}" for rule in rules) + "}")
    assert isinstance(table, LocalTable)
    return table


def test_the_first_rule_wins_whatever_its_length() -> None:
    """Not the longest prefix."""
    table = _table("10.0.0.0/8 wide", "10.1.0.0/16 narrow", "::/0 six")
    assert [now(table.lookup(key)) for key in ("10.1.2.3", "11.0.0.1", "2001:db8::1")] == ["wide", None, "six"]


def test_conditions() -> None:
    """if, !, nesting; rules outside of blocks keep their place."""
    table = _table(
        "if !10.0.0.0/8", "0.0.0.0/0 outside", "endif", "10.1.1.1 one", "!10.2.0.0/16 rest", "[10.2.0.9] two"
    )
    keys = ("192.0.2.1", "10.1.1.1", "10.9.9.9", "10.2.0.9", "10.2.0.8")
    assert [now(table.lookup(key)) for key in keys] == ["outside", "one", "rest", "two", None]


def test_a_negated_network_says_nothing_about_another_family() -> None:
    """Neither in a rule nor in an if statement; so Postfix has it."""
    table = _table("!192.0.2.0/24 not four", "if !2001:db8::/32", "10.0.0.0/8 never", "::/0 six", "endif")
    assert [table.get(key) for key in ("10.1.1.1", "192.0.2.1", "2001:db9::1", "2001:db8::1")] == [
        "not four",
        None,
        "six",
        None,
    ]


@pytest.mark.parametrize(
    "key", ["", "host.example", "10.0.0", "10.0.0.1 ", "300.1.1.1", "1::2::3", "10.0.0.0/8", "010.1.1.1"]
)
def test_what_is_no_address_is_not_found(key: str) -> None:
    """cidr tables may stand in lists with others, and see all keys."""
    assert now(_table("0.0.0.0/0 x", "::/0 y").lookup(key)) is None


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("172.16.1.3/21", 'perhaps you should use "172.16.0.0/21" instead'),
        ("2001:db8::1/64", 'perhaps you should use "2001:db8::/64" instead'),
        ("10.0.0.0/33", "bad mask length"),
        ("10.0.0.0/x", "bad mask value"),
        ("10.0.0.0/", "bad mask value"),
        ("300.0.0.0/8", "bad network value"),
        ("be.be", "bad address pattern"),
        ("[10.0.0.1", "missing ']'"),
        ("[10.0.0.1]x", "garbage after"),
    ],
)
def test_mistakes_in_networks(pattern: str, problem: str) -> None:
    """The message says what is wrong, and what would be right."""
    with pytest.raises(ValueError, match=problem.replace("]", r"\]").replace("[", r"\[")):
        parse_network(pattern)


def test_a_wrong_rule_is_skipped() -> None:
    """With file and line in the log."""
    with logged() as lines:
        table = _table("10.0.0.1/8 wrong", "10.0.0.0/8", "endif", "10.0.0.0/8 right", "if 1.2.3.4")
    assert now(table.lookup("10.9.9.9")) == "right"
    assert [line.rpartition(": ")[2] for line in lines] == ["skipping this rule"] * 3 + ["IF has no matching ENDIF"]


NETWORKS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: ipaddress.ip_network((pair[0] >> (32 - pair[1]) << (32 - pair[1]) if pair[1] else 0, pair[1]))
)


@settings(max_examples=50)
@given(st.lists(NETWORKS, min_size=1, max_size=12), st.integers(0, 2**32 - 1), st.data())
def test_the_index_gives_what_a_list_would(
    networks: list[ipaddress.IPv4Network], number: int, data: st.DataObject
) -> None:
    """However rules overlap."""
    inside = data.draw(st.sampled_from(networks))
    address = ipaddress.IPv4Address(int(inside.network_address) | (number & int(inside.hostmask)))
    expected = next(str(place) for place, network in enumerate(networks) if address in network)
    table = _table(*(f"{network} {place}" for place, network in enumerate(networks)))
    assert now(table.lookup(str(address))) == expected


@given(st.ip_addresses())
def test_addresses_survive_reading_and_writing(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """parse_ip and format_ip are each other's reverse."""
    parsed = parse_ip(str(address))
    assert parsed is not None
    assert ipaddress.ip_address(format_ip(*parsed)) == address


CONDITIONS = st.tuples(st.booleans(), NETWORKS)


@st.composite
def rule_files(draw: st.DrawFn) -> list[str]:
    """Rules, some negated, and if blocks around some of them."""
    lines, depth = list[str](), 0
    for place in range(draw(st.integers(1, 14))):
        negated, network = draw(CONDITIONS)
        pattern = ("!" if negated else "") + str(network)
        kind = draw(st.sampled_from(["rule", "rule", "rule", "if", "endif"]))
        if kind == "if" and depth < 3:
            depth += 1
            lines.append(f"if {pattern}")
        elif kind == "endif" and depth:
            depth -= 1
            lines.append("endif")
        else:
            lines.append(f"{pattern} {place}")
    return lines + ["endif"] * depth


def _by_the_book(lines: list[str], address: ipaddress.IPv4Address) -> str | None:
    """Try one line after the other, as the manual tells it."""
    holds = [True]
    for line in lines:
        if line == "endif":
            holds.pop()
            continue
        pattern, _, value = line.removeprefix("if ").partition(" ")
        inside = (address in ipaddress.ip_network(pattern.lstrip("!"))) is not pattern.startswith("!")
        if line.startswith("if "):
            holds.append(holds[-1] and inside)
        elif holds[-1] and inside:
            return value
    return None


@settings(max_examples=200)
@given(rule_files(), st.integers(0, 2**32 - 1), st.data())
def test_blocks_and_negation_are_what_the_manual_says(lines: list[str], number: int, data: st.DataObject) -> None:
    """The index against rules tried one by one."""
    patterns = [line.removeprefix("if ").split(" ")[0].lstrip("!") for line in lines if line != "endif"]
    near = ipaddress.ip_network(data.draw(st.sampled_from(patterns)))
    address = ipaddress.IPv4Address(int(near.network_address) | (number & int(near.hostmask)))
    assert _table(*lines).get(str(address)) == _by_the_book(lines, address)


def test_a_hundred_thousand_rules_cost_no_more_than_their_lengths() -> None:
    """Counted, not timed: a lookup looks into one dictionary for each length of prefix, and tries no list."""
    rules = [f"{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}.0/24 {number}" for number in range(100_000)]
    table = _table("if 0.0.0.0/0", *rules, "endif", "::/0 six")
    assert isinstance(table, Cidr)
    content = table._content
    assert {bits: list(lengths) for bits, lengths in content._plain.items()} == {32: [8], 128: [128]}
    assert not any(content._excepted.values())
    assert (table.get("1.134.159.7"), table.get("1.134.160.7"), table.get("::1")) == ("99999", None, "six")
