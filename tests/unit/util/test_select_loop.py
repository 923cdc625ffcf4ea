"""master's event loop: descriptors, timers, signals."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from posthouse.util.select_loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Make one, and leave the signals as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    wakeup = signal.set_wakeup_fd(-1)
    made = Loop()
    yield made
    signal.set_wakeup_fd(wakeup)
    for number, handler in before.items():
        signal.signal(number, handler)
    for sock in (made._signals, made._wakeup):
        sock.close()
    made._selector.close()


def test_timers_come_in_their_order_and_cancelled_ones_never(loop: Loop) -> None:
    """Also one that is set by another; cancelling what is over, or nothing, does no harm."""
    seen: list[str] = []
    loop.after(0.02, lambda: seen.append("late"))
    first = loop.after(0.0, lambda: loop.after(0.0, lambda: seen.append("early")) and None)
    loop.cancel(loop.after(0.01, lambda: seen.append("never")))
    loop.after(0.03, loop.stop)
    loop.run()
    assert seen == ["early", "late"]
    loop.cancel(first)
    loop.cancel(None)


def test_who_is_not_watched_any_more_is_not_called(loop: Loop) -> None:
    """Two are readable in the same turn, and each ends the watch of the other: one is called."""
    pairs = [socket.socketpair() for _ in range(2)]
    seen: list[int] = []

    def called(number: int) -> None:
        seen.append(number)
        loop.unwatch(pairs[1 - number][0])
        loop.stop()

    loop.watch(pairs[0][0], lambda: called(0))
    loop.watch(pairs[1][0], lambda: called(1))
    for _, theirs in pairs:
        theirs.send(b"x")
    loop.run()
    assert len(seen) == 1
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_signals_are_handled_in_the_loop_once_for_several(loop: Loop) -> None:
    """And others that reach the process are nobody's here."""
    seen: list[int] = []
    loop.on_signal(signal.SIGUSR1, lambda: seen.append(1))
    signal.signal(signal.SIGUSR2, lambda *_: None)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1):
        os.kill(os.getpid(), number)
    assert seen == []
    loop.after(0.02, loop.stop)
    loop.run()
    assert seen == [1]
