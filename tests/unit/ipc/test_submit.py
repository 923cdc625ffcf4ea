"""Submissions: what sendmail writes is read again, and nothing else is a submission."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.ipc import submit
from posthouse.ipc.submit import (
    CONTENT,
    ENCODING,
    END,
    ENVID,
    FLAGS,
    FORMAT,
    FULL_NAME,
    KNOWN,
    MAX_CONTENT_RECORD,
    MAX_ENVELOPE_RECORD,
    NOTIFY,
    RECIPIENT,
    RET,
    SENDER,
    VERSION,
    Submission,
    SubmissionError,
    SubmissionReader,
    format_record,
)

START = format_record(VERSION, FORMAT)
GOOD = START + format_record(SENDER, b"a@b") + format_record(RECIPIENT, b"c@d") + format_record(CONTENT, b"x\n")
LAST = format_record(END, b"")


def read(*pieces: bytes) -> tuple[Submission, bytes, bool]:
    """Read a submission from pieces; its envelope, its content, and whether it is complete."""
    reader = SubmissionReader()
    content = b"".join(piece for data in pieces for piece in reader.feed(data))
    return reader.envelope, content, reader.complete


def test_everything_that_is_said_is_read() -> None:
    """NOTIFY holds for the recipients behind it."""
    said = [
        (ENCODING, b"8bit"), (ENVID, b"id"), (RET, b"HDRS"), (FULL_NAME, "Grün".encode()), (FLAGS, b"vu"),
        (SENDER, b""), (RECIPIENT, b"a"), (NOTIFY, b"never"), (RECIPIENT, b"b"), (CONTENT, b"1"), (CONTENT, b""),
        (CONTENT, b"2"),
    ]  # fmt: skip
    envelope, content, complete = read(START + b"".join(format_record(*each) for each in said) + LAST)
    assert (envelope.sender, envelope.sender_given, envelope.full_name) == ("", True, "Grün")
    assert envelope.recipients == [("a", ""), ("b", "never")]
    assert (envelope.encoding, envelope.envid, envelope.ret, envelope.flags) == ("8bit", "id", "HDRS", b"vu")
    assert (content, complete) == (b"12", True)


def test_a_sender_that_is_not_said_is_known_to_be_so() -> None:
    """The null sender is another thing."""
    assert not read(START + LAST)[0].sender_given
    assert read(START + format_record(SENDER, b"") + LAST)[0].sender_given


@given(st.lists(st.integers(0, len(GOOD + LAST)), max_size=6))
def test_it_may_come_in_any_pieces(cuts: list[int]) -> None:
    """Cut anywhere, also in the middle of a length."""
    whole = GOOD + LAST
    places = sorted(cuts)
    pieces = [whole[start:end] for start, end in zip([0, *places], [*places, len(whole)], strict=True)]
    envelope, content, complete = read(*pieces)
    assert (envelope.sender, envelope.recipients, content, complete) == ("a@b", [("c@d", "")], b"x\n", True)


def test_what_has_no_end_is_not_complete() -> None:
    """The writer may be writing still."""
    assert read(GOOD)[2] is False
    assert read((GOOD + LAST)[:-1])[2] is False


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"\0" + struct.pack(">I", 0), "malformed record"),
        (START + b"\0" + struct.pack(">I", 0), "malformed record"),
        (START + b"Z" + struct.pack(">I", 0), "malformed record"),
        (START + SENDER + struct.pack(">I", MAX_ENVELOPE_RECORD + 1), "malformed record"),
        (START + CONTENT + struct.pack(">I", MAX_CONTENT_RECORD + 1), "malformed record"),
        (format_record(SENDER, b"a@b"), "not a submission of this version"),
        (format_record(CONTENT, b"a@b"), "not a submission of this version"),
        (LAST, "not a submission of this version"),
        (format_record(VERSION, b"posthouse-submission-2"), "not a submission of this version"),
        (START + START, "not a submission of this version"),
        (GOOD + format_record(RECIPIENT, b"late@x"), "envelope record after content"),
        (GOOD + LAST + LAST, "data after the end"),
        (GOOD + LAST + format_record(CONTENT, b"x"), "data after the end"),
        (GOOD + LAST + b"x", "data after the end"),
        (GOOD + LAST + CONTENT + struct.pack(">I", 5), "data after the end"),
        (START + format_record(SENDER, b"a\0b"), "control character in an envelope record"),
        (START + format_record(RECIPIENT, b"a\rb"), "control character in an envelope record"),
        (START + format_record(FULL_NAME, b"a\nBcc: b"), "control character in an envelope record"),
        (START + format_record(SENDER, b"a\xff"), "envelope record is not UTF-8"),
        (START + format_record(ENCODING, b"9bit"), "unknown body type"),
        (START + format_record(FLAGS, b"vX"), "unknown flag"),
        (START + format_record(END, b"x"), "data in the end record"),
    ],
)
def test_what_is_not_exactly_a_submission_is_refused(octets: bytes, why: str) -> None:
    """Whoever can write into maildrop can write anything."""
    with pytest.raises(SubmissionError, match=why):
        read(octets)


def test_data_after_the_end_is_refused_also_when_it_comes_later() -> None:
    """The reader remembers that it is complete."""
    with pytest.raises(SubmissionError):
        read(GOOD + LAST, b"x" * 10)


records = st.builds(format_record, st.sampled_from(sorted(KNOWN)), st.binary(max_size=30))


@settings(max_examples=300)
@given(st.lists(records | st.binary(max_size=20), max_size=8).map(b"".join), st.booleans())
def test_no_bytes_make_it_raise_anything_else(octets: bytes, is_begun: bool) -> None:
    """Only SubmissionError, and nothing with a control character gets through."""
    reader = SubmissionReader()
    try:
        for _ in reader.feed((START if is_begun else b"") + octets):
            pass
    except SubmissionError:
        pass
    envelope = reader.envelope
    texts = [envelope.sender, envelope.full_name, envelope.envid, *(address for address, _ in envelope.recipients)]
    assert not any(set(text) & set("\0\r\n") for text in texts)


def test_record_types_are_frozen() -> None:
    """They are in files that an older or newer release may read."""
    assert b"".join(sorted(KNOWN)) == b"BEFGIMRSTVY"
    assert submit.HEAD.size == 5


def test_an_envelope_has_an_end() -> None:
    """Recipients for ever would take all memory, and more than a record between daemons holds."""
    reader = SubmissionReader()
    list(reader.feed(START))
    records = format_record(RECIPIENT, b"a@b") * 100_000
    with pytest.raises(SubmissionError, match="too many recipients"):
        list(reader.feed(records))
    assert 50_000 < len(reader.envelope.recipients) < 100_000
