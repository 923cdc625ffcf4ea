"""ClockWatch: who sets the clock is noticed, and only a clock that went back needs something done."""

import pytest

from posthouse.daemons.qmgr import clock as module
from posthouse.daemons.qmgr.clock import JUMP_S, LOOK_S, Clock, ClockWatch
from tests.support.fake_loop import FakeLoop
from tests.support.lookups import logged


@pytest.mark.parametrize(
    ("jump", "line", "went_back"),
    [
        (10 * 365 * 86400, "warning: the clock was set forward by 315360000 s; no mail is returned for it", 0),
        (-86400, "warning: the clock was set back by 86400 s; no mail is returned for it", 1),
        (JUMP_S - 1, "", 0),
        (1 - JUMP_S, "", 0),
    ],
)
def test_a_clock_that_was_set(
    loop: FakeLoop, monkeypatch: pytest.MonkeyPatch, jump: float, line: str, went_back: int
) -> None:
    """One line, once; small corrections are nobody's business."""
    jumped, calls = [0.0], []
    monkeypatch.setattr(module.time, "time", lambda: loop.time() + jumped[0])  # type: ignore[attr-defined]
    monkeypatch.setattr(module.time, "clock_gettime", lambda _clock: loop.time())  # type: ignore[attr-defined]
    watch = ClockWatch(loop, Clock(), lambda: calls.append(loop.time()))
    with logged() as lines:
        loop.advance(3 * LOOK_S)
        jumped[0] = jump
        loop.advance(3 * LOOK_S)
    watch.stop()
    assert lines == ([line] if line else [])
    assert len(calls) == went_back
