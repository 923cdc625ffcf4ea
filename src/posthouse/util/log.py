"""The log: Postfix's classic lines, or the same events as JSON lines.

A record is one call: `log.info(text, event="client", queue_id=...)`. The text is what follows "program[pid]: " in
Postfix's log; the keyword fields appear in JSON mode only. The first record after a pause leaves in the same turn of
the event loop; those that follow closely leave together, at most GATHER_S later, so a burst costs few system calls.
A log that is full or dead never holds up mail: what
cannot be written is dropped and counted, and the count is logged when the log takes lines again.

Sinks: syslog (/dev/log), postlogd(8)'s datagram socket (one datagram carries many lines), or a descriptor.
"""

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from posthouse.util.json_line import json_line

FACILITY_MAIL: Final = 2 << 3  # syslog(3) LOG_MAIL
SEVERITY: Final = {"info": 6, "warning": 4, "error": 3, "fatal": 2, "panic": 2}  # syslog(3); fatal, panic: LOG_CRIT
PREFIX: Final = {"info": "", "warning": "warning: ", "error": "error: ", "fatal": "fatal: ", "panic": "panic: "}
MAX_TEXT: Final = 8000  # characters of one record; syslogd cuts at about 8 kB
MAX_DATAGRAM: Final = 64 * 1024  # bytes in one datagram to postlogd; the kernel takes 200 kB by default
GATHER_S: Final = 0.02  # how long a line may wait for company; what a kill -9 can cost the log
GATHER_LINES: Final = 100  # lines that are enough company
MAX_PENDING: Final = 10_000  # records kept while the log does not take them
ORDER_MARK: Final = b"\x1e"  # begins a line for postlogd(8); then 16 hexadecimal digits: when it was written, in ns
FINISH_S: Final = 0.2  # how long a process that ends waits for the log; a stop has 5 s in all
FINISH_STEP_S: Final = 0.005

# Control characters would let a client forge log lines or drive a terminal; "?" is what Postfix writes.
_CLEAN: Final = dict.fromkeys((*range(32), *range(127, 160)), "?")
Field = str | int | float | bool | list[str] | None  # what JSON shows


class Loop(Protocol):
    """What the log needs of an event loop."""

    def time(self) -> float:
        """Seconds of a clock that does not jump."""

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Call in the next turn."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> object:
        """Call in `delay` seconds."""


class Sink(Protocol):
    """Where lines go. `write` returns how many of them were taken; the rest is offered again later."""

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Write (severity, line without newline) pairs without waiting."""


class NullSink:
    """Before open(): nothing is configured yet; records are kept by the log itself."""

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Take nothing."""
        return 0


class _ListSink:
    """A list in memory."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Keep all lines."""
        self._lines += [line.decode("utf-8", "replace") for _, line in lines]
        return len(lines)


class FileSink:
    """A descriptor: standard output with start-fg, standard error of a command, postlogd's file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""  # of a line that was written in part (a full pipe, a full disk)

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Write all lines with one call; a reader that is gone takes nothing, which is not our trouble."""
        data = self._rest + b"".join(line + b"\n" for _, line in lines)
        try:
            sent = os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError:
            self._rest = b"\n" if self._rest else b""  # what comes next begins a line of its own
            return len(lines)
        if sent == len(data):
            self._rest = b""
            return len(lines)
        before = len(self._rest)
        if sent < before:
            self._rest = self._rest[sent:]
            return 0
        end = data.find(b"\n", sent - 1) + 1 if sent > before else before  # where the line ends that `sent` is in
        self._rest = data[sent:end]
        return data.count(b"\n", before, end)


class _DatagramSink:
    """A UNIX datagram socket, connected again when its reader was replaced."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._was_there = False  # the reader: it is replaced, and comes back

    def close(self) -> None:
        """Close the socket; the next line opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, datagram: bytes) -> bool:
        for _ in range(2):
            try:
                if self._socket is None:
                    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                    self._socket.connect(self._path)
                    self._was_there = True
                self._socket.send(datagram)
            except BlockingIOError:
                return False
            except OSError as error:
                self.close()
                if error.errno == errno.EMSGSIZE:
                    return True  # nobody will ever take it, and others wait behind it
            else:
                return True
        return False


class SyslogSink(_DatagramSink):
    """The system's log daemon (RFC 3164 form on /dev/log): one datagram a line."""

    def __init__(self, path: str = "/dev/log", facility: int = FACILITY_MAIL) -> None:
        super().__init__(path)
        self._facility = facility

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Send each line. Where no log daemon ever ran (containers), lines are dropped, as syslog(3) does."""
        stamp = time.strftime("%b %e %H:%M:%S ").encode()
        for taken, (severity, line) in enumerate(lines):
            if not self._send(b"<%d>%b%b" % (self._facility | severity, stamp, line)):
                return taken if self._was_there else len(lines)
        return len(lines)


class PostlogSink(_DatagramSink):
    """postlogd(8): many lines in one datagram, each with its newline; the log says when each was written."""

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Pack the lines into as few datagrams as they fit."""
        taken = 0
        while taken < len(lines):
            size, first = 0, taken
            while taken < len(lines) and (size == 0 or size + len(lines[taken][1]) < MAX_DATAGRAM):
                size += len(lines[taken][1]) + 1
                taken += 1
            if not self._send(b"".join(line + b"\n" for _, line in lines[first:taken])):
                return first
        return taken


class Log:
    """One process's log."""

    def __init__(self) -> None:
        self._sink: Sink = NullSink()
        self._pending: list[tuple[int, bytes]] = []
        self._dropped = 0
        self._loop: Loop | None = None
        self._scheduled = False
        self._flushed = 0.0  # loop time of the last flush
        self._json = False
        self._stamped = False
        self._ordered = self._at_once = False
        self._name = "postfix"
        self._head = b"postfix: "
        self._second, self._start = -1, b""
        self._host = ""

    def open(self, program: str, sink: Sink, *, json: bool = False, stamped: bool = False, host: str = "") -> None:
        """Name this process ("postfix/smtpd") and say where lines go.

        json: JSON lines in place of the classic ones. stamped: the line itself starts with time and host (files,
        postlogd); a system log adds these itself.
        """
        self._name, self._sink, self._json, self._stamped = program, sink, json, stamped
        self._host = host or socket.gethostname().partition(".")[0]
        self._head = f"{program}[{os.getpid()}]: ".encode()
        self._ordered = isinstance(sink, PostlogSink)
        self._at_once = isinstance(sink, SyslogSink)  # a datagram a line: company saves nothing there
        self._second = -1
        self.flush()

    @contextmanager
    def collecting(self, lines: list[str]) -> Iterator[None]:
        """Put what is logged meanwhile into a list instead: for who asks what somebody would log."""
        with self.diverted(_ListSink(lines)):
            yield

    @contextmanager
    def diverted(self, sink: Sink) -> Iterator[None]:
        """Give what is logged meanwhile to another sink, at once and without time, host and program."""
        kept = (self._sink, self._pending, self._loop, self._head, self._stamped, self._ordered, self._json)
        self._sink, self._pending, self._loop = sink, [], None
        self._head, self._stamped, self._ordered, self._json = b"", False, False, False
        try:
            yield
        finally:
            self._sink, self._pending, self._loop, self._head, self._stamped, self._ordered, self._json = kept

    def attach(self, loop: "Loop | None") -> None:
        """Gather lines as the event loop turns. None: write each at once."""
        self._loop, self._scheduled = loop, False

    def write(self, severity: str, text: str, fields: dict[str, Field]) -> None:
        """Add one record."""
        if len(self._pending) >= MAX_PENDING:
            self._dropped += 1
            return
        text = text[:MAX_TEXT]
        if not text.isprintable():
            text = text.translate(_CLEAN)
        if self._json:
            stamp = {"time": time.time(), "host": self._host, "program": self._name, "pid": os.getpid()}
            line = json_line({**stamp, "severity": severity, "message": PREFIX[severity] + text, **fields})
        else:
            line = self._line_start() + (PREFIX[severity] + text).encode("utf-8", "replace")
        if self._ordered:
            line = b"%b%016x%b" % (ORDER_MARK, time.monotonic_ns(), line)
        self._pending.append((SEVERITY[severity], line))
        if self._loop is None or len(self._pending) == GATHER_LINES or (self._at_once and not self._scheduled):
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._schedule(self._loop)

    def _schedule(self, loop: "Loop") -> None:
        wait = self._flushed + GATHER_S - loop.time()
        if wait <= 0:
            loop.call_soon(self.flush)
        else:
            loop.call_later(wait, self.flush)

    def flush(self) -> None:
        """Offer everything pending to the sink."""
        self._scheduled = False
        if self._loop is not None:
            self._flushed = self._loop.time()
        if self._dropped and len(self._pending) < MAX_PENDING:
            count, self._dropped = self._dropped, 0
            self.write("warning", f"{count} log lines were lost: the log did not take them", {})
        if self._pending:
            del self._pending[: self._sink.write(self._pending)]
        if self._pending and self._loop is not None:
            self._scheduled = True
            self._schedule(self._loop)

    def finish(self) -> None:
        """Write the last lines of the process; a log that is busy gets a moment to take them."""
        self._loop = None
        until = time.monotonic() + FINISH_S
        self.flush()
        while self._pending and time.monotonic() < until:
            time.sleep(FINISH_STEP_S)
            self.flush()

    @property
    def pending(self) -> int:
        """How many lines the log has not taken yet."""
        return len(self._pending)

    def _line_start(self) -> bytes:
        """Time, host (where the sink wants them) and program; made once a second."""
        if not self._stamped:
            return self._head
        now = int(time.time())
        if now != self._second:
            stamp = time.strftime("%b %e %H:%M:%S ", time.localtime(now)) + self._host + " "
            self._second, self._start = now, stamp.encode() + self._head
        return self._start


LOG: Final = Log()


def info(text: str, **fields: Field) -> None:
    """Log what happened in normal work."""
    LOG.write("info", text, fields)


def warning(text: str, **fields: Field) -> None:
    """Log what the operator should look at; the work goes on."""
    LOG.write("warning", text, fields)


def error(text: str, **fields: Field) -> None:
    """Log what could not be done."""
    LOG.write("error", text, fields)


def fatal(text: str, **fields: Field) -> None:
    """Log why this process ends; the caller ends it."""
    LOG.write("fatal", text, fields)


def panic(text: str, **fields: Field) -> None:
    """Log a bug of ours."""
    LOG.write("panic", text, fields)
