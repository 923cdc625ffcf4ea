"""PostlogService: appends the lines of datagrams to the log file, in their order; nobody waits for it."""

import asyncio
import os
import socket
import time
from typing import Final

from posthouse.config.parameters import MAILLOG_FILE, MAILLOG_STDOUT
from posthouse.daemons.postlogd.copy import StandardCopy, WithCopy
from posthouse.daemons.postlogd.order import InOrder
from posthouse.daemons.postlogd.senders import MAX_FOREIGN_LINES, UNKNOWN, ask_for_credentials, receive
from posthouse.ipc.own_users import own_uids
from posthouse.skeleton.daemon import Context, Service
from posthouse.util import log
from posthouse.util.errors import Fatal
from posthouse.util.log import FileSink, Sink

STANDARD_OUTPUT: Final = "/dev/stdout"
DATAGRAMS_PER_TURN: Final = 256
HOLD_S: Final = 5 * log.GATHER_S  # how long a line waits for earlier ones of others, which may be busy
MAX_DATAGRAM: Final = 256 * 1024  # bytes; senders stay below 64 kB
MAX_LINE: Final = 16_000  # bytes
_NEWLINE: Final = 10
# Everything below a blank but the newline, and DEL.
_CONTROL: Final = bytes.maketrans(bytes([*range(10), *range(11, 32), 127]), b"?" * 32)


class PostlogService(Service):
    """Appends what comes.

    copy: where every line goes besides. own: whose lines are taken as they are (uids). loop: None writes at once.
    """

    def __init__(
        self,
        path: str,
        copy: StandardCopy | None = None,
        own: frozenset[int] = frozenset(),
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.descriptor = open_file(path)
        self._copy = copy
        self._own = own | {UNKNOWN}
        self._loop = loop
        self._lines = InOrder()
        self._is_due = False  # `_write_due` will be called
        self._lost = 0
        self._is_torn = False  # the disk took half a line; the next one begins on a line of its own

    def datagrams(self, sock: socket.socket) -> None:
        """Read what is there."""
        now = time.monotonic_ns()
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                piece, uid = receive(sock, MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                break
            if uid in self._own:
                self._lines.add(piece, now)
            else:
                _log_foreign(piece, uid)
        if self._loop is None:
            self._write_until(now)
        elif self._lines and not self._is_due:
            self._is_due = True
            self._loop.call_later(HOLD_S, self._write_due)

    def _write_due(self) -> None:
        """Write what no earlier line can come for any more."""
        self._is_due = False
        self._write_until(time.monotonic_ns() - int(HOLD_S * 1e9))
        if self._lines and self._loop is not None:
            self._is_due = True
            self._loop.call_later(HOLD_S, self._write_due)

    def _write_until(self, until: int) -> None:
        """Write the lines that were written until then, with one call."""
        lines = clean(self._lines.take(until))
        if lines:
            self._write(lines)
            if self._copy is not None:
                self._copy.put(lines)
                self._tell(self._copy.news())

    def closing(self) -> None:
        """Write what waits, and give the copy a moment for its last lines."""
        self._write_until(time.monotonic_ns())
        if self._copy is not None:
            self._copy.close()

    @staticmethod
    def _tell(news: str) -> None:
        if news:
            log.warning(news)

    def _write(self, lines: bytes) -> None:
        data = b"\n" + lines if self._is_torn else lines
        try:
            sent = os.write(self.descriptor, data)
        except OSError:
            sent = 0
        if sent:
            self._is_torn = data[sent - 1] != _NEWLINE
        self._lost += data.count(b"\n", sent)
        if self._lost and sent == len(data):
            lost, self._lost = self._lost, 0
            log.warning(f"{lost} lines of the log were lost: the file could not be written")


def _log_foreign(datagram: bytes, uid: int) -> None:
    """Log what a user says as his: as it stands it could pass for a line of any daemon."""
    lines = clean(datagram).decode("utf-8", "replace").split("\n")[:-1]
    for line in lines[:MAX_FOREIGN_LINES]:
        log.info(f"uid={uid}: {line}", event="foreign", uid=uid)
    if len(lines) > MAX_FOREIGN_LINES:
        log.info(f"uid={uid}: {len(lines) - MAX_FOREIGN_LINES} more lines", event="foreign", uid=uid)


def clean(lines: bytes) -> bytes:
    """Make whole printable lines of what came."""
    text = lines.translate(_CONTROL).strip(b"\n")
    if len(text) > MAX_LINE and max(map(len, text.split(b"\n"))) > MAX_LINE:
        text = b"\n".join(line[:MAX_LINE] for line in text.split(b"\n"))
    return text + b"\n" if text else b""


def open_file(path: str) -> int:
    """Open the log for appending. Raises Fatal: it cannot be; says what to do."""
    if path == STANDARD_OUTPUT:
        return os.dup(1)
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Fatal(
            f"maillog_file = {path}: {error.strerror}; make it writable for mail_owner (postfix set-permissions does)"
        ) from error


def start(context: Context) -> PostlogService:
    """Open the file."""
    path = context.settings[MAILLOG_FILE]
    copy = StandardCopy(1) if context.settings[MAILLOG_STDOUT] and path != STANDARD_OUTPUT else None
    ask_for_credentials(context.listeners)
    service = PostlogService(path, copy, own_uids(context.settings), context.loop)
    own: Sink = FileSink(service.descriptor)  # its own lines go to the same place
    log.LOG.open(
        f"{context.settings.text('syslog_name')}/postlogd",
        own if copy is None else WithCopy(own, copy),
        json=context.settings.text("log_format") == "json",
        stamped=True,
    )
    return service
