"""kill -9 at random moments and at named points, under load of every kind: each 250 is kept.

Each daemon dies, master dies, several die, everything dies. What was answered 250 is delivered or returned; it comes
twice only when something died that may double it (docs/queue.md), and every copy is whole. How soon the service is
back is measured and not asserted, except within generous limits.
"""

import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.conftest import Start
from tests.faults.figures import Figures
from tests.faults.named_points import POINTS, SHORT, Point, Traffic
from tests.support import all_ways, daemons
from tests.support.all_ways import Books, Host, Probe, drain, start_plainly, under_load
from tests.support.amount import Amount
from tests.support.instance import Instance, kill_quietly
from tests.support.kill_at import At, Watch, known
from tests.support.letters import SMALL, write_letter
from tests.support.recording_sink import RecordingSink

SEED: Final = 20261123
SETTLE: Final = 25  # rounds after which everything is drained and the books are checked
EVERYTHING, MASTER, SEVERAL, CHILD = "everything", "master", "several", "user's child"
AIM_S: Final = {EVERYTHING: 5.0, MASTER: 5.0}
AIM_DAEMON_S: Final = 2.0
LIMIT_S: Final = 30.0
# Their death can come between a delivery, or the commit of a notice or of a file in maildrop, and its record.
DOUBLING: Final = frozenset(
    {"qmgr", "smtp", "virtual", "local", "runas", "warm", "bounce", "pickup", EVERYTHING, MASTER, SEVERAL, CHILD}
)
REACH_S: Final = 15.0  # for a point to be reached
TURNS: Final = 5  # at each named point in a whole run
IN_FLIGHT: Final = 40  # deliveries whose record one of them can take with it


@dataclass
class Times:
    """How long until the service was back, by what had died."""

    taken: dict[str, list[float]] = field(default_factory=dict)
    through: list[float] = field(default_factory=list)

    def note(self, victim: str, taken_s: float, through_s: float) -> None:
        """Note one round."""
        self.taken.setdefault(victim, []).append(taken_s)
        self.through.append(through_s)
        assert taken_s < LIMIT_S, f"{victim}: no 250 for {taken_s:.1f} s"

    def tell(self, figures: Figures) -> None:
        """Hand on the distributions."""
        of_daemons = [each for victim, found in self.taken.items() if victim not in AIM_S for each in found]
        for what, found, aim_s in (
            ("a daemon's death (or several): to the next 250", of_daemons, AIM_DAEMON_S),
            ("master killed, daemons left alone: start until the next 250", self.taken.get(MASTER, []), 5.0),
            ("everything killed: start until the next 250", self.taken.get(EVERYTHING, []), 5.0),
            ("to the delivery of that message to a Maildir, an mbox file and a relay host", self.through, 5.0),
        ):
            if found:
                figures(f"{what} ({len(found)} rounds)", spread(found, aim_s))
        for victim, found in sorted(self.taken.items()):
            print(f"  {victim}: {spread(found, AIM_S.get(victim, AIM_DAEMON_S))}")


def spread(found: list[float], aim_s: float) -> str:
    """Say median, worst, and how many are above the aim."""
    ordered = sorted(found)
    late = sum(each > aim_s for each in ordered)
    return f"median {ordered[len(ordered) // 2]:.2f} s, worst {ordered[-1]:.2f} s, {late} above {aim_s:.0f} s"


@dataclass
class Rounds:
    """What happened."""

    books: Books
    killed: Counter[str] = field(default_factory=Counter)
    times: Times = field(default_factory=Times)

    def victims(self) -> list[str]:
        """Name what can die now, what died least often first."""
        names = daemons.names(self.books.server) - {"orders", "master"}
        return sorted({*names, CHILD}, key=lambda each: (self.killed[each], each))

    def kill(self, victim: str, chance: random.Random) -> float:
        """Kill; return when it was, or for what needs a start when that began."""
        server = self.books.server
        if victim == EVERYTHING:
            daemons.kill_all(server)
            time.sleep(chance.uniform(0.0, 0.5))  # sendmail leaves its messages in maildrop
        elif victim == MASTER:
            daemons.kill(server, "master")
        elif victim == SEVERAL:
            for each in chance.sample(self.victims(), 3):
                kill_one(server, each)
        else:
            kill_one(server, victim)
        begin = time.monotonic()
        if victim in AIM_S:
            start_plainly(server)
        self.killed[victim] += 1
        return begin

    def settle(self) -> None:
        """Drain, and hold the ledger against what arrived: nothing lost, nothing torn, doubles where allowed."""
        server, books = self.books.server, self.books
        drain(server, idle=lambda: all_ways.age_locks(books.mail))
        books.collect()
        allowed = IN_FLIGHT * sum(count for victim, count in self.killed.items() if victim in DOUBLING)
        books.ledger.check(books.arrived.elements(), doubles_allowed=allowed)

    def summary(self) -> str:
        """Say what came of it."""
        returned = sum(1 for each in self.books.arrived if each.endswith(all_ways.GONE))
        return (
            f"{self.books.promises}, none lost, {returned} of them returned; {self.books.doubles.total()} twice; "
            f"{self.books.torn} parts in mbox files, each there as a whole too"
        )


def kill_one(server: Instance, victim: str) -> None:
    """Kill every process of a name; or of the processes that are a recipient."""
    if victim != CHILD:
        daemons.kill(server, victim)
        return
    found = [process for process in server.processes() if process.name == "runas"]
    pids = {process.pid for process in found}
    for process in found:
        if process.parent in pids:
            kill_quietly(process.pid)


@pytest.fixture
def books(posthouse: Start) -> Iterator[Books]:
    """Run the system with every way in and out."""
    host = Host()
    with RecordingSink(host.answer) as sink:
        server = posthouse(**all_ways.options(sink), started=False)
        all_ways.give_away(server.mail_directory)
        server.start_and_greet()
        yield Books(server, host, sink, server.mail_directory)
        daemons.kill_all(server)  # an orderly stop is shown elsewhere, and takes a second


def schedule(rounds: int, chance: random.Random) -> list[str]:
    """Say what dies in each round; "": the daemon that died least often."""
    # Master alone dies in tests/integration/40_kill in each short run.
    special = {EVERYTHING: max(rounds // 16, 1), MASTER: rounds // 20, SEVERAL: max(rounds // 12, 1)}
    plan = [victim for victim, count in special.items() for _ in range(count)]
    plan += [""] * (rounds - len(plan))
    chance.shuffle(plan)
    return plan


@pytest.mark.integration
def test_kills_at_random_moments_lose_nothing(books: Books, amount: Amount, figures: Figures) -> None:
    """Daemons, master, several at once and everything die under load; the ledger is checked again and again."""
    chance = random.Random(SEED)
    rounds = Rounds(books)
    plan = schedule(amount(4, 500), chance)
    probe = Probe(books)
    for start in range(0, len(plan), SETTLE):
        with under_load(books, chance):
            for planned in plan[start : start + SETTLE]:
                time.sleep(chance.uniform(0.05, amount(0.3, 1.0)))
                victim = planned or rounds.victims()[0]
                begin = rounds.kill(victim, chance)
                rounds.times.note(victim, *probe.back(begin))
        rounds.settle()
    print(f"killed: {dict(rounds.killed)}; refused: {dict(books.ledger.refused)}; doubled: {dict(books.doubles)}")
    figures(f"kill -9 at {len(plan)} random moments, {rounds.killed[MASTER]} of them of master", rounds.summary())
    rounds.times.tell(figures)
    assert len(books.ledger.acknowledged) > amount(30, 10_000)


class Aim:
    """Brings the system to a named point, where something is killed, alone or with everything else."""

    def __init__(self, rounds: Rounds, chance: random.Random) -> None:
        self._rounds, self._chance = rounds, chance
        self._server = rounds.books.server
        self._hand = all_ways.Load(rounds.books, chance)  # sends what is sent by hand
        self._probe = Probe(rounds.books)
        self._aside = aside(self._server)

    def take(self, point: Point, *, after: bool, together: bool) -> str:
        """Do it once, and wait until the service is back. Returns where it was, "" when the point was not reached."""
        if point.traffic is not Traffic.LOAD:
            return self._take(point, after=after, together=together)
        with under_load(self._rounds.books, self._chance):
            return self._take(point, after=after, together=together)

    def _take(self, point: Point, *, after: bool, together: bool) -> str:
        self._prepare(point.traffic)
        at = At(after, point.about, point.calls, self._chance.randint(1, point.up_to))
        # There are two kinds of pickup, and the one that is meant may have to be forked first.
        watch = Watch(at, [*self._pids(point.victim), *(self._pids("warm") if point.victim == "pickup" else ())])
        assert watch.watching, "processes cannot be traced here"
        self._trigger(point.traffic)
        where = watch.wait(REACH_S)
        begin = time.monotonic()
        victim = EVERYTHING if together else MASTER if point.victim == "master" else point.victim
        if together:
            daemons.kill_all(self._server)
        self._rounds.books.host.takes_nothing = False
        if where or together:
            self._rounds.killed[victim] += 1
        if victim in AIM_S:
            start_plainly(self._server)
        self._rounds.times.note(victim, *self._probe.back(begin))
        return where

    def _pids(self, name: str) -> list[int]:
        deadline = time.monotonic() + LIMIT_S
        while not (found := [process.pid for process in self._server.processes() if process.name == name]):
            assert time.monotonic() < deadline, f"{name} does not run"
            self._trigger(Traffic.LISTING)
            self._wake_pickup()
            self._send(1)
        return found

    def _prepare(self, traffic: Traffic) -> None:
        if traffic is Traffic.RETRY:
            self._rounds.books.host.takes_nothing = True
            self._send(6, "far@relay.test")
            self._server.wait_log("451 4.3.2 not now")

    def _trigger(self, traffic: Traffic) -> None:
        """Have the point reached."""
        if traffic is Traffic.RETRY:
            self._rounds.books.host.takes_nothing = False
            self._server.command("postqueue", "-f")
        elif traffic is Traffic.PAUSE:
            self._send(3)
        elif traffic is Traffic.DROPPED:
            self._drop()
            self._wake_pickup()
        elif traffic is Traffic.LISTING:
            self._server.command("postqueue", "-p")
        elif traffic is Traffic.FORK:
            daemons.kill(self._server, "smtpd")
            daemons.kill(self._server, "virtual")
            self._send(1, "alice@box.test")

    def _send(self, count: int, *recipients: str) -> None:
        """Send some by hand; what is not taken is not in the books as promised."""
        for _ in range(count):
            self._hand.send_alone(write_letter(all_ways.RETURN, recipients or all_ways.RECIPIENTS[:3], SMALL))

    def _wake_pickup(self) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self._server.queue_directory / "public" / "pickup"))
            sock.sendall(b"W")

    def _drop(self) -> None:
        for _ in range(3):
            self._hand.submit(write_letter(all_ways.RETURN, all_ways.RECIPIENTS[:2], SMALL), self._aside)


def aside(server: Instance) -> str:
    """Make a configuration in which nobody listens, so that sendmail(1) leaves its messages in maildrop."""
    place = server.directory / "aside"
    place.mkdir()
    (place / "maildrop").symlink_to(server.queue_directory / "maildrop")
    (place / "main.cf").write_text(f"queue_directory = {place}\n", encoding="utf-8")
    return str(place)


@pytest.mark.integration
@pytest.mark.root
def test_kills_at_named_points_lose_nothing(books: Books, amount: Amount, figures: Figures) -> None:
    """Before and after each step of a message's way, alone and with everything else; a table of what came of it."""
    if not known():
        pytest.skip("the numbers of this machine's system calls are not known")
    chance, rounds = random.Random(SEED), Rounds(books)
    aim = Aim(rounds, chance)
    reached: Counter[str] = Counter()
    chosen = [point for point in POINTS if amount(point.name in SHORT, True)]
    turns = amount(1, TURNS)
    for number, point in enumerate(chosen):
        before, where = books.doubles.total(), ""
        for turn in range(turns):
            found = aim.take(point, after=bool((turn + number) % 2), together=turn % 4 > 1)
            where, reached[point.name] = found or where, reached[point.name] + bool(found)
        if turns > 1 or point is chosen[-1]:
            rounds.settle()
        print(
            f"  {point.name}: reached {reached[point.name]} of {turns}, none lost, {books.doubles.total() - before} "
            f"twice: {where[:150]}"
        )
    figures(f"kill -9 at {reached.total()} named points, {len(chosen)} different ones", rounds.summary())
    rounds.times.tell(figures)
    missed = [point.name for point in chosen if not reached[point.name]]
    assert not missed, f"not reached: {missed}"
