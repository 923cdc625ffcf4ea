"""Daemons that fail at every start, by master's marks, and daemons that say nothing any more."""

import os
from pathlib import Path
from typing import Final

import pytest

from posthouse.daemons.governor.absent import Absent
from posthouse.daemons.governor.reports import Subscriber
from posthouse.governor import conditions as c
from posthouse.governor.level import Gauge, Level
from posthouse.governor.steps import Step, steps_of

WALL: Final = 1_700_000_000.0
THROTTLE_S: Final = 60.0


def mark(directory: Path, name: str, age: float = 0.0) -> Path:
    """Do as master does."""
    path = directory / f"throttled.{name}"
    path.mkdir(exist_ok=True)
    os.utime(path, (WALL - age, WALL - age))
    return path


def test_nothing_is_missing(tmp_path: Path) -> None:
    """Other files of pid/ are not looked at, neither is a directory that is not there a reason to fail."""
    (tmp_path / "master.pid").touch()
    for directory in (tmp_path, tmp_path / "away"):
        reading = Absent(str(directory), THROTTLE_S).look([], 1.0, WALL)
        assert (reading.value, reading.text) == (0.0, "none is missing")


def test_a_service_that_fails_again_and_again(tmp_path: Path) -> None:
    """Busy at the first failure, the postmaster is told after half a minute; moments without a mark change nothing."""
    absent, gauge = Absent(str(tmp_path), THROTTLE_S), Gauge()
    levels = []
    for now in range(45):
        if now % 3:
            mark(tmp_path, "127.0.0.1:25")
        elif now:
            (tmp_path / "throttled.127.0.0.1:25").rmdir()
        reading = absent.look([], float(now), WALL)
        gauge.update(reading.value, reading.thresholds, float(now))
        levels.append(gauge.level)
    assert (levels[0], levels[1], levels[25], levels[-1]) == (Level.NORMAL, Level.BUSY, Level.BUSY, Level.STRAINED)
    assert "127.0.0.1:25 fails to start, for 4" in reading.text
    assert Step.WARN in steps_of(c.SERVICES, Level.STRAINED)


def test_a_service_that_is_back(tmp_path: Path) -> None:
    """Ten seconds without a mark, and it is no longer missing."""
    absent = Absent(str(tmp_path), THROTTLE_S)
    mark(tmp_path, "smtp")
    assert absent.look([], 1.0, WALL).value == 1.0
    (tmp_path / "throttled.smtp").rmdir()
    assert absent.look([], 10.0, WALL).value > 1.0
    assert absent.look([], 20.5, WALL).value == 0.0


def test_a_mark_of_an_earlier_master(tmp_path: Path) -> None:
    """Master never waits that long: nobody took it away."""
    mark(tmp_path, "smtp", age=THROTTLE_S + 11)
    assert Absent(str(tmp_path), THROTTLE_S).look([], 1.0, WALL).value == 0.0


@pytest.mark.parametrize(("silent", "value"), [(14.0, 0.0), (16.0, 17.0), (40.0, 41.0)])
def test_a_silent_daemon(tmp_path: Path, silent: float, value: float) -> None:
    """A process reports every five seconds; three reports left out mean something."""
    absent, process = Absent(str(tmp_path), THROTTLE_S), Subscriber("cleanup")
    process.heard = 100.0
    for now in range(100, 100 + int(silent) + 1):
        reading = absent.look([process], float(now), WALL)
    assert reading.value == value
    assert ("cleanup says nothing, for" in reading.text) is (value > 0)


def test_when_we_were_frozen_ourselves(tmp_path: Path) -> None:
    """After a pause of our own everybody has time to speak."""
    absent, process = Absent(str(tmp_path), THROTTLE_S), Subscriber("cleanup")
    process.heard = 100.0
    absent.look([process], 101.0, WALL)
    assert absent.look([process], 400.0, WALL).value == 0.0
