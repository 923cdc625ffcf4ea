"""Absent: the daemons that should be there and are not. They fail at every start, or they have fallen silent.

master(8) makes a directory pid/throttled.NAME for as long as it starts no process of a service because the last ones
failed. One that an earlier master left behind is older than master ever waits.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from posthouse.daemons.governor.reports import Subscriber
from posthouse.governor import conditions as c
from posthouse.governor.board import Reading
from posthouse.governor.units import format_seconds

MARK: Final = "throttled."
KEPT_S: Final = 10.0  # a service that fails at once is not marked for moments between two attempts
SILENT_S: Final = 15.0  # a process reports every five seconds
FROZEN_S: Final = 5.0  # when we were not there ourselves we cannot have heard anything


class Absent:
    """See the module's docstring. throttle_s: the longest that master waits."""

    def __init__(self, directory: str, throttle_s: float) -> None:
        self._directory, self._throttle_s = directory, throttle_s
        self._since: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._looked = 0.0

    def look(self, subscribers: Iterable[Subscriber], now: float, wall: float) -> Reading:
        """Look once more. now: the loop's clock; wall: seconds since the epoch."""
        for name in self._marked(wall):
            self._seen[name] = now
            self._since.setdefault(name, now)
        for name in [name for name, seen in self._seen.items() if now - seen > KEPT_S]:
            del self._seen[name], self._since[name]
        found = [(now - since, name, "fails to start") for name, since in self._since.items()]
        found += [(silent, name, "says nothing") for silent, name in self._silent(subscribers, now)]
        self._looked = now
        text = "; ".join(f"{name} {what}, for {format_seconds(age)}" for age, name, what in sorted(found, reverse=True))
        worst = max((age for age, _, _ in found), default=-1.0) + 1.0  # seconds begun: one at once
        return Reading(c.SERVICES, worst, c.FIXED[c.SERVICES], text or "none is missing")

    def _marked(self, wall: float) -> list[str]:
        oldest = wall - self._throttle_s - KEPT_S
        with suppress(OSError), os.scandir(self._directory) as entries:
            marks = [entry for entry in entries if entry.name.startswith(MARK) and entry.stat().st_mtime >= oldest]
            return [entry.name.removeprefix(MARK) for entry in marks]
        return []

    def _silent(self, subscribers: Iterable[Subscriber], now: float) -> list[tuple[float, str]]:
        if now - self._looked > FROZEN_S:
            for each in subscribers:
                each.heard = now
        return [(now - each.heard, each.service) for each in subscribers if now - each.heard >= SILENT_S]
