"""Lists of addresses: what is written reads as the same again, and the work grows with the text and no faster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.address import quote_address, unquote_address
from posthouse.protocol.message.tokens import (
    format_external,
    format_internal,
    parse_address_list,
    parse_addresses,
)
from tests.support.steps import is_linear

ATOMS = st.from_regex(r"[a-z0-9#$&'*+/=?^_`{}~é-]{1,6}", fullmatch=True)
BLANKS = st.sampled_from(["", " ", "\t", "\r\n "])
LOCAL_PARTS = st.one_of(
    st.lists(ATOMS, min_size=1, max_size=3).map(".".join),
    st.text('ab .@,:;<>()[]"\\%!é', min_size=1, max_size=8).filter(lambda text: not text.startswith("@")),
)
DOMAINS = st.one_of(
    st.lists(ATOMS, min_size=1, max_size=3).map(".".join),
    st.sampled_from(["[192.0.2.1]", "[IPv6:2001:db8::1]", "bücher.example", "xn--bcher-kva.example"]),
)
ADDRESSES = st.tuples(LOCAL_PARTS, DOMAINS).map("@".join)  # in internal form
COMMENTS = st.recursive(
    st.text("ab ,;:<>@é", max_size=5).map(lambda text: f"({text})"),
    lambda inner: st.lists(inner, max_size=2).map(lambda parts: f"({' '.join(parts)})"),
    max_leaves=3,
)
PHRASES = st.one_of(
    st.lists(ATOMS, min_size=1, max_size=3).map(" ".join),
    st.text('ab .@,:;<>()"\\é', min_size=1, max_size=8).map(
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    ),
)


@st.composite
def mailboxes(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Give a mailbox as it may stand in a header, and its address in internal form."""
    address = draw(ADDRESSES)
    written = quote_address(address)
    blank = draw(BLANKS)
    form = draw(st.sampled_from(["bare", "brackets", "phrase", "comment before", "comment behind", "route"]))
    match form:
        case "brackets":
            written = f"<{blank}{written}{blank}>"
        case "phrase":
            written = f"{draw(PHRASES)}{blank}<{written}>"
        case "comment before":
            written = f"{draw(COMMENTS)}{blank}{written}"
        case "comment behind":
            written = f"{written}{blank}{draw(COMMENTS)}"
        case "route":
            route = ",".join("@" + name for name in draw(st.lists(ATOMS, min_size=1, max_size=2)))
            written, address = f"{draw(PHRASES)} <{route}:{written}>", f"{route}:{address}"
    return written, [address]


@st.composite
def elements(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Give a mailbox or a group of some."""
    if draw(st.integers(0, 3)):
        return draw(mailboxes())
    members = draw(st.lists(mailboxes(), max_size=3))
    name, blank = draw(PHRASES), draw(BLANKS)
    written = f"{name}:{blank}{', '.join(member for member, _ in members)};"
    return written, [address for _, addresses in members for address in addresses]


@given(st.lists(elements(), min_size=1, max_size=4), BLANKS)
def test_a_list_is_read_as_it_was_made(made: list[tuple[str, list[str]]], blank: str) -> None:
    """Every address in its place: through phrases, comments, groups, routes, literals, quotes and folds."""
    text = f",{blank}".join(written for written, _ in made)
    assert parse_addresses(text) == [address for _, addresses in made for address in addresses]


@given(st.lists(elements(), min_size=1, max_size=4), BLANKS, st.booleans())
def test_what_is_written_reads_as_the_same(made: list[tuple[str, list[str]]], blank: str, fold: bool) -> None:
    """The tree survives, with phrases, comments and groups, on one line or on many."""
    nodes = parse_address_list(f",{blank}".join(written for written, _ in made))
    assert parse_address_list(format_external(nodes, fold=fold)) == nodes


ODD = st.text(st.sampled_from('ab@.,:;<>()[]"\\%! \t\né\udc80'), max_size=40)


@given(ODD)
def test_writing_mends_once_and_for_all(text: str) -> None:
    """Whatever comes: what is broken is mended by the first writing, and no later one changes an address."""
    once = format_external(parse_address_list(text))
    assert parse_addresses(format_external(parse_address_list(once))) == parse_addresses(once)


@given(st.binary(max_size=60))
def test_any_octets_are_read(octets: bytes) -> None:
    """As they come in a header, UTF-8 or not; and they can be written again."""
    nodes = parse_address_list(octets.decode("utf-8", "surrogateescape"))
    format_external(nodes).encode("utf-8", "surrogateescape")
    format_internal(nodes).encode("utf-8", "surrogateescape")


@given(ADDRESSES)
def test_both_forms_are_one_address(address: str) -> None:
    """Internal to external and back; the external form reads as that one address in a header, too."""
    external = quote_address(address)
    assert unquote_address(external) == address
    assert parse_addresses(external) == [address]


PIECES = (
    "(",
    ")",
    "<",
    ">",
    "<a>",
    "a,",
    "a ",
    ":",
    ";",
    "a:b;",
    "[",
    '"',
    "\\",
    "(a)",
    "@",
    "a(b)",
    '"\\',
    ". a",
    "a.",
    "<(",
    "a<",
)


def _read_and_write(text: str) -> None:
    nodes = parse_address_list(text)
    format_external(nodes)
    format_internal(nodes)


@pytest.mark.parametrize("second", ["", ":", "(", "<", ">", "a ", ","])
@pytest.mark.parametrize("first", PIECES)
def test_work_is_linear(first: str, second: str) -> None:
    """Many of one thing, then many of another."""
    assert is_linear(_read_and_write, lambda size: first * size + second * size, 100)
