"""Reads mailboxes, and compares delivered content with what was sent, byte for byte."""

import re
import time
from pathlib import Path
from typing import Final

# What a server may put before the content on its way: RFC 5321 4.4, and the delivery agent's own.
TRACE: Final = (b"return-path", b"delivered-to", b"x-original-to", b"received")


def messages(directory: Path) -> list[bytes]:
    """Return the content of every delivered message in all Maildirs below a directory."""
    found = []
    for folder in sorted(directory.rglob("new")):
        if folder.is_dir():
            found += [path.read_bytes() for path in sorted(folder.iterdir())]
    return found


def wait_messages(directory: Path, count: int, limit_s: float = 20) -> list[bytes]:
    """Wait until so many messages are there. Raises TimeoutError."""
    deadline = time.monotonic() + limit_s
    while len(got := messages(directory)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(got)} messages below {directory}, not {count}")
        time.sleep(0.05)
    return got


def split_fields(content: bytes) -> tuple[list[bytes], bytes]:
    """Part content into its header fields, continuation lines with them, and the rest from the empty line on."""
    header, end, body = content.partition(b"\n\n")
    fields = re.split(rb"\n(?![ \t])", header)
    return fields, end + body


def without_trace(content: bytes) -> bytes:
    """Return content without the trace fields that stand at its top. Line ends become LF."""
    fields, rest = split_fields(content.replace(b"\r\n", b"\n"))
    while fields and fields[0].split(b":", 1)[0].strip().lower() in TRACE:
        fields.pop(0)
    return b"\n".join(fields) + rest


def field(content: bytes, name: str) -> bytes:
    """Return the body of the first header field of that name, unfolded; empty when there is none."""
    fields, _ = split_fields(content.replace(b"\r\n", b"\n"))
    for one in fields:
        label, _, body = one.partition(b":")
        if label.strip().lower() == name.lower().encode():
            return re.sub(rb"\n[ \t]+", b" ", body).strip()
    return b""


def assert_same_content(delivered: bytes, sent: bytes) -> None:
    """Compare byte for byte, apart from the trace fields at the top and the form of line ends."""
    got, wanted = without_trace(delivered), sent.replace(b"\r\n", b"\n")
    assert got == wanted, f"delivered content differs:\n{got[:2000]!r}\nsent:\n{wanted[:2000]!r}"
