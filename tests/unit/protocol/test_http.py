"""The reader of requests: what is one, what is refused and why, at every cut and for any octets."""

from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posthouse.protocol.http import (
    MAX_FIELDS,
    MAX_HEAD,
    MAX_LINE,
    Refusal,
    Request,
    RequestReader,
    accepts,
    format_response,
)

HOST: Final = b"Host: x\r\n"
GET: Final = b"GET /metrics HTTP/1.1\r\n"
PROMETHEUS: Final = (
    b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9154\r\nUser-Agent: Prometheus/3.5.0\r\n"
    b"Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,"
    b"*/*;q=0.1\r\nAccept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
)
# What is sent, and what comes of it: a path, or the status and a word of the reason; None: more is waited for.
DIALOGS: Final[dict[str, tuple[bytes, str | tuple[int, str] | None]]] = {
    "a scraper": (PROMETHEUS, "/metrics"),
    "a probe": (
        b"GET /ready HTTP/1.1\r\nHost: 10.0.0.1:9154\r\nUser-Agent: kube-probe/1.33\r\nAccept: */*\r\n\r\n",
        "/ready",
    ),
    "HTTP/1.0 needs no Host": (b"GET /live HTTP/1.0\r\n\r\n", "/live"),
    "a query": (b"GET /metrics?name[]=up HTTP/1.1\r\n" + HOST + b"\r\n", "/metrics"),
    "a head": (b"HEAD /live HTTP/1.1\r\n" + HOST + b"\r\n", "/live"),
    "a length of nothing": (GET + HOST + b"Content-Length: 0\r\n\r\n", "/metrics"),
    "an empty Host": (GET + b"Host:\r\n\r\n", "/metrics"),
    "what follows is dropped": (GET + HOST + b"\r\n" + b"\0" * 10_000, "/metrics"),
    "a field of the longest kind": (GET + HOST + b"X: " + b"x" * (MAX_LINE - 5) + b"\r\n\r\n", "/metrics"),
    "nothing yet": (b"", None),
    "no end": (GET + HOST, None),
    "one octet short": (PROMETHEUS[:-1], None),
    "a post": (b"POST /metrics HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc", (405, "GET and HEAD")),
    "options": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", (405, "GET and HEAD")),
    "a tunnel": (b"CONNECT x:25 HTTP/1.1\r\n" + HOST + b"\r\n", (405, "GET and HEAD")),
    "small letters": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", (405, "GET and HEAD")),
    "a body": (GET + HOST + b"Content-Length: 3\r\n\r\nabc", (400, "body")),
    "a body of unknown length": (GET + HOST + b"Transfer-Encoding: chunked\r\n\r\n", (400, "body")),
    "a length that is no number": (GET + HOST + b"Content-Length: +0\r\n\r\n", (400, "body")),
    "two lengths": (GET + HOST + b"Content-Length: 0\r\nContent-Length: 1\r\n\r\n", (400, "body")),
    "no Host": (GET + b"\r\n", (400, "Host")),
    "two Hosts": (GET + HOST + HOST + b"\r\n", (400, "Host")),
    "a whole URL": (b"GET http://x/metrics HTTP/1.1\r\n" + HOST + b"\r\n", (400, "slash")),
    "another protocol": (b"EHLO client.test\r\n", (400, "request line")),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, "request line")),
    "HTTP/0.9": (b"GET /metrics\r\n", (400, "request line")),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n", (400, "request line")),
    "two blanks": (b"GET  / HTTP/1.1\r\n", (400, "request line")),
    "a blank in the target": (b"GET /a b HTTP/1.1\r\n", (400, "request line")),
    "an empty line before": (b"\r\n" + PROMETHEUS, (400, "request line")),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", (400, "CR LF")),
    "LF alone": (b"GET / HTTP/1.1\n", (400, "CR LF")),
    "CR in a line": (b"GET /\r HTTP/1.1\r\n", (400, "request line")),
    "LF alone in a field": (GET + b"Host: x\n\r\n", (400, "CR LF")),
    "a folded field": (GET + HOST + b"X: a\r\n b\r\n\r\n", (400, "field")),
    "a blank before the colon": (GET + b"Host : x\r\n\r\n", (400, "field")),
    "no colon": (GET + b"Host\r\n\r\n", (400, "field")),
    "a field without a name": (GET + b": x\r\n\r\n", (400, "field")),
    "NUL in a value": (GET + b"Host: \0\r\n\r\n", (400, "field")),
    "CR in a value": (GET + b"Host: a\rb\r\n\r\n", (400, "field")),
    "too many fields": (GET + b"X:\r\n" * (MAX_FIELDS + 1), (400, "too many")),
    "a long path": (b"GET /" + b"x" * MAX_LINE, (400, "too long")),
    "a long field": (GET + b"X: " + b"x" * (MAX_LINE - 4) + b"\r\n\r\n", (400, "too long")),
    "long fields": (GET + (b"X: " + b"x" * 1000 + b"\r\n") * 9, (400, "too long")),
    "never a line": (b"x" * 1_000_000, (400, "too long")),
}


def outcome_of(octets: bytes, size: int = 1 << 20) -> Request | Refusal | None:
    """Read octets in pieces of one size."""
    reader, found = RequestReader(), None
    for start in range(0, len(octets), size):
        found = reader.receive(octets[start : start + size])
    return found


@pytest.mark.parametrize("name", DIALOGS)
def test_dialogs(name: str) -> None:
    """Whole, and cut into pieces of several sizes."""
    octets, expected = DIALOGS[name]
    for size in (1 << 20, 7, 1):
        found = outcome_of(octets[: 3 * MAX_HEAD], size)
        if isinstance(expected, str):
            assert isinstance(found, Request)
            assert found.path == expected
        elif expected is not None:
            assert isinstance(found, Refusal)
            assert (found.status, expected[1] in found.why) == (expected[0], True), found
        else:
            assert found is None


def test_a_whole_request_is_read() -> None:
    """Method, path and the Accept fields, joined."""
    octets = b"HEAD /x?y HTTP/1.1\r\naccept: a/b \r\nHOST:x\r\nAccept:\tc/d; q=0.5\r\n\r\n"
    assert outcome_of(octets) == Request("HEAD", "/x", "a/b, c/d; q=0.5")


def test_no_more_than_the_limit_is_kept() -> None:
    """Whatever is sent without an end."""
    reader = RequestReader()
    for piece in (b"GET / HTTP/1.1\r\n", b"x" * 1000, b"y" * 1_000_000, b"z" * 1000):
        reader.receive(piece)
        assert len(reader._partial) <= MAX_LINE


PIECES: Final = st.sampled_from(
    [
        GET,
        HOST,
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\0",
        b"Content-Length: 0\r\n",
        b"X" * 700,
        b":",
        b"GET / HTTP/1.0\r\n",
        b"\xff",
    ]
)
OCTETS: Final = st.one_of(
    st.binary(max_size=200), st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=30).map(b"".join)
)


@given(OCTETS, st.lists(st.integers(0, 10_000), max_size=8))
@example(PROMETHEUS, [1, 2, 50])
@example(b"GET /" + b"x" * (MAX_LINE - 16) + b" HTTP/1.1\r\n", [MAX_LINE - 1])
@example(b"GET /" + b"x" * (MAX_LINE - 15) + b" HTTP/1.1\r\n", [MAX_LINE - 1])
def test_any_octets_have_one_outcome_wherever_they_are_cut(octets: bytes, cuts: list[int]) -> None:
    """Never an exception; the same for all cuts; and what is no request gets a reason."""
    whole = outcome_of(octets)
    reader, found, last = RequestReader(), None, 0
    for cut in [*sorted(min(cut, len(octets)) for cut in cuts), len(octets)]:
        found = reader.receive(octets[last:cut])
        last = cut
    assert found == whole
    if isinstance(found, Refusal):
        assert found.status in (400, 405)
        format_response(found.status, "text/plain", found.why.encode(), now=0)


ACCEPTED: Final = {
    "": False,
    "*/*": False,
    "text/plain": False,
    "application/openmetrics-text": True,
    "text/plain;version=0.0.4;q=0.5, Application/OpenMetrics-Text ; version=1.0.0;q=0.8": True,
    "application/openmetrics-text;q=0": False,
    "application/openmetrics-text;q=0.000": False,
    "application/openmetrics-text;q=0.001": True,
    "application/openmetrics-text2,;;,=": False,
}


@pytest.mark.parametrize("field", ACCEPTED)
def test_a_media_type_is_accepted_by_its_name(field: str) -> None:
    """Not by a wildcard, and not with a weight of nothing."""
    assert accepts(field, "application/openmetrics-text") is ACCEPTED[field]


@given(st.text(max_size=100))
def test_any_accept_field_has_an_answer(field: str) -> None:
    """Never an exception."""
    assert accepts(field, "a/b") in (True, False)


def test_an_answer_is_as_the_standard_has_it() -> None:
    """Its length, the date with two digits for the day, and no body for HEAD."""
    head, _, body = format_response(405, "text/plain", b"no\n", now=784_111_777).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert (lines[0], body) == (b"HTTP/1.1 405 Method Not Allowed", b"no\n")
    assert {b"Date: Sun, 06 Nov 1994 08:49:37 GMT", b"Content-Length: 3", b"Allow: GET, HEAD"} < set(lines)
    assert format_response(200, "a/b", b"page", now=0, with_body=False).endswith(b"Connection: close\r\n\r\n")
