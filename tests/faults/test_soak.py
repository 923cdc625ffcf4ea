"""A long run at half of the possible load while things go wrong: nothing lost, memory flat, nothing left behind."""

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from tests.conftest import Start
from tests.faults.figures import Figures
from tests.support import daemons, net
from tests.support.amount import Amount
from tests.support.instance import Instance
from tests.support.mailboxes import Boxes, give_away
from tests.support.recording_sink import Received, RecordingSink
from tests.support.sender import Clients, Ledger, find_tokens

SEED: Final = int(os.environ.get("POSTHOUSE_SEED", "20261123"))
BOXES: Final = Boxes(["alice"])
RECIPIENTS: Final = (*(f"user{number}@relay.test" for number in range(9)), *BOXES.addresses)
FAST_RETRY: Final = {"minimal_backoff_time": "1s", "maximal_backoff_time": "5s", "queue_run_delay": "1s"}
IN_FLIGHT: Final = 40  # messages that the death of an agent, the queue manager or the system can double
CONNECTIONS: Final = 10
MEASURE_S: Final = 15.0  # at full speed, to know the half
SOAK_S: Final = float(os.environ.get("POSTHOUSE_SOAK_S", "1800"))
SAMPLE_S: Final = 5.0
FLAT: Final = 60 << 20  # bytes of growth in the second half that are no leak, whatever the rate


class TokenSink(RecordingSink):
    """Keeps the tokens alone: a long run would fill the memory of the test."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.tokens: list[str] = []
        self.is_open = True

    def _answer(self, verb: str, _address: str) -> str:
        return "450 4.3.0 later" if verb == "RCPT" and not self.is_open else ""

    def keep(self, message: Received) -> None:
        """Take a message."""
        self.tokens += find_tokens([message.content])


class Paced(Clients):
    """So many messages a second together, at most."""

    def __init__(self, port: int, ledger: Ledger, rate: float) -> None:
        super().__init__(port, ledger, RECIPIENTS, connections=CONNECTIONS)
        self._step = 1 / rate
        self._due = time.monotonic()
        self._turn = threading.Lock()

    def _message(self, sock: socket.socket) -> bool:
        with self._turn:
            self._due = max(self._due + self._step, time.monotonic() - 1)
            wait = self._due - time.monotonic()
        time.sleep(max(wait, 0.0))
        return super()._message(sock)


@dataclass(slots=True)
class Sample:
    """How the system is at one moment."""

    at: float
    memory: int
    descriptors: int
    processes: int

    def __str__(self) -> str:
        return f"{self.memory >> 20} MB, {self.descriptors} descriptors, {self.processes} processes"


@dataclass(slots=True)
class Soak:
    """One run."""

    server: Instance
    sink: TokenSink
    chance: random.Random
    samples: list[Sample] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    begin: float = field(default_factory=time.monotonic)

    def run(self, seconds: float, pause: tuple[float, float]) -> None:
        """Go on for so long; a fault after each pause, which is between these two."""
        faults: Sequence[Callable[[], None]] = (
            self._kill,
            self._kill,
            self._kill,
            self._stop,
            self._reload,
            self._away,
        )
        end = time.monotonic() + seconds
        sample_at = fault_at = 0.0
        while (now := time.monotonic()) < end:
            if now >= sample_at:
                sample_at = now + SAMPLE_S
                self.sweep()
                self.samples.append(self.sample())
            if now >= fault_at:
                fault_at = now + self.chance.uniform(*pause)
                self.chance.choice(faults)()
            time.sleep(0.1)

    def sample(self) -> Sample:
        """Look."""
        pids = [process.pid for process in self.server.processes()]
        return Sample(time.monotonic() - self.begin, self.server.pss_bytes(), sum(map(descriptors, pids)), len(pids))

    def sweep(self) -> None:
        """Take what is in the mailboxes away, noting it."""
        for path in self.server.mail_directory.glob("**/new/*"):
            self.delivered += find_tokens([path.read_bytes()])
            path.unlink()

    def _kill(self) -> None:
        name = self.chance.choice(sorted(daemons.names(self.server) - {"orders"}))
        self.faults[f"kill -9 {name}"] += 1
        if name == "master":
            daemons.kill_all(self.server)
            self.server.start_and_greet()
        else:
            daemons.kill(self.server, name)
            net.wait_greeting(self.server.port, 30)

    def _stop(self) -> None:
        """Freeze one process for a second."""
        victims = [process for process in self.server.processes() if process.name not in {"master", "warm", "runas"}]
        victim = self.chance.choice(victims)
        self.faults["SIGSTOP for a second"] += 1
        try:
            os.kill(victim.pid, signal.SIGSTOP)
            time.sleep(1)
            os.kill(victim.pid, signal.SIGCONT)
        except ProcessLookupError:
            return

    def _reload(self) -> None:
        self.faults["reload"] += 1
        assert self.server.command("postfix", "reload").returncode == 0

    def _away(self) -> None:
        """The relay host takes nothing for two seconds."""
        self.faults["relay host away"] += 1
        self.sink.is_open = False
        time.sleep(2)
        self.sink.is_open = True


def descriptors(pid: int) -> int:
    """Count the open files of a process; none when it is gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def slope(samples: Sequence[Sample]) -> float:
    """Give the growth of memory in bytes a second: least squares."""
    count = len(samples)
    middle_t, middle_m = sum(each.at for each in samples) / count, sum(each.memory for each in samples) / count
    spread = sum((each.at - middle_t) ** 2 for each in samples)
    both = sum((each.at - middle_t) * (each.memory - middle_m) for each in samples)
    return both / spread if spread else 0.0


def quarters(samples: Sequence[Sample]) -> str:
    """Give the usual memory in each quarter of a run, in MB: single samples depend on what is under way."""
    size = max(len(samples) // 4, 1)
    parts = [samples[start : start + size] for start in range(0, size * 4, size)]
    return ", ".join(f"{median(each.memory for each in part) / (1 << 20):.0f}" for part in parts if part)


def full_speed(server: Instance, ledger: Ledger, seconds: float) -> float:
    """Measure how many messages a second are taken from as many clients as come now."""
    before = len(ledger.acknowledged)
    clients = Clients(server.port, ledger, RECIPIENTS, connections=CONNECTIONS)
    clients.start()
    time.sleep(seconds)
    clients.finish()
    return (len(ledger.acknowledged) - before) / seconds


def settle(soak: Soak, limit_s: float = 180.0) -> Sample:
    """Let everything that is queued go out; how the system is then."""
    deadline = time.monotonic() + limit_s
    while left := soak.server.queue():
        assert time.monotonic() < deadline, f"{len(left)} messages stay: {left[0]}"
        soak.server.command("postqueue", "-f")
        time.sleep(0.5)
    soak.sweep()
    time.sleep(2)
    return soak.sample()


def test_a_long_run(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """Half of the possible load, a fault every few seconds."""
    print(f"seed {SEED}")
    ledger = Ledger()
    with TokenSink() as sink:
        server = posthouse(
            **BOXES.options(relayhost=f"[127.0.0.1]:{sink.port}", mydestination="", **FAST_RETRY), started=False
        )
        give_away(server)
        server.start_and_greet()
        soak = Soak(server, sink, random.Random(SEED))
        rate = max(full_speed(server, ledger, amount(2.0, MEASURE_S)) / 2, 10.0)
        before = settle(soak)
        soak.begin = time.monotonic()
        clients = Paced(server.port, ledger, rate)
        clients.start()
        soak.run(amount(8.0, SOAK_S), amount((0.5, 2.0), (3.0, 12.0)))
        clients.finish()
        after = settle(soak)
        deaths = sum(count for name, count in soak.faults.items() if name.startswith("kill"))
        arrived = ledger.check([*sink.tokens, *soak.delivered], doubles_allowed=deaths * IN_FLIGHT)
        second_half = soak.samples[len(soak.samples) // 2 :]
        growth = slope(second_half)
        doubles = sum(arrived.values()) - len(arrived)
        minutes, faults = soak.samples[-1].at / 60, sum(soak.faults.values())
        figures(
            f"{minutes:.0f} minutes at {rate:.0f} messages a second, {faults} faults",
            f"{len(ledger.acknowledged)} acknowledged, none lost, {doubles} twice; memory under load, medians of its "
            f"quarters: {quarters(soak.samples)} MB ({growth * 3600 / (1 << 20):+.0f} MB an hour in the second half); "
            f"idle before: {before}; after: {after}",
        )
        print(dict(soak.faults))
        assert growth * (second_half[-1].at - second_half[0].at) < FLAT
        assert after.processes <= before.processes + 3
        assert after.descriptors <= before.descriptors * 1.5 + 20
        assert "panic" not in Path(server.maillog).read_text(encoding="utf-8", errors="replace")
