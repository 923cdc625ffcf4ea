"""Phrases, comments and encoded-words."""

from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.message.tokens import parse_address_list
from posthouse.protocol.message.words import MAX_WORD, encode_words, header_text

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(
    lambda text: not text.startswith('"')
)


@given(WORDS, st.sampled_from(["phrase", "comment"]))
def test_a_reader_gets_the_text(text: str, context: str) -> None:
    """Each word is short enough; the standard library reads what was written, where no character was cut in two."""
    words = encode_words(text, context).split(" ")
    assert all(len(word) <= MAX_WORD and word.isascii() for word in words)
    octets = b"".join(data for data, _ in decode_header(" ".join(words)) if isinstance(data, bytes))
    assert octets.decode() == text


def test_the_shorter_way_is_taken() -> None:
    """Mostly ASCII stays readable."""
    assert encode_words("grüße an alle", "phrase") == "=?utf-8?Q?gr=C3=BC=C3=9Fe_an_alle?="
    assert encode_words("größe", "phrase") == "=?utf-8?B?Z3LDtsOfZQ==?="
    assert str(make_header(decode_header(encode_words("ä" * 80, "comment", separator="\n ")))) == "ä" * 80


@pytest.mark.parametrize(
    ("text", "context", "charset", "separator", "why"),
    [
        ("", "phrase", "utf-8", " ", "encoder called with empty input"),
        ("a", "phrase", "", " ", "encoder called with empty charset name"),
        ("a", "phrase", "utf 8", " ", "invalid character: 0x20 in charset name: 'utf 8'"),
        ("a", "phrase", "utf?8", " ", "invalid character: 0x3f in charset name: 'utf?8'"),
        ("a", "phrase", "x" * 70, " ", "leaves no room"),
        ("a", "phrase", "utf-8", "", "separator"),
        ("a", "phrase", "utf-8", ",", "separator"),
        ('"a b"', "phrase", "utf-8", " ", "quoted word as input: '\"a b\"'"),
        ("a", "subject", "utf-8", " ", "no context 'subject'"),
    ],
)
def test_what_cannot_give_good_words(text: str, context: str, charset: str, separator: str, why: str) -> None:
    """The caller is told why."""
    with pytest.raises(ValueError, match=r".") as caught:
        encode_words(text, context, charset, separator)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "context", "written"),
    [
        ("J. Doe", "phrase", '"J. Doe"'),
        ("john.doe x", "phrase", "john.doe x"),
        ('say "hi" \\o/', "phrase", '"say \\"hi\\" \\\\o/"'),
        (" a  b ", "phrase", "a b"),
        (" \n", "phrase", None),
        ("(a (b", "comment", "(a (b))"),
        ("a) b)(c", "comment", "a b(c)"),
        ("a\\", "comment", "a"),
        ("a\\(b", "comment", "a\\(b"),
        (")", "comment", None),
    ],
)
def test_header_text(text: str, context: str, written: str | None) -> None:
    """Quoted where it must be; balanced."""
    assert header_text(text, context) == written


@given(st.text(st.characters(max_codepoint=126, min_codepoint=32)))
def test_header_text_is_one_phrase_or_comment(text: str) -> None:
    """Before an address, or behind it, it does not change what the address is."""
    for context, form in (("phrase", "{} <a@b>"), ("comment", "a@b ({})")):
        written = header_text(text, context)
        if written is not None:
            addresses = [node for node in parse_address_list(form.format(written)) if node.kind == "address"]
            assert [[child.text for child in node.children] for node in addresses if len(node.children) == 3] == [
                ["a", "@", "b"]
            ]


def test_there_are_two_contexts() -> None:
    """Another is the caller's mistake."""
    with pytest.raises(ValueError, match="subject"):
        header_text("a", "subject")
