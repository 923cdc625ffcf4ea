"""Text with escapes (RFC 6533 3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.utf8_xtext import decode, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, st.text(st.sampled_from("+=;"), max_size=3), st.booleans())
def test_there_and_back(text: str, special: str, ascii_only: bool) -> None:
    """Whatever the text; what must not stand there does not."""
    written = encode(text, special, ascii_only=ascii_only)
    assert decode(written) == text
    assert not set(written) & {*special, " ", "\n", "\x7f"}
    assert written.isascii() or not ascii_only


def test_forms() -> None:
    """Two digits or more, in capital letters."""
    assert encode("a \\π\U0001f4ee") == "a\\x{20}\\x{5C}\\x{3C0}\\x{1F4EE}"
    assert encode("π=\t", "=", ascii_only=False) == "π\\x{3D}\\x{09}"
    assert decode("\\x{1f4ee}x") == "\U0001f4eex"


@pytest.mark.parametrize("text", ["\\", "a\\x{4", "\\x{4}", "\\x{}", "\\x{D800}", "\\x{110000}", "\\x{0000041}", "\\n"])
def test_malformed(text: str) -> None:
    """A backslash begins an escape, or the text is wrong."""
    with pytest.raises(ValueError, match=r"malformed escape at character [12]"):
        decode(text)


def test_what_is_no_text_cannot_be_written() -> None:
    """There is no character for an octet that is not UTF-8."""
    with pytest.raises(ValueError, match="malformed UTF-8"):
        encode("\udcff")
