"""Bombs: content made to cost its receiver more than its sender, of any size, and how they are sent.

Content is in LF form. What is about one header is as large as a header may be, then comes the next of the same kind.
"""

import contextlib
import select
import socket
from collections.abc import Callable, Mapping
from typing import Final

from tests.support import net

HEADER: Final = 100_000  # octets of one header, just within header_size_limit's default
START: Final = b"From: a@client.test\nSubject: bomb\n"
TINY: Final = "tiny pieces"
CHUNKS: Final = "tiny chunks"


def _headers(name: bytes, unit: bytes, size: int) -> bytes:
    """Fill headers of one name with one unit."""
    head = name + b": "
    whole, rest = divmod(size, HEADER)
    one = head + unit * ((HEADER - len(head)) // len(unit)) + b"x\n"
    return START + one * whole + head + unit * max((rest - len(head)) // len(unit), 1) + b"x\n\nbody\n"


def _nested(level: Callable[[int], bytes], size: int) -> bytes:
    """Put one structure into the other, as often as there is room."""
    number = size // len(level(10_000))
    return START + b"".join([level(one) for one in range(number)]) + b"\nend\n"


BOMBS: Final[Mapping[str, Callable[[int], bytes]]] = {
    "headers": lambda size: START + b"a: b\n" * (size // 5) + b"\nbody\n",
    "address headers": lambda size: START + b"To: a\n" * (size // 6) + b"\nbody\n",
    "folds": lambda size: START + b"X: y\n" + b" z\n" * (size // 3) + b"\nbody\n",
    "MIME depth": lambda size: _nested(
        lambda n: b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n), size
    ),
    "message/rfc822 depth": lambda size: _nested(lambda _: b"Content-Type: message/rfc822\n\n", size),
    "addresses": lambda size: _headers(b"To", b"a@b, ", size),
    "parentheses": lambda size: _headers(b"To", b"(", size),
    "blanks": lambda size: _headers(b"To", b" ", size),
    "encoded words": lambda size: _headers(b"To", b"=?utf-8?Q?=41?= <a@b>,\n ", size),
    "RFC 2231 parts": lambda size: _headers(b"Content-Type", b"multipart/x; boundary*0=y; ", size),
    TINY: lambda size: START + b"\n" + b"line\n" * (size // 5),
    CHUNKS: lambda size: START + b"\n" + b"line\n" * (size // 5),
    "Received lines": lambda size: START + b"Received: from a by b; now\n" * (size // 27) + b"\nbody\n",
    "empty lines": lambda size: START + b"\n" * size,
}


def drop(port: int, name: str, content: bytes, recipient: str) -> bytes:
    """Send a bomb as its kind is sent; give the last reply."""
    if name == CHUNKS:
        return send_chunks(port, content, recipient)
    return send(port, content, recipient, piece=1 if name == TINY else 65536)


def send_chunks(port: int, content: bytes, recipient: str, *, octets: int = 1, limit_s: float = 120) -> bytes:
    """Send one message by BDAT in chunks of so many octets, not waiting for replies; give the last one."""
    wire = content.replace(b"\n", b"\r\n")
    chunks = [wire[start : start + octets] for start in range(0, len(wire), octets)]
    stream = memoryview(b"".join([b"BDAT %d\r\n%s" % (len(chunk), chunk) for chunk in chunks]) + b"BDAT 0 LAST\r\n")
    with socket.create_connection((net.LOOPBACK, port), timeout=limit_s) as sock:
        net.read_reply(sock)
        for line in ("EHLO client.test", "MAIL FROM:<a@client.test>", f"RCPT TO:<{recipient}>"):
            sock.sendall(line.encode() + b"\r\n")
            net.read_reply(sock)
        sock.setblocking(False)
        heard, end = 0, b""
        while heard <= len(chunks):
            readable, writable, _ = select.select([sock], [sock] if stream else [], [], limit_s)
            if readable:
                data = sock.recv(65536)
                if not data:
                    break
                heard += data.count(b"\n")
                end = (end + data)[-1000:]
            if writable:
                stream = stream[sock.send(stream[:65536]) :]
            if not readable and not writable:
                raise TimeoutError(f"nothing moves after {heard} replies")
        return end.rstrip(b"\r\n").rpartition(b"\n")[2]


def send(port: int, content: bytes, recipient: str, *, piece: int = 65536, limit_s: float = 120) -> bytes:
    """Send one message in pieces of so many octets; give the reply to it, or to what was refused before."""
    with socket.create_connection((net.LOOPBACK, port), timeout=limit_s) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        net.read_reply(sock)
        for line in ("EHLO client.test", "MAIL FROM:<a@client.test>", f"RCPT TO:<{recipient}>", "DATA"):
            sock.sendall(line.encode() + b"\r\n")
            reply = net.read_reply(sock)
            if reply[:1] not in b"23":
                return reply
        wire = content.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n") + b".\r\n"
        for start in range(0, len(wire), piece):
            sock.sendall(wire[start : start + piece])
        reply = net.read_reply(sock)
        with contextlib.suppress(OSError):  # the reply was its last word
            sock.sendall(b"QUIT\r\n")
            net.read_reply(sock)
        return reply
