"""The watchdog, in a process of its own each: what hangs ends with a line that says where, what works goes on."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import pytest

from posthouse.skeleton.watchdog import START_INTERVALS, Watchdog
from posthouse.util import log
from posthouse.util.log import FileSink
from posthouse.util.loop import new_event_loop

INTERVAL_S: Final = 0.1
LIMIT_S: Final = 20
HANGED: Final = 1
WENT_ON: Final = 7


def spin() -> None:
    """Never end, without a system call."""
    while True:
        pass


def block() -> None:
    """Wait for a reader that never reads."""
    os.read(os.pipe()[0], 1)


def wait_for_a_child() -> None:
    """Wait for another program, in pieces: each is interrupted and goes on."""
    subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"], check=False)


def wait_long() -> None:
    """Wait in select(2)."""
    select.select([], [], [], 60)


def run(action: Callable[[], None], *, watched: bool = True, long_start: bool = False) -> tuple[int, str]:
    """Do it in the loop of another process; returns its exit status and what it logged."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            log.LOG.open("postfix/test", FileSink(writer), json=False, stamped=True, host="mail")
            watchdog = Watchdog(INTERVAL_S)
            loop = new_event_loop()
            log.LOG.attach(loop)
            if long_start:
                watchdog.allow_long_start()
            if watched:
                watchdog.watch(loop)
            loop.call_later(3 * INTERVAL_S, action)
            loop.call_later(8 * INTERVAL_S, os._exit, WENT_ON)
            loop.run_forever()
        finally:
            os._exit(9)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        said = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


@pytest.mark.parametrize("action", [spin, block, wait_for_a_child, wait_long])
def test_what_hangs_is_ended(action: Callable[[], None]) -> None:
    """The line names the calls, the innermost first."""
    status, said = run(action)
    assert status == HANGED
    assert "fatal: watchdog timeout: nothing else was done for 0 s; in " in said
    assert f"{action.__name__} (skeleton/test_watchdog.py:" in said


def test_what_works_goes_on() -> None:
    """A loop that turns answers every alarm, however many come."""
    assert run(lambda: None) == (WENT_ON, "")


def test_a_pause_shorter_than_the_interval_is_none() -> None:
    """A sync, or a large table, may take a moment."""
    assert run(lambda: time.sleep(INTERVAL_S / 2)) == (WENT_ON, "")


def test_the_start_may_take_longer() -> None:
    """Large tables are read before the loop turns, but not for ever."""
    assert run(lambda: time.sleep(INTERVAL_S * 4), watched=False) == (WENT_ON, "")
    status, said = run(spin, watched=False)
    assert status == HANGED
    assert "fatal: watchdog timeout: not ready after 1 s; in spin" in said


def test_a_store_may_be_repaired_for_as_long_as_it_takes() -> None:
    """A long start is no hang where it is allowed."""

    def repair() -> None:
        time.sleep(INTERVAL_S * (START_INTERVALS + 2))

    assert run(repair, watched=False, long_start=True) == (WENT_ON, "")


def test_a_stopped_process_was_not_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    """After SIGCONT, or a machine that slept, the first alarm is late, and proves nothing."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    watchdog = Watchdog(60.0)
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    loop = new_event_loop()
    try:
        watchdog._begin(loop)
        for now in (60.0, 400.0, 460.0):
            clock[0] = now
            watchdog._alarm(signal.SIGALRM, None)
        assert ended == [1]  # at 400 it was late; at 460 it was not, and nobody had answered since 400
    finally:
        loop.close()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
