"""Message content: the end, the dots, bare CR and LF, and that none of it depends on how bytes arrive."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posthouse.protocol.smtp.content import BareNewline, ContentReader

PIECES = st.lists(
    st.sampled_from(
        [b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"bc.", b"\r\n.", b".\r\n", b"\x00", b"\xc3\xa9", b"\x85", b"\x0b"]
    ),
    max_size=30,
).map(b"".join)
MODES = st.sampled_from(BareNewline)


def read(chunks: list[bytes], mode: BareNewline = BareNewline.NORMALIZE) -> tuple[bytes, ContentReader]:
    """Feed the chunks until the reader is done; what it did not take is in `rest`."""
    reader = ContentReader(mode)
    out = b""
    for index, chunk in enumerate(chunks):
        if chunk:
            out += reader.feed(chunk)
        if reader.done:
            reader.rest += b"".join(chunks[index + 1 :])
            break
    return out, reader


def reference(data: bytes) -> tuple[bytes, bytes] | None:
    """Read line by line, slowly and obviously: content in LF form and the rest; None: no end."""
    out: list[bytes] = []
    start, after_crlf = 0, True
    while (end := data.find(b"\n", start)) >= 0:
        is_crlf = end > start and data[end - 1 : end] == b"\r"
        line = data[start : end - 1 if is_crlf else end]
        start = end + 1
        if line == b"." and is_crlf and after_crlf:
            return b"".join(out), data[start:]
        after_crlf = is_crlf
        if line == b".":
            continue
        out.append(line.removeprefix(b".") + b"\n")
    return None


@pytest.mark.parametrize(
    ("wire", "content", "size"),
    [
        (b".\r\n", b"", 0),
        (b"a\r\n.\r\n", b"a\n", 3),
        (b"..\r\n.\r\n", b".\n", 3),
        (b"a\r\n..b\r\n...\r\n.\r\n", b"a\n.b\n..\n", 11),
        (b"\r\n\r\n.\r\n", b"\n\n", 4),
        (b"a\nb\r\n.\r\n", b"a\nb\n", 6),
        (b"a\n.\nb\r\n.\r\n", b"a\nb\n", 6),
        (b"a\n.\r\nb\r\n.\r\n", b"a\nb\n", 6),
        (b"a\r\n.\nb\r\n.\r\n", b"a\nb\n", 6),
        (b"a\n.\n.\n..c\r\n.\r\n", b"a\n.c\n", 7),
        (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\n", 7),
        (b"a\r.\r\nb\r\n.\r\n", b"a\r.\nb\n", 8),
        (b"a\r\n.\rb\r\n.\r\n", b"a\n\rb\n", 7),
        (b"a\r\r\n.\r\n", b"a\r\n", 4),
        (b"a\r\n\x00.\r\n.\r\n", b"a\n\x00.\n", 7),
        (b"a\r\n.\x00\r\n.\r\n", b"a\n\x00\n", 6),
        (
            b"a\x85.\x85\x0b.\x0b\x0c.\x0c\xe2\x80\xa8.\xe2\x80\xa8\r\n.\r\n",
            b"a\x85.\x85\x0b.\x0b\x0c.\x0c\xe2\x80\xa8.\xe2\x80\xa8\n",
            19,
        ),
    ],
)
def test_content_is_read(wire: bytes, content: bytes, size: int) -> None:
    """Dots are unstuffed, line ends are LF, and only CRLF.CRLF ends the content."""
    out, reader = read([wire + b"QUIT\r\n"])
    assert (out, reader.done, reader.rest, reader.size_bytes) == (content, True, b"QUIT\r\n", size)


@given(PIECES, st.lists(st.integers(0, 60), max_size=8), MODES)
@example(b".\n", [], BareNewline.NORMALIZE)
def test_cuts_do_not_matter(data: bytes, cuts: list[int], mode: BareNewline) -> None:
    """The same bytes give the same content, size and findings, however they are cut."""
    data += b"x\r\n.\r\nrest"
    at = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    whole, one = read([data], mode)
    joined, many = read([data[a:b] for a, b in itertools.pairwise(at)], mode)
    single, bytewise = read([data[i : i + 1] for i in range(len(data))], mode)
    assert whole == joined == single
    for other in (many, bytewise):
        assert (one.done, one.rest, one.size_bytes, one.bare_lf, one.bare_cr) == (
            other.done,
            other.rest,
            other.size_bytes,
            other.bare_lf,
            other.bare_cr,
        )


@given(PIECES)
def test_agrees_with_reading_line_by_line(data: bytes) -> None:
    """The whole-buffer reader and an obvious reader of lines find the same content."""
    data += b"x\r\n.\r\nrest"
    out, reader = read([data])
    assert (out, reader.rest) == reference(data)


@given(PIECES)
def test_findings_are_exact(data: bytes) -> None:
    """bare_lf and bare_cr say whether a LF or CR stands outside of CRLF in the content."""
    out, reader = read([data + b"x\r\n.\r\n"])
    wire = (data + b"x\r\n.\r\n")[: len(data) + 6 - len(reader.rest)].replace(b"\r\n", b"")
    assert reader.bare_lf == (b"\n" in wire)
    assert reader.bare_cr == (b"\r" in wire)
    assert reader.size_bytes == len(out) + out.count(b"\n")


@pytest.mark.parametrize("mode", [BareNewline.NO, BareNewline.NOTE])
@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r\n"])
def test_old_clients_may_end_with_bare_newlines_where_allowed(mode: BareNewline, end: bytes) -> None:
    """With smtpd_forbid_bare_newline = no any mix of line ends around the dot is the end."""
    out, reader = read([b"a" + end + b"QUIT\r\n"], mode)
    assert (out, reader.rest) == (b"a\n", b"QUIT\r\n")
