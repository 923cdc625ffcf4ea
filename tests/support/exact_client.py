"""Sends messages as they are, octet for octet, over one connection, and keeps the codes of all replies."""

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tests.support import net

_LIMIT_S: Final = 60
_REPLY: Final = re.compile(rb"([0-9]{3})(?:[ -]([245]\.[0-9]{1,3}\.[0-9]{1,3})\b)?")
_DOT: Final = re.compile(rb"(?m)^\.")  # after an LF, with or without a CR


@dataclass(frozen=True, slots=True)
class Letter:
    """One message as a client sends it. Paths stand as on the wire, with their brackets; content has its line ends."""

    name: str
    content: bytes
    sender: bytes = b"<sender@client.test>"
    recipients: tuple[bytes, ...] = (b"<user@far.test>",)
    mail_options: bytes = b""
    recipient_options: bytes = b""


class ExactClient:
    """One connection; `with` it."""

    def __init__(self, port: int, helo: bytes = b"client.test") -> None:
        self._socket = socket.create_connection((net.LOOPBACK, port), timeout=_LIMIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read()
        self._say(b"EHLO " + helo)

    def close(self) -> None:
        """Say goodbye."""
        self._say(b"QUIT")
        self._socket.close()

    def send(self, letter: Letter) -> tuple[str, ...]:
        """Send a message; return code and status of each reply. What was refused is reset."""
        replies = [self._say(b"MAIL FROM:" + letter.sender + b" ENVID=" + letter.name.encode() + letter.mail_options)]
        replies += [self._say(b"RCPT TO:" + recipient + letter.recipient_options) for recipient in letter.recipients]
        replies.append(self._say(b"DATA"))
        if replies[-1].startswith("354"):
            ending = b".\r\n" if letter.content.endswith(b"\r\n") or not letter.content else b"\r\n.\r\n"
            self._socket.sendall(_DOT.sub(b"..", letter.content) + ending)
            replies.append(self._read())
        if not replies[-1].startswith("250"):
            self._say(b"RSET")
        return tuple(replies)

    def _say(self, line: bytes) -> str:
        self._socket.sendall(line + b"\r\n")
        return self._read()

    def _read(self) -> str:
        reply = net.read_reply(self._socket)
        found = _REPLY.match(reply)
        if found is None:
            raise ConnectionError(f"no reply: {reply!r}")
        return b" ".join(part for part in found.groups() if part).decode()


def send_all(port: int, letters: Iterable[Letter]) -> dict[str, tuple[str, ...]]:
    """Send messages one after the other; return the replies to each by its name."""
    client = ExactClient(port)
    answers = {letter.name: client.send(letter) for letter in letters}
    client.close()
    return answers
