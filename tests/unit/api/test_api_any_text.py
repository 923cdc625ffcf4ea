"""What reads text of somebody else: all text is read, or is a ValueError, in a time that its length explains."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse import api

READERS: tuple[Callable[[str], object], ...] = (
    api.IPv4Pattern,
    api.address_problem,
    api.domain_to_ascii,
    api.domain_to_unicode,
    api.hostname_problem,
    api.normalize_literal,
    api.parse_addresses,
    api.split_command,
    api.unescape,
    api.unmap_ipv4,
    api.unquote_address,
    api.uri_scheme_length,
    api.utf8_xtext_decode,
    api.utf8_xtext_encode,
    lambda text: api.encode_words(text, "phrase"),
    lambda text: api.encode_words("a", "comment", charset=text),
    lambda text: api.header_text(text, "comment"),
    lambda text: api.header_text(text, "phrase"),
    lambda text: api.masquerade(text, "x.test"),
    lambda text: api.parse_map_spec(text, ("a", "b")),
    lambda text: api.quote_address(text, bare_localpart=True),
    lambda text: api.split_extension(text, "+-"),
    lambda text: api.split_host_port(text, "25"),
)
# Letters that mean something to one of them, and others.
TEXT = st.text(st.one_of(st.sampled_from("aA1.:;-+*@%!<>()[]{}\"'\\=,/ \t\n"), st.characters()), max_size=40)
LONG = 100_000  # characters: what is quadratic in them takes minutes, and so ends the test run


@given(TEXT, st.sampled_from(READERS))
def test_any_text(text: str, read: Callable[[str], object]) -> None:
    """Also with octets in it that are no UTF-8."""
    with contextlib.suppress(ValueError):
        read(text)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "unit", ["a", "a.", "[", "{", '"', '"\\', "\\", "(", "<", ":", "1;", "a@", "-", "é", "\\x{41}"]
)
def test_long_texts(read: Callable[[str], object], unit: str) -> None:
    """Repetitions of what nests or escapes."""
    with contextlib.suppress(ValueError):
        read(unit * (LONG // len(unit)))
