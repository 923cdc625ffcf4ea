"""Settings as bytes: they come back the same, and no other bytes are taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.settings import Identity, Origin, Settings
from posthouse.config.wire import MAX_BYTES, WireError, format_settings, parse_settings

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=8) | st.binary(max_size=4).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)
SAMPLE = Settings(
    {"a": "b", "myhostname": "\udcff"},
    Identity("smtp", "smtpd", "/etc/postfix"),
    {"mydomain": "x"},
    {"a": Origin("/etc/postfix/main.cf", 3)},
)


@given(st.dictionaries(TEXT, TEXT, max_size=4), st.dictionaries(TEXT, TEXT, max_size=3), TEXT, st.integers(0, 10**6))
def test_settings_come_back(explicit: dict[str, str], facts: dict[str, str], name: str, line: int) -> None:
    """Format and parse are inverse, whatever the texts are."""
    origins = {key: Origin("main.cf", line) for key in list(explicit)[:1]}
    made = parse_settings(format_settings(Settings(explicit, Identity(name, name, name), facts, origins)))
    assert (made.explicit, made.facts, made.identity) == (explicit, facts, Identity(name, name, name))
    assert made.origins == origins


@given(st.integers(0, 200))
def test_cut_off_bytes_are_refused(length: int) -> None:
    """At every place but between two entries, and without an identity."""
    data = format_settings(SAMPLE)
    cut = data[: min(length, len(data) - 1)]
    try:
        parse_settings(cut)
    except WireError:
        return
    assert data[len(cut) : len(cut) + 4] in (b"1:s,", b"1:f,")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no settings"),
        (b"3:abc,", "no settings"),
        (b"x", "length is missing"),
        (b":,", "no number"),
        (b"99:a,", "cut off"),
        (b"1:ab", "cut off"),
        (b"123456789:a,", "length is missing"),
        (b"20:posthouse settings 1,", "nobody is named"),
        (b"20:posthouse settings 1,1:z,", "unknown entry"),
        (b"20:posthouse settings 1,1:i,0:,", "cut off"),
        (b"20:posthouse settings 1,1:s,1:a,1:b,1:f,1:x,", "no number"),
        (bytes(MAX_BYTES + 1), "too large"),
    ],
)
def test_other_bytes_are_refused(data: bytes, why: str) -> None:
    """Each kind of damage has its message."""
    with pytest.raises(WireError, match=why):
        parse_settings(data)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    """A daemon never dies of a traceback here."""
    try:
        parse_settings(b"20:posthouse settings 1,1:i,0:,0:,0:," + data)
    except WireError:
        return
