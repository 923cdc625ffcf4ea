"""master's own log: the lines of util/log, kept while nobody takes them."""

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.master import log
from posthouse.util import log as daemons_log


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[socket.socket]:
    """Make a log daemon's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "log"))
        sock.setblocking(False)
        yield sock


def _path(reader: socket.socket) -> str:
    return str(reader.getsockname())


def _lines(reader: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(reader.recv(1 << 18))
        except BlockingIOError:
            return found


@pytest.mark.parametrize("json_lines", [False, True])
@pytest.mark.parametrize("severity", ["info", "warning", "error", "fatal"])
def test_the_lines_are_those_of_the_daemons(
    reader: socket.socket, monkeypatch: pytest.MonkeyPatch, severity: str, *, json_lines: bool
) -> None:
    """To postlogd and to the system's log, classic or JSON: but for the clock nothing differs.

    Master's are written at once, so they need no mark of when they were.
    """
    text = "who\nwhat \x7f \u00e9 \udcff" + "x" * 9000
    for system in (False, True):
        monkeypatch.setattr(log, "SYSTEM", _path(reader) if system else "/dev/log")
        mine, theirs = log.Log(), daemons_log.Log()
        mine.open("postfix/x", _path(reader), 3, json=json_lines)
        sink = daemons_log.SyslogSink(_path(reader), 3 << 3) if system else daemons_log.PostlogSink(_path(reader))
        theirs.open("postfix/x", sink, json=json_lines, stamped=not system)
        mine.write(severity, text)
        theirs.write(severity, text, {})
        mark = re.compile(rb"^%b[0-9a-f]{16}" % daemons_log.ORDER_MARK)
        first, second = (re.sub(rb"[0-9:.]{8,}", b"", mark.sub(b"", line)) for line in _lines(reader))
        assert first == second
        sink.close()


def test_what_is_not_taken_goes_with_the_next_line(tmp_path: Path) -> None:
    """A log daemon that is being replaced loses nothing."""
    one = log.Log()
    one.open("p", str(tmp_path / "later"))
    one.write("info", "first")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as later:
        later.bind(str(tmp_path / "later"))
        later.setblocking(False)
        one.write("warning", "second")
        assert [line.split(b": ", 1)[1] for line in _lines(later)] == [b"first\n", b"warning: second\n"]


def test_a_full_log_holds_nothing_up(reader: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are kept up to a limit; then the oldest are lost, and their number is told."""
    monkeypatch.setattr(log, "MAX_PENDING", 3)
    one = log.Log()
    one.open("p", _path(reader))
    sent = 0
    while not one._pending:
        one.write("info", f"{sent}")
        sent += 1
    for number in range(5):
        one.write("info", f"late {number}")
    _lines(reader)
    one.flush()
    texts = [line.split(b": ", 1)[1] for line in _lines(reader)]
    assert texts == [
        b"late 2\n",
        b"late 3\n",
        b"late 4\n",
        b"warning: 3 log lines were lost: the log did not take them\n",
    ]


def test_without_a_system_log_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As syslog(3) does in a container that has none."""
    monkeypatch.setattr(log, "SYSTEM", str(tmp_path / "none"))
    one = log.Log()
    one.open("p", str(tmp_path / "none"))
    one.write("info", "a")
    assert not one._pending


def test_json_has_the_same_fields(reader: socket.socket) -> None:
    """The text is its message; who, when and where stand beside it."""
    one = log.Log()
    one.open("postfix/master", _path(reader), json=True)
    one.write("error", "no")
    record = json.loads(_lines(reader)[0])
    assert (record["severity"], record["message"], record["pid"]) == ("error", "error: no", os.getpid())
    assert list(record) == ["time", "host", "program", "pid", "severity", "message"]


def test_the_module_s_own_log_is_one(reader: socket.socket) -> None:
    """Functions for those who have no log in their hand."""
    log.LOG.open("postfix/master", _path(reader))
    log.warning("careful")
    assert _lines(reader)[0].endswith(b"warning: careful\n")
