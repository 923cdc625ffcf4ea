"""master's log: the lines that util/log writes, without what only daemons need.

Each line is one datagram, to the system's log (RFC 3164 form on /dev/log) or to postlogd(8). What is not taken is kept,
up to MAX_PENDING lines, and offered again with the next one; where no system log runs it is dropped, as syslog(3) does.
"""

import os
import socket
import time
from collections import deque
from typing import Final

from posthouse.util.json_line import json_line

SYSTEM: Final = "/dev/log"
MAX_PENDING: Final = 10_000  # lines
MAX_TEXT: Final = 8000  # characters
_SEVERITIES: Final = {"info": 6, "warning": 4, "error": 3, "fatal": 2}  # syslog(3); fatal: LOG_CRIT
_CLEAN: Final = dict.fromkeys((*range(32), *range(127, 160)), "?")  # a control character could forge a line


class Log:
    """One process's log. At SYSTEM is the system's log, which adds the host itself; anywhere else is postlogd."""

    def __init__(self) -> None:
        self._pending: deque[bytes] = deque(maxlen=MAX_PENDING)
        self._dropped = 0
        self.open("postfix/master")

    def open(self, program: str, path: str = SYSTEM, facility: int = 2, *, json: bool = False) -> None:
        """Name this process, and say where lines go from now on."""
        self._program, self._path, self._facility, self._json = program, path, facility, json

    def write(self, severity: str, text: str) -> None:
        """Log one line; when too many are pending, the oldest is lost."""
        self._dropped += len(self._pending) == MAX_PENDING
        self._pending.append(self.line(severity, text))
        self.flush()

    def flush(self) -> None:
        """Offer everything pending."""
        while self._pending and self._send(self._pending[0]):
            self._pending.popleft()
        if self._dropped and not self._pending:
            count, self._dropped = self._dropped, 0
            self.write("warning", f"{count} log lines were lost: the log did not take them")

    def line(self, severity: str, text: str) -> bytes:
        """Make the datagram of one line."""
        text = ("" if severity == "info" else f"{severity}: ") + text[:MAX_TEXT].translate(_CLEAN)
        host, pid, stamp = socket.gethostname().partition(".")[0], os.getpid(), time.strftime("%b %e %H:%M:%S ")
        if self._json:
            who = {"time": time.time(), "host": host, "program": self._program, "pid": pid}
            line = json_line({**who, "severity": severity, "message": text})
        else:
            place = "" if self._path == SYSTEM else f"{stamp}{host} "
            line = f"{place}{self._program}[{pid}]: {text}".encode("utf-8", "replace")
        if self._path == SYSTEM:
            return b"<%d>%b%b" % (self._facility << 3 | _SEVERITIES[severity], stamp.encode(), line)
        return line + b"\n"

    def _send(self, datagram: bytes) -> bool:
        """Send; False: nobody takes it now."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(datagram, self._path)
        except BlockingIOError:
            return False
        except OSError:
            return self._path == SYSTEM
        return True


LOG: Final = Log()
write: Final = LOG.write


def warning(text: str) -> None:
    """Log what the operator should look at; the work goes on."""
    LOG.write("warning", text)
