"""Lines of many processes stand in the log in the order in which they were written."""

import os
import re
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.daemons.postlogd.order import InOrder
from posthouse.daemons.postlogd.service import HOLD_S, PostlogService
from posthouse.util.log import GATHER_S, ORDER_MARK, Log, PostlogSink
from tests.support.fake_loop import FakeLoop


def marked(at: int, text: bytes) -> bytes:
    """Make a line that says when it was written."""
    return b"%b%016x%b" % (ORDER_MARK, at, text)


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=6).map(sorted), max_size=6), st.integers(0, 60))
def test_any_datagrams_come_out_in_order(datagrams: list[list[int]], until: int) -> None:
    """Whatever came first; lines of one moment keep their order of arrival, and later ones wait."""
    lines = InOrder()
    came = [(at, b"%d.%d" % (number, place)) for number, each in enumerate(datagrams) for place, at in enumerate(each)]
    for number, each in enumerate(datagrams):
        lines.add(b"".join(marked(at, b"%d.%d\n" % (number, place)) for place, at in enumerate(each)), 100)
    wanted = [text for at, text in sorted(came, key=lambda line: line[0]) if at <= until]
    assert lines.take(until).splitlines() == wanted
    assert len(lines.take(100).splitlines()) == len(came) - len(wanted)
    assert not lines


@pytest.mark.parametrize("line", [b"plain", ORDER_MARK + b"no time at all!!plain", marked(1 << 60, b"plain")])
def test_lines_without_a_sensible_time_were_written_when_they_came(line: bytes) -> None:
    """Those of commands, and of a daemon that lies: nobody's line waits for ever."""
    lines = InOrder()
    lines.add(marked(4, b"four\n") + line + b"\n" + marked(5, b"five") + b"\n\n" + ORDER_MARK, 6)
    assert lines.take(6) == b"four\nfive\nplain\n"
    assert not lines


def test_a_delivery_stands_behind_the_line_with_its_size(tmp_path: Path, loop: FakeLoop) -> None:
    """The queue manager's lines leave it later than those of the agent that it asked; each says when it was written."""
    path = tmp_path / "postlog"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(path))
        reader.setblocking(False)
        service = PostlogService(str(tmp_path / "maillog"), loop=loop)
        qmgr, agent = Log(), Log()
        sinks = [PostlogSink(str(path)), PostlogSink(str(path))]
        for log, sink in zip((qmgr, agent), sinks, strict=True):
            log.open("postfix/x", sink)
            log.attach(loop)
        qmgr.write("info", "4jYKdw0S9Sz2V: from=<a@b.test>, size=1, nrcpt=1 (queue active)", {})
        agent.write("info", "4jYKdw0S9Sz2V: to=<c@d.test>, relay=local, status=sent (delivered to maildir)", {})
        agent.flush()
        service.datagrams(reader)
        qmgr.flush()
        service.datagrams(reader)
        assert (tmp_path / "maillog").read_bytes() == b""
        service.closing()
        os.close(service.descriptor)
        for sink in sinks:
            sink.close()
    found = re.findall(r"(from|to)=", (tmp_path / "maillog").read_text())
    assert found == ["from", "to"]
    assert ORDER_MARK not in (tmp_path / "maillog").read_bytes()


def test_lines_are_written_by_themselves(tmp_path: Path, loop: FakeLoop) -> None:
    """After the moment in which an earlier one could come; it is longer than the one for which processes gather."""
    assert HOLD_S > GATHER_S
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with left, right:
        right.setblocking(False)
        service = PostlogService(str(tmp_path / "maillog"), loop=loop)
        left.send(marked(time.monotonic_ns(), b"one\n"))
        service.datagrams(right)
        time.sleep(2 * HOLD_S)
        loop.advance(HOLD_S)
        os.close(service.descriptor)
        assert (tmp_path / "maillog").read_bytes() == b"one\n"
