"""What postmap(1) and postalias(1) read and print: queries from standard input, header and body lines, JSON."""

import re
import sys
from collections.abc import Iterator
from typing import Final

from posthouse.protocol.text import json_escape
from posthouse.tables.source import decode

_HEADER: Final = re.compile(r"[!-9;-~]+[ \t]*:")


def write(text: str) -> None:
    """Write to standard output; octets that are no UTF-8 go out as they came in."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))


def format_entry(key: str, value: str, *, separator: str = "\t", as_json: bool = False) -> str:
    """Write one entry as a line. JSON keeps octets that are no UTF-8 as they are, as Postfix does."""
    if as_json:
        return f"{{{_quoted(key)}: {_quoted(value)}}}\n"
    return f"{key}{separator}{value}\n"


def _quoted(text: str) -> str:
    return f'"{decode(json_escape(text.encode("utf-8", "surrogateescape")))}"'


def read_input() -> str:
    """Read all of standard input."""
    return decode(sys.stdin.buffer.read())


def input_lines() -> Iterator[str]:
    """Give the lines of standard input, without newline."""
    text = read_input()
    yield from text.removesuffix("\n").split("\n") if text else ()


def message_lines(*, headers: bool, body: bool) -> Iterator[str]:
    """Give the logical header lines and/or the body lines of a message on standard input, without empty lines."""
    lines = list(input_lines())
    at, logical = 0, list[str]()
    while at < len(lines) and (_HEADER.match(lines[at]) or (logical and lines[at][:1] in (" ", "\t") and lines[at])):
        if lines[at][:1] in (" ", "\t"):
            logical[-1] += "\n" + lines[at]
        else:
            logical.append(lines[at])
        at += 1
    if headers:
        yield from logical
    if body:
        yield from (line for line in lines[at:] if line)


def mime_lines(*, headers: bool, body: bool) -> Iterator[str]:
    """Give the same with the headers of MIME parts, which are no body; lines are whole."""
    from posthouse.protocol.message.mime import ALL_LINES, MimeParser
    from posthouse.protocol.message.mime_events import DEFAULT_LIMITS, BodyLine, HeaderField

    parser = MimeParser(DEFAULT_LIMITS._replace(line_length=ALL_LINES), body_lines=ALL_LINES)
    text = "\n".join(input_lines()).encode("utf-8", "surrogateescape")
    for event in (*parser.feed(text + b"\n" * bool(text)), *parser.close()):
        if (headers and isinstance(event, HeaderField)) or (body and isinstance(event, BodyLine) and event.data):
            yield event.data.decode("utf-8", "surrogateescape")


class StderrSink:
    """Where a command's warnings go: standard error, each line with the command's name and without a process number."""

    def __init__(self, program: str) -> None:
        self._head = re.compile(rb"%s\[[0-9]+\]: " % program.encode(), re.ASCII)
        self._name = program.encode() + b": "

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Write all lines."""
        sys.stdout.flush()
        for _, line in lines:
            sys.stderr.buffer.write(self._head.sub(self._name, line, count=1) + b"\n")
        sys.stderr.flush()
        return len(lines)
