"""The log: its lines, its sinks, and what happens when nobody takes them."""

import json
import os
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.util import log
from posthouse.util.log import (
    GATHER_LINES,
    GATHER_S,
    MAX_DATAGRAM,
    MAX_PENDING,
    MAX_TEXT,
    FileSink,
    Log,
    NullSink,
    PostlogSink,
    Sink,
    SyslogSink,
)
from tests.support.fake_loop import FakeLoop


class ListSink:
    """Takes `room` lines, then no more."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.lines: list[tuple[int, bytes]] = []
        self.room = room

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Take what there is room for."""
        taken = lines[: self.room]
        self.room -= len(taken)
        self.lines += taken
        return len(taken)


def opened(sink: Sink, *, json: bool = False, stamped: bool = False) -> Log:
    """Make a log."""
    made = Log()
    made.open("postfix/test", sink, json=json, stamped=stamped, host="mail")
    return made


def test_classic_line_has_program_process_and_severity_word() -> None:
    """What follows the time and host in Postfix's log; "info" has no word."""
    sink = ListSink()
    made = opened(sink)
    for severity in log.SEVERITY:
        made.write(severity, "text", {})
    head = b"postfix/test[%d]: " % os.getpid()
    words = [b"", b"warning: ", b"error: ", b"fatal: ", b"panic: "]
    assert [line for _, line in sink.lines] == [head + word + b"text" for word in words]
    assert [severity for severity, _ in sink.lines] == [6, 4, 3, 2, 2]


def test_stamped_line_begins_with_time_and_host() -> None:
    """As syslogd writes it into a file; the day is padded with a blank."""
    sink = ListSink()
    opened(sink, stamped=True).write("info", "text", {})
    assert re.fullmatch(rb"[A-Z][a-z]{2} [ 123][0-9] [0-9:]{8} mail postfix/test\[[0-9]+\]: text", sink.lines[0][1])


def test_json_line_has_the_fields() -> None:
    """The classic text is its message."""
    sink = ListSink()
    opened(sink, json=True).write("warning", "text", {"event": "x", "queue_id": "3ABC"})
    record = json.loads(sink.lines[0][1])
    assert record["message"] == "warning: text"
    assert (record["event"], record["queue_id"], record["severity"]) == ("x", "3ABC", "warning")
    assert (record["host"], record["program"], record["pid"]) == ("mail", "postfix/test", os.getpid())


@given(st.text(st.characters(codec=None)))
def test_no_text_can_forge_a_line_or_drive_a_terminal(text: str) -> None:
    """Control characters, C1 ones too, become "?"; every text can be written."""
    sink = ListSink()
    opened(sink).write("info", text, {})
    line = sink.lines[0][1].decode()
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in line)


def test_a_long_text_is_cut() -> None:
    """syslogd cuts as well."""
    sink = ListSink()
    opened(sink).write("info", "x" * 3 * MAX_TEXT, {})
    assert len(sink.lines[0][1].partition(b"]: ")[2]) == MAX_TEXT


def test_lines_before_open_are_kept() -> None:
    """Nothing is configured yet."""
    made, sink = Log(), ListSink()
    made.write("info", "early", {})
    made.open("postfix/test", sink)
    made.write("info", "late", {})
    assert [line.rpartition(b" ")[2] for _, line in sink.lines] == [b"early", b"late"]


def test_lines_that_follow_closely_leave_together(loop: FakeLoop) -> None:
    """The first one leaves in the next turn, those that come soon after it wait for company."""
    sink = ListSink()
    made = opened(sink)
    made.attach(loop)
    made.write("info", "a", {})
    assert not sink.lines
    loop.run_ready()
    assert len(sink.lines) == 1
    made.write("info", "b", {})
    made.write("info", "c", {})
    loop.run_ready()
    assert len(sink.lines) == 1
    loop.advance(GATHER_S)
    assert len(sink.lines) == 3
    for _ in range(GATHER_LINES):
        made.write("info", "d", {})
    assert len(sink.lines) == 3 + GATHER_LINES
    made.attach(None)
    made.write("info", "e", {})
    assert len(sink.lines) == 4 + GATHER_LINES


def test_a_log_that_takes_nothing_is_tried_again(loop: FakeLoop) -> None:
    """Without a further line."""
    sink = ListSink(room=0)
    made = opened(sink)
    made.attach(loop)
    made.write("info", "a", {})
    loop.advance(1)
    sink.room = 10
    loop.advance(1)
    assert len(sink.lines) == 1


def test_what_the_log_does_not_take_is_offered_again() -> None:
    """In order, and nothing twice."""
    sink = ListSink(room=1)
    made = opened(sink)
    for text in "abc":
        made.write("info", text, {})
    assert len(sink.lines) == 1
    sink.room = 10
    made.flush()
    assert [line[-1:] for _, line in sink.lines] == [b"a", b"b", b"c"]


def test_a_dead_log_costs_bounded_memory_and_the_loss_is_told() -> None:
    """Mail does not wait for its log."""
    sink = ListSink(room=0)
    made = opened(sink)
    for number in range(MAX_PENDING + 5):
        made.write("info", str(number), {})
    sink.room = 1_000_000
    made.flush()
    made.write("info", "again", {})
    assert len(sink.lines) == MAX_PENDING + 2
    texts = [line.partition(b"]: ")[2] for _, line in sink.lines[-2:]]
    assert b"warning: 5 log lines were lost: the log did not take them" in texts


def test_null_sink_takes_nothing() -> None:
    """So the log keeps it."""
    assert NullSink().write([(6, b"x")]) == 0


def test_file_sink_writes_lines(tmp_path: Path) -> None:
    """All of them with one call."""
    with (tmp_path / "log").open("wb") as file:
        assert FileSink(file.fileno()).write([(6, b"a"), (4, b"b")]) == 2
    assert (tmp_path / "log").read_bytes() == b"a\nb\n"


def taking(room: int, written: bytearray) -> Callable[[int, bytes], int]:
    """Make an os.write that takes at most `room` octets."""

    def write(_descriptor: int, data: bytes) -> int:
        written.extend(data[:room])
        return min(room, len(data))

    return write


def test_file_sink_finishes_a_line_that_was_written_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full pipe takes half a line; the other half comes first when there is room, so no line is torn."""
    for room in range(1, 12):
        written = bytearray()
        monkeypatch.setattr(os, "write", taking(room, written))
        sink, offered = FileSink(1), [(6, b"abc"), (6, b""), (6, b"defg"), (6, b"end")]
        for _ in range(40):
            del offered[: sink.write(offered)]
        assert not offered
        assert written == b"abc\n\ndefg\nend\n"


def test_file_sink_begins_a_new_line_after_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was torn off is lost, the lines after it are whole."""
    written = bytearray()
    answers: list[int | OSError] = [2, OSError(28, "No space left on device"), 100]

    def write(_descriptor: int, data: bytes) -> int:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        written.extend(data[:answer])
        return min(answer, len(data))

    monkeypatch.setattr(os, "write", write)
    sink = FileSink(1)
    assert [sink.write([(6, b"abc")]), sink.write([(6, b"lost")]), sink.write([(6, b"def")])] == [1, 1, 1]
    assert written == b"ab\ndef\n"


def test_file_sink_survives_a_reader_that_is_gone() -> None:
    """The lines are lost, the process is not."""
    reader, writer = os.pipe()
    os.close(reader)
    assert FileSink(writer).write([(6, b"x")]) == 1
    os.close(writer)


def listen(path: Path) -> socket.socket:
    """Serve a datagram socket."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(path))
    made.setblocking(False)
    return made


def test_syslog_sink_sends_a_datagram_for_each_line(tmp_path: Path) -> None:
    """With facility and severity in front, and the time."""
    with listen(tmp_path / "log") as server:
        sink = SyslogSink(str(tmp_path / "log"))
        assert sink.write([(6, b"a"), (3, b"b")]) == 2
        assert re.fullmatch(rb"<22>[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} a", server.recv(1000))
        assert server.recv(1000).startswith(b"<19>")
        sink.close()


def test_syslog_sink_without_a_log_daemon_drops(tmp_path: Path) -> None:
    """As syslog(3) does in a container."""
    assert SyslogSink(str(tmp_path / "none")).write([(6, b"a"), (6, b"b")]) == 2


def test_postlog_sink_packs_lines_and_keeps_them_while_postlogd_is_away(tmp_path: Path) -> None:
    """And finds it again when it was replaced."""
    sink, path = PostlogSink(str(tmp_path / "postlog")), tmp_path / "postlog"
    assert sink.write([(6, b"a")]) == 0
    with listen(path) as server:
        assert sink.write([(6, b"a"), (6, b"b")]) == 2
        assert server.recv(1000) == b"a\nb\n"
    path.unlink()
    with listen(path) as server:
        assert sink.write([(6, b"c")]) == 1
        assert server.recv(1000) == b"c\n"
    sink.close()


def test_postlog_sink_keeps_datagrams_small(tmp_path: Path) -> None:
    """Each holds whole lines."""
    with listen(tmp_path / "postlog") as server:
        sink = PostlogSink(str(tmp_path / "postlog"))
        assert sink.write([(6, b"x" * 30_000)] * 5) == 5
        sizes = [len(server.recv(1 << 20)) for _ in range(3)]
    sink.close()
    assert all(size <= MAX_DATAGRAM for size in sizes)
    assert sum(sizes) == 5 * 30_001


@pytest.mark.parametrize("severity", list(log.SEVERITY))
def test_each_severity_has_a_function(monkeypatch: pytest.MonkeyPatch, severity: str) -> None:
    """Of the process's log."""
    seen: list[tuple[str, str, dict[str, log.Field]]] = []
    monkeypatch.setattr(log.LOG, "write", lambda *record: seen.append(record))
    getattr(log, severity)("text", event="e")
    assert seen == [(severity, "text", {"event": "e"})]


@pytest.mark.parametrize("json_mode", [False, True])
def test_what_is_logged_meanwhile_can_be_collected(json_mode: bool) -> None:
    """It goes into the list, without head; what was logged before and comes after goes where it went."""
    sink = ListSink()
    own = opened(sink, json=json_mode, stamped=True)
    own.write("info", "before", {})
    lines: list[str] = []
    with own.collecting(lines):
        own.write("warning", "a line", {"event": "e"})
    own.write("info", "after", {})
    assert lines == ["warning: a line"]
    assert [b"before" in line or b"after" in line for _, line in sink.lines] == [True, True]


def test_last_lines_of_a_process_wait_for_a_busy_log(tmp_path: Path) -> None:
    """The log's socket holds few datagrams, and at a stop all daemons write at once: each waits for its turn."""
    path = tmp_path / "postlog"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(path))
        sink = PostlogSink(str(path))
        made = opened(sink)
        count = 0
        while not made.pending and count < 5000:  # until the socket is full
            made.write("info", f"line {count}", {})
            count += 1
        threading.Timer(0.03, lambda: [reader.recv(MAX_DATAGRAM) for _ in range(count - 1)]).start()
        made.finish()
        assert made.pending == 0
        sink.close()


def test_last_lines_of_a_process_do_not_wait_for_a_log_that_is_gone(tmp_path: Path) -> None:
    """A process ends all the same."""
    made = opened(PostlogSink(str(tmp_path / "nobody")))
    made.write("info", "line", {})
    made.finish()
    assert made.pending == 1


def test_lines_wait_for_a_system_log_that_is_restarted(tmp_path: Path) -> None:
    """Where a log daemon was, it comes back; what was logged meanwhile is not lost."""
    path = tmp_path / "log"
    sink = SyslogSink(str(path))
    made = opened(sink)
    for texts in (["first"], ["second", "third"]):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            daemon.bind(str(path))
            daemon.settimeout(5)
            made.flush()
            if texts == ["first"]:
                made.write("info", "first", {})
            assert [daemon.recv(1000).rpartition(b" ")[2].decode() for _ in texts] == texts
        path.unlink()
        if texts == ["first"]:
            made.write("info", "second", {})
            made.write("info", "third", {})
    sink.close()


@pytest.mark.parametrize("kind", [SyslogSink, PostlogSink])
def test_line_that_no_datagram_holds_is_dropped_alone(kind: type[SyslogSink | PostlogSink], tmp_path: Path) -> None:
    """It would never be taken, and everything behind it would wait for ever."""
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(path))
        daemon.settimeout(5)
        sink = kind(str(path))
        made = opened(sink, json=True)
        made.write("info", "first", {"list": ["x" * 1000] * 1000})
        made.write("info", "second", {})
        assert b"second" in daemon.recv(MAX_DATAGRAM)
        assert made.pending == 0
        sink.close()


def test_lines_for_the_system_log_leave_at_once(tmp_path: Path, loop: FakeLoop) -> None:
    """Each is a datagram of its own, and nobody sorts them: the order in which daemons write is the order there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(tmp_path / "log"))
        reader.setblocking(False)
        sink = SyslogSink(str(tmp_path / "log"))
        made = opened(sink)
        made.attach(loop)
        for number in range(3):
            made.write("info", f"line {number}", {})
            assert reader.recv(1000).endswith(b"line %d" % number)
        sink.close()
