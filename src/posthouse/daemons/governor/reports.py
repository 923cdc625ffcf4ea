"""What the subscribed processes say of themselves, put together: delays, memory, descriptors, and the flow of mail."""

from collections import deque
from statistics import median
from typing import Final

from posthouse.ipc.governor import MAX_NUMBERS, Report

FLOW_WINDOW_S: Final = 10.0
FLOW_LEAST: Final = 20  # messages more in than out in that time mean something
DELAY_TICKS: Final = 3  # reports of one process


class Flow:
    """Whether mail comes in faster than it goes out, from two counters of qmgr."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float, float]] = deque()

    def add(self, now: float, arrived: float, left: float) -> None:
        """Take the counters."""
        samples = self._samples
        if samples and arrived < samples[-1][1]:  # another qmgr, that counts anew
            samples.clear()
        samples.append((now, arrived, left))
        while samples[0][0] < now - FLOW_WINDOW_S:
            samples.popleft()

    def grows(self, now: float) -> bool:
        """Tell whether more came than went in the last seconds."""
        samples = self._samples
        if len(samples) < 2 or samples[-1][0] < now - FLOW_WINDOW_S:
            return False
        came, went = samples[-1][1] - samples[0][1], samples[-1][2] - samples[0][2]
        return came - went >= FLOW_LEAST


class Subscriber:
    """One process: its name and its last reports."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.heard = 0.0  # when it said something last, on the loop's clock
        self.last: Report | None = None
        self._delays: deque[float] = deque(maxlen=DELAY_TICKS)

    def take(self, report: Report) -> None:
        """Keep a report."""
        self.last = report
        self._delays.append(report.loop_delay)

    @property
    def delay(self) -> float:
        """How late its loop is, single hiccups left out."""
        return median(self._delays) if len(self._delays) == DELAY_TICKS else 0.0


class Reports:
    """Of all processes."""

    def __init__(self) -> None:
        self.subscribers: set[Subscriber] = set()
        self.flow = Flow()
        self.queue: dict[str, float] = {}  # the last numbers of qmgr

    def take(self, subscriber: Subscriber, report: Report, now: float) -> None:
        """Take a report. One with more numbers than there can be is cut."""
        subscriber.take(report)
        subscriber.heard = now
        if "queue_arrived" in report.numbers:
            self.queue = dict(list(report.numbers.items())[:MAX_NUMBERS])
            self.flow.add(now, self.queue["queue_arrived"], self.queue.get("queue_left", 0.0))

    @property
    def memory(self) -> int:
        """Bytes of all processes that tell."""
        return sum(each.last.memory for each in self.subscribers if each.last is not None)

    @property
    def sessions(self) -> int:
        """Clients of all smtpd processes."""
        mine = (each.last for each in self.subscribers if each.service not in ("qmgr", "cleanup", "metrics"))
        return sum(report.sessions for report in mine if report is not None)

    def delay(self) -> tuple[float, str]:
        """Give the worst delay of a loop and whose it is."""
        return max(((each.delay, each.service) for each in self.subscribers), default=(0.0, ""))

    def descriptors(self) -> tuple[float, str, int, int]:
        """Give the share, service, number and limit of the process that uses most of its descriptors."""
        shares = [
            (each.last.descriptors / each.last.descriptor_limit, each.service, each.last)
            for each in self.subscribers
            if each.last is not None and each.last.descriptor_limit > 0
        ]
        if not shares:
            return 0.0, "", 0, 0
        share, service, last = max(shares, key=lambda each: each[0])
        return share, service, last.descriptors, last.descriptor_limit
