"""Local submission: sendmail → the submit socket, and the files in maildrop/. One format for both.

A submission is records: one type octet, a 4-octet length (network order), the octets. Only the standard library is
used here, because every sendmail(1) call pays for what it imports. The first record is VERSION, the last END; what
follows END is refused. Envelope records come before the first CONTENT.

Answer on the socket: one line "code dsn text" (SMTP code). Who submits is the kernel's word (SO_PEERCRED) or
the file's owner, never a record.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # typing and dataclasses cost 20 ms at each start of sendmail
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

HEAD: Final = struct.Struct(">cI")
DRAINED: Final = "the mail system is being drained and takes no mail; try again later"
FORMAT: Final = b"posthouse-submission-1"
VERSION, SENDER, RECIPIENT, FULL_NAME, ENCODING, ENVID, RET, NOTIFY, FLAGS, CONTENT, END = (
    b"V", b"S", b"R", b"F", b"B", b"I", b"T", b"Y", b"G", b"M", b"E",
)  # fmt: skip
KNOWN: Final = frozenset((VERSION, SENDER, RECIPIENT, FULL_NAME, ENCODING, ENVID, RET, NOTIFY, FLAGS, CONTENT, END))
_FIELDS: Final = {  # of Submission, for records that say one thing each
    SENDER: "sender", FULL_NAME: "full_name", ENCODING: "encoding", ENVID: "envid", RET: "ret", NOTIFY: "notify",
}  # fmt: skip
MAX_ENVELOPE_RECORD: Final = 4096  # octets; longer than any address or name that is meant
MAX_CONTENT_RECORD: Final = 64 * 1024
MAX_ENVELOPE: Final = 4 * 1024 * 1024  # octets of all envelope records, each with RECORD_COST: 50 000 recipients or so
RECORD_COST: Final = 48  # what a record costs beside its octets, here and in the records between daemons
FLAG_TRACE, FLAG_VERIFY, FLAG_SMTPUTF8, FLAG_GATEWAY = b"v", b"n", b"u", b"g"  # sendmail -v, -bv, -O smtputf8, -G


class SubmissionError(ValueError):
    """The records are not a submission; str() is the bare reason."""


class Submission:
    """The envelope of a submission; content is apart."""

    def __init__(self) -> None:
        self.sender = ""
        self.sender_given = False
        self.recipients: list[tuple[str, str]] = []  # address, NOTIFY value in force ("" none)
        self.full_name = ""
        self.encoding = ""
        self.envid = ""
        self.ret = ""
        self.notify = ""
        self.flags = b""


def format_record(kind: bytes, data: bytes) -> bytes:
    """One record."""
    return HEAD.pack(kind, len(data)) + data


class SubmissionReader:
    """Records in, envelope and content out; strict. Feed bytes as they come.

    Raises SubmissionError from feed() for anything that is not exactly a submission.
    """

    def __init__(self) -> None:
        self.envelope = Submission()
        self.complete = False
        self._buffer = bytearray()
        self._first = True
        self._in_content = False
        self._envelope_size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes; yield pieces of content (LF line ends)."""
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            kind, length = HEAD.unpack_from(self._buffer)
            if kind not in KNOWN or length > (MAX_CONTENT_RECORD if kind == CONTENT else MAX_ENVELOPE_RECORD):
                raise SubmissionError("malformed record")
            if self.complete:
                raise SubmissionError("data after the end")
            if len(self._buffer) < HEAD.size + length:
                return
            value = bytes(self._buffer[HEAD.size : HEAD.size + length])
            del self._buffer[: HEAD.size + length]
            if kind == CONTENT and not self._first:
                self._in_content = True
                yield value
            else:
                self._envelope_record(kind, value)
        if self.complete and self._buffer:
            raise SubmissionError("data after the end")

    def _envelope_record(self, kind: bytes, value: bytes) -> None:
        if self._first != (kind == VERSION) or (kind == VERSION and value != FORMAT):
            raise SubmissionError("not a submission of this version")
        self._first = False
        if kind == END:
            if value:
                raise SubmissionError("data in the end record")
            self.complete = True
            return
        if kind == VERSION:
            return
        if self._in_content:
            raise SubmissionError("envelope record after content")
        self._envelope_size += len(value) + RECORD_COST
        if self._envelope_size > MAX_ENVELOPE:
            raise SubmissionError("too many recipients")
        if any(octet in value for octet in (b"\0", b"\r", b"\n")):
            raise SubmissionError("control character in an envelope record")
        self._set(kind, value)

    def _set(self, kind: bytes, value: bytes) -> None:
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise SubmissionError("envelope record is not UTF-8") from error
        envelope = self.envelope
        if kind == RECIPIENT:
            envelope.recipients.append((text, envelope.notify))
        elif kind == FLAGS:
            if set(value) - set(FLAG_TRACE + FLAG_VERIFY + FLAG_SMTPUTF8 + FLAG_GATEWAY):
                raise SubmissionError("unknown flag")
            envelope.flags = value
        else:
            if kind == ENCODING and text not in ("7bit", "8bit"):
                raise SubmissionError("unknown body type")
            setattr(envelope, _FIELDS[kind], text)
            envelope.sender_given = envelope.sender_given or kind == SENDER
