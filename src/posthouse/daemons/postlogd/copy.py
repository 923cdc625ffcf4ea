"""StandardCopy: a second place for the lines of the log, which may be slow, full or gone without harm to the first.

A thread writes. What standard output is (a pipe, a socket of a log daemon, a terminal, a file) is the caller's choice,
and others share it: made non-blocking it would be so for them too, and not every kind can be opened anew. So the write
may block, where nobody waits for it, and what does not fit into the buffer before it is dropped and counted.
"""

import os
import select
import threading
from typing import Final

from posthouse.util.log import Sink

BUFFER: Final = 1 << 20  # bytes that may wait for the reader: some ten thousand lines
CLOSE_S: Final = 0.5  # how long the last lines may take; a stop has 5 s in all
FULL: Final = "its reader is too slow, or has stopped"
_NEWLINE: Final = 10


class StandardCopy:
    """Lines for standard output. Nothing here waits, fails or logs; `news` says what there is to say."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._changed = threading.Condition()
        # Below here: of both threads, under the condition's lock.
        self._waiting: list[bytes] = []
        self._size = 0  # bytes in _waiting
        self._idle = True  # the thread is not writing
        self._lost = 0  # lines
        self._failure = ""  # why lines are being lost now
        self._told = False  # `news` has said so
        threading.Thread(target=self._run, name="standard output", daemon=True).start()

    def put(self, lines: bytes) -> None:
        """Add whole lines."""
        with self._changed:
            if self._size + len(lines) > BUFFER:
                self._fail(FULL, lines)
                return
            self._waiting.append(lines)
            self._size += len(lines)
            self._changed.notify_all()

    def news(self) -> str:
        """Give what the log should say, once for each change; empty: nothing new."""
        with self._changed:
            if self._failure and not self._told:
                self._told = True
                return f"standard output does not take the log: {self._failure}; maillog_file has every line"
            if self._told and not self._failure:
                self._told = False
                lost, self._lost = self._lost, 0
                return f"standard output takes the log again; {lost} lines did not reach it"
            return ""

    def close(self, limit_s: float = CLOSE_S) -> None:
        """Wait for what was added, but not for long."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle and not self._waiting, limit_s)

    def _fail(self, reason: str, lines: bytes) -> None:
        self._failure = reason
        self._lost += lines.count(b"\n")

    def _run(self) -> None:
        is_torn = False  # half a line was taken; what follows begins a line of its own
        while True:
            with self._changed:
                self._idle = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                lines = b"".join(self._waiting)
                self._waiting.clear()
                self._size, self._idle = 0, False
            data = b"\n" + lines if is_torn else lines
            left, reason = write_all(self._descriptor, data)
            with self._changed:
                if reason:
                    self._fail(reason, left)
                elif not self._waiting:
                    self._failure = ""
            if len(left) < len(data):
                is_torn = bool(left) and data[len(data) - len(left) - 1] != _NEWLINE


class WithCopy:
    """A sink for postlogd's own lines: its file, and the copy."""

    def __init__(self, first: Sink, copy: StandardCopy) -> None:
        self._first = first
        self._copy = copy

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Give what the first takes to the second too."""
        taken = self._first.write(lines)
        self._copy.put(b"".join(line + b"\n" for _, line in lines[:taken]))
        return taken


def write_all(descriptor: int, data: bytes) -> tuple[bytes, str]:
    """Write, however long it takes. Returns what could not be written, and why not."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # somebody else made it non-blocking
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
        except OSError as error:
            return data, error.strerror or str(error)
    return b"", ""
