"""Match lists against a model that tries one item after the other, and cidr items against the standard library."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.tables.cidr import parse_network
from posthouse.tables.matchlist import Kind, ListOptions, MatchList, parse_patterns
from posthouse.util.netaddr import format_ip, parse_ip, prefix_mask
from tests.support.lookups import now, opener

LABEL = st.sampled_from(["a", "b", "com"])
NAMES = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
ADDRESSES_V4 = st.integers(0, 7).map(lambda number: f"10.0.0.{number}")
ADDRESSES_V6 = st.integers(0, 7).map(lambda number: f"2001:db8::{number:x}")
ADDRESSES = st.one_of(ADDRESSES_V4, ADDRESSES_V6)
WHOLE_V4 = st.ip_addresses(v=4)
WHOLE_V6 = st.ip_addresses(v=6)


@st.composite
def networks(draw: st.DrawFn) -> str:
    """Write a network with few bits that differ, so that some addresses lie in it."""
    if draw(st.booleans()):
        return str(ipaddress.ip_network((draw(ADDRESSES_V4), draw(st.integers(28, 32))), strict=False))
    network = ipaddress.ip_network((draw(ADDRESSES_V6), draw(st.integers(124, 128))), strict=False)
    return f"[{network.network_address}]/{network.prefixlen}"


def items(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[int, str]]]:
    """Give items with the number of "!" before them."""
    return st.lists(st.tuples(st.integers(0, 3), values), max_size=6)


def made(patterns: list[tuple[int, str]], kind: Kind, *, parents: bool) -> MatchList:
    """Make the list that the patterns write."""
    text = ", ".join("!" * negations + pattern for negations, pattern in patterns)
    return MatchList(parse_patterns(text), opener(), ListOptions(kind, parents=parents))


def has_name(name: str, pattern: str, kind: Kind, *, parents: bool) -> bool:
    """Tell whether one pattern is for a name (postconf(5), parent_domain_matches_subdomains)."""
    if name == pattern:
        return True
    if kind is Kind.STRING:
        return False
    return name.endswith("." + pattern) if parents else pattern.startswith(".") and name.endswith(pattern)


def first(patterns: list[tuple[int, str]], fits: list[bool]) -> bool:
    """Let the first pattern that fits decide."""
    for (negations, _), fit in zip(patterns, fits, strict=True):
        if fit:
            return negations % 2 == 0
    return False


@given(items(st.one_of(NAMES, NAMES.map(lambda name: "." + name))), NAMES, st.sampled_from(Kind), st.booleans())
def test_names(patterns: list[tuple[int, str]], name: str, kind: Kind, parents: bool) -> None:
    """Runs of plain names, which are kept as sets, decide as they would one by one."""
    fits = [has_name(name, pattern, kind, parents=parents) for _, pattern in patterns]
    listed = made(patterns, kind, parents=parents)
    assert now(listed.matches(name)) is first(patterns, fits)
    assert now(listed.matches(name.upper())) is first(patterns, fits)


@given(items(st.one_of(NAMES, networks(), ADDRESSES_V4, ADDRESSES_V6.map(lambda text: f"[{text}]"))), NAMES, ADDRESSES)
def test_clients(patterns: list[tuple[int, str]], name: str, address: str) -> None:
    """Name and address are held against each item in turn."""
    fits = []
    for _, pattern in patterns:
        bare = pattern.replace("[", "").replace("]", "")
        if "/" in bare:
            fits.append(ipaddress.ip_address(address) in ipaddress.ip_network(bare))
        else:
            fits.append(bare == address or has_name(name, pattern, Kind.HOST, parents=True))
    assert now(made(patterns, Kind.HOST, parents=True).matches_client(name, address)) is first(patterns, fits)


@given(st.one_of(WHOLE_V4, WHOLE_V6), st.one_of(WHOLE_V4, WHOLE_V6), st.data())
def test_networks(
    one: ipaddress.IPv4Address | ipaddress.IPv6Address,
    other: ipaddress.IPv4Address | ipaddress.IPv6Address,
    data: st.DataObject,
) -> None:
    """An item is taken when no bits stand behind its mask, and contains what the standard library says."""
    length = data.draw(st.integers(0, one.max_prefixlen))
    network = ipaddress.ip_network((one, length), strict=False)
    text = f"[{network.network_address}]/{length}"
    parsed = parse_ip(str(other))
    assert parsed is not None
    assert parse_network(text).contains(*parsed) is (other in network)
    assert parse_network(text).contains(one.max_prefixlen, int(one))
    if network.network_address != one:
        with pytest.raises(ValueError, match=r"non-null host address bits .* instead"):
            parse_network(f"{one}/{length}")


@given(st.one_of(WHOLE_V4, WHOLE_V6), st.data())
def test_text_of_addresses(address: ipaddress.IPv4Address | ipaddress.IPv6Address, data: st.DataObject) -> None:
    """Written and read again it is the same; a mask is what the standard library makes of its length."""
    parsed = parse_ip(str(address))
    assert parsed == (address.max_prefixlen, int(address))
    assert parse_ip(format_ip(*parsed)) == parsed
    length = data.draw(st.integers(0, address.max_prefixlen))
    mask = ipaddress.ip_network((0 if address.version == 4 else bytes(16), length)).netmask
    shown, slash, number = prefix_mask(address.max_prefixlen, length).partition("/")
    assert ipaddress.ip_address(shown) == mask
    assert (slash, number) == (("", "") if length == address.max_prefixlen else ("/", str(length)))
