"""Filters and names of LDAP: known encodings, what is no filter, and that a quoted value is one value."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posthouse.protocol.ldap.ber import Reader
from posthouse.protocol.ldap.filter import MAX_NESTING, MalformedFilter, encode_filter, quote_name, quote_value

GOOD = {
    "(cn=a)": "a307 0402636e 040161",
    "cn=a": "a307 0402636e 040161",
    "(cn=*)": "8702636e",
    "(cn=)": "a306 0402636e 0400",
    "(cn=\\2a\\00)": "a308 0402636e 04022a00",
    "(cn=ä)": "a308 0402636e 0402c3a4",
    "(cn=a*)": "a409 0402636e 3003 800161",
    "(cn=*a)": "a409 0402636e 3003 820161",
    "(cn=*a*)": "a409 0402636e 3003 810161",
    "(cn=a*b*c)": "a40f 0402636e 3009 800161 810162 820163",
    "(cn>=a)": "a507 0402636e 040161",
    "(cn<=a)": "a607 0402636e 040161",
    "(cn~=a)": "a807 0402636e 040161",
    "(!(cn=a))": "a209 a307 0402636e 040161",
    "(&(cn=a)(sn=b))": "a012 a307 0402636e 040161 a307 0402736e 040162",
    "(| (cn=a) (sn=b) )": "a112 a307 0402636e 040161 a307 0402736e 040162",
    "(&)": "a000",
    "(cn:dn:2.4.6:=a)": "a911 8105322e342e36 8202636e 830161 8401ff",
    "(:caseExactMatch:=a)": "a913 810e6361736545786163744d61746368 830161",
    "(1.2.840=a)": "a30c 0407312e322e383430 040161",
    "(cn;lang-de=a)": "a30f 040a636e3b6c616e672d6465 040161",
}
BAD = {
    "(cn=a": "missing",
    "cn=a)": "behind",
    "(cn=a))": "behind",
    "(&(cn=a)": "missing",
    "(&(cn=a)x)": "missing",
    "(!cn=a)": "missing",
    "(cn)": "attribute=value",
    "()": "attribute=value",
    "(=a)": "attribute=value",
    "(c n=a)": "attribute=value",
    "(cn=a(b)": "middle",
    "(cn=\\2)": "backslash",
    "(cn=\\zz)": "backslash",
    "(cn=**)": "asterisks",
    "(cn>=a*)": "asterisk",
    "": "attribute=value",
    "(:=a)": "attribute=value",
    "(!" * (MAX_NESTING + 2): "in one another",
}


@pytest.mark.parametrize("text", GOOD)
def test_filters(text: str) -> None:
    """Octet for octet as RFC 4511 has it."""
    assert encode_filter(text).hex() == GOOD[text].replace(" ", "")


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_filter(text: str) -> None:
    """It is said what is wrong."""
    with pytest.raises(MalformedFilter, match=BAD[text]):
        encode_filter(text)


def test_quoted_values() -> None:
    """What means something in a filter is written by its number."""
    assert quote_value("a*(b)\\\0") == "a\\2a\\28b\\29\\5c\\00"
    assert quote_value("ä\udcff") == "\\c3\\a4\\ff"
    assert quote_value("  a b ") == "\\20 a b\\20"


@example(" ", "cn={}")
@given(st.text(max_size=30), st.sampled_from(["(cn={})", "(&(cn={})(x=y))", "cn={}", "(!(cn={}))"]))
def test_a_quoted_value_is_one_value(text: str, template: str) -> None:
    """No key adds to a filter or becomes a pattern: exactly its octets are compared."""
    plain = encode_filter(template.format("MARK"))
    text = text.encode("utf-8", "replace").decode()
    encoded = encode_filter(template.format(quote_value(text)))
    assert b"MARK" in plain
    assert _values(encoded) == [value if value != b"MARK" else text.encode() for value in _values(plain)]


def _values(encoded: bytes) -> list[bytes]:
    """Give all octet strings in a filter, in order, and fail on anything but and, or, not, equality."""
    reader, found = Reader(encoded), []
    while reader:
        element = reader.take()
        if element.tag in (0xA0, 0xA1, 0xA2):
            found += _values(encoded[element.begin : element.end])
        else:
            assert element.tag == 0xA3
            inner = reader.of(element)
            found += [inner.octets(), inner.octets()]
            assert not inner
    return found


@given(st.text(alphabet="()&|!=*\\ac0-9: <>~;", max_size=40))
def test_any_text(text: str) -> None:
    """Any text is a filter or MalformedFilter, and a filter is one well-formed element."""
    try:
        encoded = encode_filter(text)
    except MalformedFilter:
        return
    reader = Reader(encoded)
    reader.take()
    assert not reader


def test_quoted_names() -> None:
    """RFC 4514 2.4: what separates parts of a name, blanks at its ends, controls, and all beyond ASCII."""
    assert quote_name("a b") == "a b"
    assert quote_name(" a,b=c+d ") == "\\20a\\2cb\\3dc\\2bd\\20"
    assert quote_name('"<>;\\#') == "\\22\\3c\\3e\\3b\\5c\\23"
    assert quote_name("ä\n\udcff") == "\\c3\\a4\\0a\\ff"


@given(st.text(max_size=30))
def test_a_quoted_name_separates_nothing(text: str) -> None:
    """What is left unquoted cannot end a part of a name."""
    text = text.encode("utf-8", "replace").decode()
    quoted = quote_name(text)
    assert not set(quoted) & set('"+,;<>=#\0')
    assert quoted == quoted.strip()
