"""Queue files as Postfix writes them, for postcat(1): what an older queue holds can still be read.

A file is a chain of records: a letter, the length in groups of seven bits (low first), the data. The envelope comes
first, then the content line by line, then what was extracted from the header. A pointer leads to a record elsewhere,
where something was put in later. Our own queue has no such files. Source: postcat(1).
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

ENVELOPE, CONTENT, EXTRACTED, END = "ENVELOPE RECORDS", "MESSAGE CONTENTS", "HEADER EXTRACTED", "MESSAGE FILE END"
_SECTIONS: Final = {b"M": CONTENT, b"X": EXTRACTED, b"E": END}
_LINE, _PIECE, _POINTER, _PADDING = b"N", b"L", b"p", b"w"
_LABELS: Final = {
    b"C": "message_size", b"T": "message_arrival_time", b"c": "create_time", b"F": "sender_fullname",
    b"I": "content_inspector", b"L": "content_filter", b"S": "sender", b"D": "done_recipient", b"R": "recipient",
    b"O": "original_recipient", b"/": "canceled_recipient", b"W": "warning_message_time", b"A": "named_attribute",
    b"K": "killed_record", b">": "redirect_to", b"f": "flags", b"d": "delay", b"N": "regular_text", b"w": "padding",
    b"r": "return_receipt", b"e": "errors_to", b"P": "priority", b"p": "pointer_record", b"V": "verp_delimiters",
    b"<": "dsn_return_full_or_hdrs", b"i": "dsn_envelope_id", b"o": "dsn_original_recipient", b"n": "dsn_notify_flags",
}  # fmt: skip
_MAX_LENGTH_BITS: Final = 28
_HEADER: Final = re.compile(rb"[!-9;-~]+[ \t]*:|[ \t]")


class QueueFileError(ValueError):
    """It is no queue file, or it is damaged; str() says where."""


class Record(NamedTuple):
    """One record, and where it begins."""

    offset: int
    kind: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown. parts: of "-e", "-h", "-b"; raw: in the order of the file, pointers not followed."""

    parts: frozenset[str]
    offsets: bool = False
    types: bool = False  # the letters as decimal numbers
    name: bool = False  # of the file, before each line
    verbose: bool = False  # also what is there for the format's sake
    raw: bool = False
    start: int = 0


def records(data: bytes, start: int = 0, *, follow: bool = True) -> Iterator[Record]:
    """Read record after record, to the end record; without following pointers, to the end of the file.

    Raises QueueFileError: the file ends before that, or leads in circles.
    """
    at, seen = start, set[int]()
    while follow or at < len(data):
        record, after = _record_at(data, at)
        yield record
        if record.kind == b"E" and follow:
            return
        if record.kind == _POINTER and follow and (target := _target(record)):
            if target in seen:
                raise QueueFileError(f"offset {at}: pointers lead in a circle")
            seen.add(target)
            after = target
        at = after


def _record_at(data: bytes, offset: int) -> tuple[Record, int]:
    at, length, shift = offset + 1, 0, 0
    while True:
        if at >= len(data):
            raise QueueFileError(f"offset {offset}: unexpected end of file")
        group = data[at]
        at += 1
        length |= (group & 0x7F) << shift
        if group < 0x80:
            break
        shift += 7
        if shift > _MAX_LENGTH_BITS:
            raise QueueFileError(f"offset {offset}: this is no record of a queue file")
    if at + length > len(data):
        raise QueueFileError(f"offset {offset}: unexpected end of file")
    return Record(offset, data[offset : offset + 1], data[at : at + length]), at + length


def _target(record: Record) -> int:
    text = record.data.strip()
    if not text.isdigit():
        raise QueueFileError(f"offset {record.offset}: a pointer to nowhere")
    return int(text)


def show(data: bytes, name: str, what: Shown) -> Iterator[bytes]:
    """Give the lines of postcat's output. Raises QueueFileError."""
    printer = _Printer(name, what)
    if "-e" in what.parts and not what.start:
        yield printer.heading(ENVELOPE)
    section, in_header, in_line = ENVELOPE, True, False
    for record in _visible(data, what):
        if record.kind in _SECTIONS:
            section = _SECTIONS[record.kind]
            if "-e" in what.parts:
                yield printer.line(record, printer.heading(section), always=True)
            continue
        if section != CONTENT or record.kind not in (_LINE, _PIECE):
            if "-e" in what.parts:
                yield printer.labelled(record)
            continue
        if in_header and not in_line:
            in_header = _HEADER.match(record.data) is not None
        if ("-h" if in_header else "-b") in what.parts:
            yield printer.content(record, continues=in_line)
        in_line = record.kind == _PIECE


def as_data(data: bytes, name: str) -> dict[str, object]:
    """Give the message as `postcat --json -q` gives one of our queue. Raises QueueFileError."""
    found: dict[bytes, list[str]] = {}
    recipients: list[dict[str, str]] = []
    content, original, section = b"", "", ENVELOPE
    for record in records(data):
        section = _SECTIONS.get(record.kind, section)
        text = record.data.decode("utf-8", "replace")
        if section == CONTENT and record.kind in (_LINE, _PIECE):
            content += record.data + (b"\n" if record.kind == _LINE else b"")
        elif record.kind == b"R":
            recipients.append({"address": text, "orig_address": original})
        elif record.kind not in _SECTIONS:
            found.setdefault(record.kind, []).append(text)
        original = text if record.kind == b"O" else ""
    arrival, size = (found.get(kind, [""])[0].split() for kind in (b"T", b"C"))
    return {
        "file": name,
        "arrival_time": int(arrival[0]) if arrival and arrival[0].isdecimal() else None,
        "message_size": int(size[0]) if size and size[0].isdecimal() else None,
        "sender": found.get(b"S", [""])[0],
        "recipients": recipients,
        "done_recipients": found.get(b"D", []),
        "attributes": found.get(b"A", []),
        "content": content.decode("utf-8", "replace"),
    }


def _visible(data: bytes, what: Shown) -> Iterator[Record]:
    """Leave out what the format needs for itself. What a pointer led to is then shown as if it stood there."""
    offset = -1
    for record in records(data, what.start, follow=not what.raw):
        if what.verbose or record.kind not in (_POINTER, _PADDING):
            yield record if offset < 0 else record._replace(offset=offset)
            offset = -1
        elif record.kind == _POINTER and _target(record):
            offset = record.offset if offset < 0 else offset


class _Printer:
    def __init__(self, name: str, what: Shown) -> None:
        self._name = name.encode("utf-8", "surrogateescape")
        self._what = what

    def heading(self, section: str) -> bytes:
        return b"*** " + section.encode() + b" " + self._name + b" ***\n"

    def line(self, record: Record, text: bytes, *, always: bool = False) -> bytes:
        """Put before a line what was asked for."""
        start = self._name + b": " if self._what.name and not always else b""
        start += b"%9d " % record.offset if self._what.offsets else b""
        return start + (b"%3d " % record.kind[0] if self._what.types else b"") + text

    def labelled(self, record: Record) -> bytes:
        label, data = _LABELS.get(record.kind, "unknown_record_type"), record.data
        if record.kind == b"A" and data.startswith(b"create_time="):
            label, data = "create_time", data.partition(b"=")[2]
        if label in ("message_arrival_time", "create_time", "warning_message_time"):
            data = _date(data)
        return self.line(record, label.encode() + b": " + data + b"\n")

    def content(self, record: Record, *, continues: bool) -> bytes:
        what, label = self._what, b""
        if what.verbose:
            label = b"regular_text: " if record.kind == _LINE else b"unterminated_text: "
        if what.verbose or what.offsets or what.types:  # each record has a line of its own
            return self.line(record, label + record.data + b"\n")
        text = record.data + (b"\n" if record.kind == _LINE else b"")
        return text if continues else self.line(record, text)


def _date(data: bytes) -> bytes:
    """Show the seconds at the start of a record as local time."""
    seconds = data.split(b" ")[0]
    if not seconds.isdigit() or len(seconds) > 11:
        return data
    return time.asctime(time.localtime(int(seconds))).encode()
