"""Servers that misbehave, as data: at one stage of the dialog something else comes than the right reply.

One listener serves all cases. A case has two addresses of its own, 127.1.x.y and 127.2.x.y; at the second one its
server is always good. So a client that is sent to an address finds the server that the case describes.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

LARGE: Final = 3_000_000  # octets of content that no socket takes at once
_END: Final = b"\r\n.\r\n"
_WINDOW: Final = 32_768  # octets that a server's kernel takes for it: large content is not there before it is read
_SILENCE_S: Final = 60

# Right replies, by stage; RCPT2 is the second recipient's, DOT2 what it gets behind the content by LMTP.
_GOOD: Final = {
    "GREETING": "220 bad.test ESMTP",
    "EHLO": "250-bad.test\r\n250-PIPELINING\r\n250 8BITMIME",
    "HELO": "250 bad.test",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 go on",
    "DOT": "250 2.0.0 taken",
    "QUIT": "221 2.0.0 Bye",
}
STAGES: Final = {
    "pipelining": ("GREETING", "EHLO", "HELO", "MAIL", "RCPT1", "RCPT2", "DATA", "CONTENT", "DOT", "QUIT"),
    "plain": ("MAIL", "RCPT2", "DATA", "DOT"),
    "lmtp": ("RCPT2", "DOT1", "DOT2", "DOT3"),
}


class _GoneError(Exception):
    """The script is over."""


Act = Callable[["Dialog", bytes], None]  # what is done in place of saying the right reply, which it gets


@dataclass(frozen=True, slots=True)
class Case:
    """A server. stage: where it misbehaves; CONTENT: in the middle of it. Only "pipelining" uses the second address."""

    number: int
    form: str
    stage: str
    what: str
    act: Act

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.form}/{self.stage}/{self.what}"

    @property
    def domain(self) -> str:
        """Whose mail goes there."""
        return f"c{self.number}.test"

    def address(self, second: bool) -> str:
        """Where it listens."""
        return f"127.{1 + second}.{self.number // 250}.{self.number % 250 + 1}"

    def nexthop(self, port: int) -> str:
        """Say where its mail goes, for a transport table."""
        first, second = (f"[{self.address(which)}]:{port}" for which in (False, True))
        return {"lmtp": f"lmtp:inet:{first}", "plain": f"smtp:{first}"}.get(self.form, f"smtp:{first},{second}")

    @property
    def before(self) -> str:
        """The stage whose reply comes before the one of this case."""
        order = ["GREETING", "EHLO", "MAIL", "RCPT1", "RCPT2", "RCPT3", "DATA"]
        order[2:2] = ["HELO"] if self.stage == "HELO" else []
        order += ["DOT1", "DOT2", "DOT3"] if self.form == "lmtp" else ["DOT"]
        at = order.index(self.stage) if self.stage in order else 0
        return order[at - 1] if at else ""


@dataclass(slots=True)
class Dialog:
    """A connection, and what was heard on it: verbs, and DOT for content that came as a whole."""

    sock: socket.socket
    case: Case
    second: bool
    heard: list[str] = field(default_factory=list)
    _buffer: bytes = b""
    _said: bytes = b""  # how the last reply began
    _asked: int = 0  # recipients
    _accepted: list[int] = field(default_factory=list)

    def run(self) -> None:
        """Serve."""
        self.sock.settimeout(_SILENCE_S)
        with contextlib.suppress(OSError, _GoneError):
            self._answer("GREETING")
            while True:
                verb = self._until(b"\r\n").partition(b" ")[0].decode("latin-1").upper()
                self.heard.append(verb)
                self._command(verb)

    def _command(self, verb: str) -> None:
        if verb == "RCPT":
            self._asked += 1
            self._answer(f"RCPT{self._asked}")
            self._accepted += [self._asked] if self._said.startswith(b"2") else []
            return
        self._answer("EHLO" if verb == "LHLO" else verb)
        if verb == "QUIT":
            raise _GoneError
        if verb == "DATA":
            self._content()

    def _content(self) -> None:
        if self.case.stage == "CONTENT" and not self.second:
            self._fill(10_000)
            self.case.act(self, self._right("DOT"))
        self._until(_END)
        self.heard.append("DOT")
        for stage in [f"DOT{number}" for number in self._accepted] if self.case.form == "lmtp" else ["DOT"]:
            self._answer(stage)

    def _answer(self, stage: str) -> None:
        self._said = b""
        right = self._right(stage)
        early = self.case.what == "early" and not self.second
        if early and stage == self.case.before:
            self.say(right + self._right(self.case.stage))
        elif self.second or stage != self.case.stage:
            self.say(right)
        elif not early or not self.case.before:
            self.case.act(self, right)

    def _right(self, stage: str) -> bytes:
        if stage == "EHLO" and self.case.form == "plain":
            return b"250 bad.test\r\n"
        if stage == "EHLO" and self.case.stage == "HELO" and not self.second:
            return b"502 5.5.1 what?\r\n"
        return _GOOD.get(stage.rstrip("123"), "250 2.0.0 Ok").encode() + b"\r\n"

    def say(self, octets: bytes) -> None:
        """Send."""
        self._said += octets[:3]
        self.sock.sendall(octets)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._buffer = self._buffer[-4096:] if mark != b"\r\n" else self._buffer
            self._fill(len(self._buffer) + 1)
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            piece = self.sock.recv(65536)
            if not piece:
                raise _GoneError
            self._buffer += piece

    def hang(self) -> None:
        """Say nothing until the client leaves."""
        self._until(_END)
        self.heard.append("DOT")
        while True:
            self._fill(1)
            self._buffer = b""

    def fin(self) -> None:
        """End the connection in good order."""
        self.sock.shutdown(socket.SHUT_WR)
        self.hang()

    def reset(self) -> None:
        """End it by an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise _GoneError


def _says(text: bytes, then: str = "") -> Act:
    """Say something with the right code for GOOD, then do something."""

    def act(dialog: Dialog, right: bytes) -> None:
        dialog.say(text.replace(b"GOOD", right[:3]))
        if then:
            getattr(dialog, then)()

    return act


def _octets(dialog: Dialog, right: bytes) -> None:
    for octet in right:
        dialog.say(bytes([octet]))


FAULTS: Final[dict[str, Act]] = {
    "good": _says(b"GOOD fine\r\n"),
    "good-fin": _says(b"GOOD fine\r\n", "fin"),
    "good-rst": _says(b"GOOD fine\r\n", "reset"),
    "fin": _says(b"", "fin"),
    "rst": _says(b"", "reset"),
    "silence": _says(b"", "hang"),
    "code-fin": _says(b"GOOD", "fin"),
    "code-rst": _says(b"GOOD", "reset"),
    "half-fin": _says(b"GOOD 2.0.0 take", "fin"),
    "half-rst": _says(b"GOOD 2.0.0 take", "reset"),
    "cr-fin": _says(b"GOOD 2.0.0 taken\r", "fin"),
    "line-fin": _says(b"GOOD-2.0.0 taken\r\n", "fin"),
    "line-rst": _says(b"GOOD-2.0.0 taken\r\n", "reset"),
    "line-silence": _says(b"GOOD-2.0.0 taken\r\n", "hang"),
    "half-550-fin": _says(b"550 5.7.1 no", "fin"),
    "450": _says(b"450 4.3.0 later\r\n"),
    "450-fin": _says(b"450 4.3.0 later\r\n", "fin"),
    "550": _says(b"550 5.7.1 no\r\n"),
    "550-fin": _says(b"550 5.7.1 no\r\n", "fin"),
    "550-rst": _says(b"550 5.7.1 no\r\n", "reset"),
    "550-lines": _says(b"550-5.7.1 no\r\n550 5.7.1 never\r\n"),
    "550-other-status": _says(b"550 4.2.1 no\r\n"),
    "550-long-status": _says(b"550 5.7.1234 no\r\n"),
    "550-status-alone": _says(b"550 5.7.1\r\n"),
    "550-nul": _says(b"550 5.7.1 n\0o\r\n"),
    "550-8-bit": _says(b"550 5.7.1 n\xe4 \xc3\xa4\xff\r\n"),
    "550-controls": _says(b"550 5.7.1 n\x1b[31m\to\x7f\r\n"),
    "550-50-lines": _says(b"550-no no no no no no no\r\n" * 50 + b"550 no\r\n"),
    "552": _says(b"552 5.2.2 full\r\n"),
    "521-fin": _says(b"521 5.3.2 no mail\r\n", "fin"),
    "421": _says(b"421 4.3.2 bye\r\n"),
    "421-fin": _says(b"421 4.3.2 bye\r\n", "fin"),
    "421-rst": _says(b"421 4.3.2 bye\r\n", "reset"),
    "no-code": _says(b"what do you mean\r\n"),
    "empty": _says(b"\r\n"),
    "999": _says(b"999 x\r\n"),
    "150": _says(b"150 x\r\n"),
    "four-digits": _says(b"GOOD0 x\r\n"),
    "no-blank": _says(b"GOODx\r\n"),
    "no-text": _says(b"GOOD\r\n"),
    "lf": _says(b"GOOD fine\n"),
    "good-then-550": _says(b"GOOD-fine\r\n550 5.7.1 no\r\n"),
    "550-then-good": _says(b"550-5.7.1 no\r\nGOOD fine\r\n"),
    "354": _says(b"354 go on\r\n"),
    "250": _says(b"250 2.0.0 Ok\r\n"),
    "220": _says(b"220 hi\r\n"),
    "twice": lambda dialog, right: dialog.say(right * 2),
    "354-and-250": _says(b"354 go on\r\n250 2.0.0 taken\r\n"),
    "early": _says(b"GOOD fine\r\n"),
    "nul": _says(b"GOOD 2.0.0 ta\0ken\r\n"),
    "8-bit": _says(b"GOOD fin\xe4 \xc3\xa4\xff\r\n"),
    "octets": _octets,
    "line-of-1000": _says(b"GOOD " + b"x" * 1000 + b"\r\n"),
    "line-of-3000": _says(b"GOOD " + b"x" * 3000 + b"\r\n"),
    "line-of-1M": _says(b"GOOD " + b"x" * 1_000_000 + b"\r\n"),
    "50-lines": _says(b"GOOD-fine fine fine\r\n" * 50 + b"GOOD fine\r\n"),
    "50000-lines": _says(b"GOOD-fine fine fine\r\n" * 50_000 + b"GOOD fine\r\n"),
}


def all_cases() -> Iterator[Case]:
    """Every fault at every stage."""
    places = [(form, stage) for form, stages in STAGES.items() for stage in stages]
    for number, (form, stage) in enumerate(places):
        for at, (what, act) in enumerate(FAULTS.items()):
            yield Case(number * len(FAULTS) + at, form, stage, what, act)


class BadServers:
    """All of them, at one port; `dialogs` has the connections by the number of the case."""

    def __init__(self, cases: list[Case]) -> None:
        self._cases = {case.address(second): (case, second) for case in cases for second in (False, True)}
        self._listener = socket.create_server(("0.0.0.0", 0), backlog=1000)  # all of 127/8
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        self.port: int = self._listener.getsockname()[1]
        self.dialogs: dict[int, list[Dialog]] = {case.number: [] for case in cases}

    def __enter__(self) -> Self:
        """Begin to accept."""
        threading.Thread(target=self._accept, name="bad servers", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close everything: what waits ends with an error of its own."""
        dialogs = [dialog for each in self.dialogs.values() for dialog in each]
        for sock in (self._listener, *(dialog.sock for dialog in dialogs)):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            case, second = self._cases[sock.getsockname()[0]]
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            dialog = Dialog(sock, case, second)
            self.dialogs[case.number].append(dialog)
            threading.Thread(target=self._serve, args=(dialog,), daemon=True).start()

    @staticmethod
    def _serve(dialog: Dialog) -> None:
        with dialog.sock:
            dialog.run()
