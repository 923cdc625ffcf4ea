"""The errno matrix on one running server: what each daemon calls, a run with one fault, what must be so after it."""

import contextlib
import errno
import os
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from tests.support import assorted, daemons, net, processes
from tests.support.assorted import Assorted, Mail
from tests.support.injection import CALLS, ERRORS, SYNCS, Fault, Made, Strace
from tests.support.instance import Instance, StartError

OCCURRENCES: Final = 5
ANSWER_LIMIT_S: Final = 20
SETTLE_S: Final = 0.7  # what did not arrive by then waits for its next attempt, without the fault
LIST_S: Final = 3
GOVERNOR_S: Final = 1.5
BACK_LIMIT_S: Final = 20
DRAIN_LIMIT_S: Final = 90
LOOK_S: Final = 0.1
LOG_S: Final = 2.0
SPIN_S: Final = 2.0
SPIN_SHARE: Final = 0.5  # of one processor, for that long, with nothing to do
FAULT_S: Final = 1.0  # for how long what is started anew meets the fault again and again
ROOT_PARTS: Final = ("master", "warm", "runas")
_BUG: Final = re.compile(r"^.*(?:panic: |Traceback).*$", re.MULTILINE)
_ENDED: Final = re.compile(r"process \S+ pid \d+ (?:exit status|killed by signal (?!9))")
_NEW: Final = re.compile(r" (\w+): message-id=")
_PUT_OFF: Final = re.compile(r" (\w+): to=<(?!gone@).*status=(?:deferred|bounced) \((?!unable to create lock file)")
FULL: Final = os.strerror(errno.EDQUOT)
_TOKEN: Final = re.compile(r" (\w+): message-id=<(\w+)@client\.test>")
_TOLD: Final = re.compile(r" (\w+): sender non-delivery notification: (\w+)")
_NO_ROOM: Final = re.compile(rf" (\w+): to=<author@.*status=bounced .*{FULL}")
_USUAL: Final = re.compile(r"connect(?:ion)? |=sent|\(queue active\)|: removed$|message-id=|client=|uid=0|to=<gone")


@dataclass(frozen=True, slots=True)
class Target:
    """Whose calls fail. attach: the processes traced; follow: also what these start; kills: what is started anew."""

    name: str
    attach: str
    follow: bool = True
    kills: tuple[str, ...] = ()

    def threads(self, call: str) -> bool:
        """Whether all threads are traced: one that is not the first writes to an eventfd all the time."""
        return self.follow and (call != "write" or bool(self.kills) or self.attach == "runas")


def targets(names: set[str]) -> list[Target]:
    """Every daemon at its work, every daemon from its first call on, the three root parts, and recipients."""
    inner = sorted(names - set(ROOT_PARTS) - {"orders"})
    working = [Target(name, name) for name in inner]
    starting = [Target(f"{name} starting", "warm", kills=(name,)) for name in inner]
    return [
        *working,
        *starting,
        Target("master", "master", follow=False, kills=("warm", "smtpd", "virtual")),
        Target("warm", "warm", follow=False, kills=("smtpd", "virtual", "cleanup")),
        Target("recipients", "runas"),
        Target("recipients starting", "runas", kills=("local", "virtual")),
    ]


@dataclass(slots=True)
class Row:
    """What came of the runs with one target and one kind of call."""

    runs: int = 0
    injected: int = 0  # runs in which the call was made often enough
    answers: Counter[str] = field(default_factory=Counter)
    ended: int = 0  # runs in which a process ended because of it
    put_off: int = 0  # deliveries

    def __add__(self, other: Self) -> Self:
        answers = self.answers + other.answers
        numbers = (self.runs + other.runs, self.injected + other.injected)
        return type(self)(*numbers, answers, self.ended + other.ended, self.put_off + other.put_off)

    def __str__(self) -> str:
        answers = ", ".join(f"{count} {answer}" for answer, count in sorted(self.answers.items()))
        return (
            f"{self.runs} runs ({self.injected} reached): {answers}; {self.put_off} deliveries put off, "
            f"in {self.ended} a process ended"
        )


Survey = dict[tuple[Target, str], int]
Run = tuple[Target, Fault, int]  # the last: how many sets of mail it takes


class Matrix:
    """One server, the runs on it, and what was wrong (`wrong`)."""

    def __init__(self, server: Instance, load: Assorted, traces: Path) -> None:
        self.server, self.load = server, load
        self.rows: dict[tuple[str, str], Row] = {}
        self.wrong: list[str] = []
        self.restarts = 0
        self.doubles = 0
        self.dropped = 0  # notices for a mailbox that was full
        self._traces = traces
        self._number = 0
        self._sent_in: dict[str, str] = {}  # token: run
        self._unreal = False  # the last fault was one that no kernel gives
        self._accounted = 0  # characters of the log
        self._tokens: dict[str, str] = {}  # of messages, by queue ID
        self._notices: dict[str, str] = {}  # what each notice is about, by queue ID

    # -- what there is to do

    def survey(self) -> Survey:
        """Look, without a fault: how many calls of each kind one thread of each target makes with one set of mail.

        Kinds of call that no kernel would answer so (Made.is_real) are left out.
        """
        self._round("survey", 1)
        self._list()
        every = targets(daemons.names(self.server))
        inner = [target.attach for target in every if not target.kills and target.attach not in ROOT_PARTS]
        found = self._look({}, Target("all", "", kills=()), [*inner, "runas"])
        found |= self._look(
            {name: f"{name} starting" for name in inner}, Target("", "warm", kills=tuple(inner)), ["warm"]
        )
        found |= {("recipients", kind): count for (name, kind), count in found.items() if name == "runas"}
        for target in every:
            if target.attach in ROOT_PARTS and target.kills not in {(), (target.name.removesuffix(" starting"),)}:
                calls, _ = self._traced("survey", target, None, 1, self._pids(target.attach))
                found |= _counts(target.name, calls, self._pids(target.attach))
                self._back(target)
        return {
            (target, kind): found[target.name, kind]
            for target in every
            for kind in CALLS
            if (target.name, kind) in found
        }

    def _look(self, names: dict[str, str], target: Target, attach: list[str]) -> dict[tuple[str, str], int]:
        """Trace many at once; names: of targets, by what the processes are called (that name itself where it lacks)."""
        pids = [pid for name in attach for pid in self._pids(name)]
        tasks = self._tasks()
        calls, _ = self._traced("survey", target, None, 1, pids)
        tasks |= self._tasks()
        found: dict[tuple[str, str], int] = {}
        for name in {*tasks.values()} - ({"warm", "master"} if names else set()):
            own = [call for call in calls if tasks.get(call.pid) == name]
            for key, count in _counts(names.get(name, name), own, pids if not names else self._pids(name)).items():
                found[key] = max(count, found.get(key, 0))
        return found

    def _tasks(self) -> dict[int, str]:
        found: dict[int, str] = {}
        for process in self.server.processes():
            with contextlib.suppress(OSError):
                found |= {int(task): process.name for task in os.listdir(f"/proc/{process.pid}/task")}
        return found

    # -- one run

    def run(self, target: Target, fault: Fault, sets: int) -> None:
        """Do it, and look at what came of it."""
        name = f"{target.name}: {fault}"
        self._back(target)
        mark, generation = len(self.server.log()), self._generation()
        calls, answers = self._traced(name, target, fault, sets, self._pids(target.attach))
        spinning = self._spinning()
        if answers["250"] < answers.total():  # the log may be a moment late, and its daemon may be on its way back
            _within(LOG_S, lambda: fault.words in self.server.log()[mark:])
        log = self.server.log()[mark:]
        injected = [call for call in calls if call.injected]
        self._unreal = not all(call.is_real for call in injected)
        row = self.rows.setdefault((target.name, fault.call), Row())
        row.runs += 1
        row.injected += bool(injected)
        row.answers += answers
        row.ended += bool(_ENDED.search(log)) and not target.kills
        row.put_off += _put_off(log)
        print(f"{name}: {len(injected)} injected, {dict(answers)}, {_put_off(log)} put off", flush=True)
        found = list(spinning)
        if injected:
            found += _judged(target, fault, injected, answers, log) + _synced_again(target, fault, calls)
            found += self._kept(target, fault, injected, answers, log, generation)
        self.wrong += [f"{name}: {what}" for what in found]
        for what in found:
            print(f"WRONG: {what}", flush=True)
        if found:
            print(*(f"  {call.name}({call.arguments})" for call in injected[:5]), _telling(log), sep="\n", flush=True)
        if fault.call == "close" and injected:
            self._end(target)
        elif target.kills and injected:
            daemons.kill_nameless(self.server)

    def _mails(self, name: str, sets: int) -> list[Mail]:
        self._number += 1
        mails = [mail for _ in range(sets) for mail in assorted.make_set(self._number % assorted.NUMBERS)]
        self._sent_in |= dict.fromkeys((mail.token for mail in mails), name)
        return mails

    def _round(self, name: str, sets: int) -> Counter[str]:
        mails = self._mails(name, sets)
        answers = self.load.send(mails, ANSWER_LIMIT_S)
        self.load.settle(mails, SETTLE_S)
        return answers

    def _traced(
        self, name: str, target: Target, fault: Fault | None, sets: int, pids: list[int]
    ) -> tuple[list[Made], Counter[str]]:
        output = self._traces / "calls"
        output.unlink(missing_ok=True)
        mails = self._mails(name, sets)
        follow = target.threads(fault.call if fault else "")
        with ThreadPoolExecutor(1) as pool:
            with Strace(pids, output, fault, follow=follow) as strace:
                for victim in target.kills:
                    daemons.kill(self.server, victim)
                sending = pool.submit(self.load.send, mails, ANSWER_LIMIT_S)
                self._stir(target)
                futures.wait([sending], FAULT_S if target.kills and fault else ANSWER_LIMIT_S)
                if sending.done():
                    self.load.settle(mails, SETTLE_S)
                _within(FAULT_S, lambda: set(target.kills) <= daemons.names(self.server))
            answers = sending.result()
        return strace.calls(), answers

    def _stir(self, target: Target) -> None:
        """Give work to those who have little to do with mail."""
        if target.name.startswith("showq") or "showq" in target.kills or not target.attach:
            self._list()
        elif target.name.startswith("governor"):
            time.sleep(GOVERNOR_S)  # it looks around by itself

    def _list(self) -> None:
        """List the queue, for which showq is needed; as long as that cannot start, the command waits."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.server.command("postqueue", "-j", timeout_s=LIST_S)

    def _pids(self, name: str) -> list[int]:
        return [process.pid for process in self.server.processes() if process.name == name[:15]]

    def _end(self, target: Target) -> None:
        """End what has descriptors that it believes closed."""
        if target.attach == "master":
            self._restart()
        else:
            daemons.kill(self.server, target.attach)
            for victim in target.kills:
                daemons.kill(self.server, victim)

    # -- before a run

    def _back(self, target: Target) -> None:
        """Wait until the service is back, and the target runs; a server that does not come back is started anew."""
        deadline = time.monotonic() + BACK_LIMIT_S
        wanted = {target.attach, *target.kills} - {"runas"}
        while not (self.server.master_pid() and net.greeting(self.server.port).startswith(b"220")):
            if time.monotonic() > deadline or not self.server.master_pid():
                if not self._unreal:
                    self.wrong.append(f"before {target.name}: the service is not back after {self._last()}")
                self._restart()
                deadline = time.monotonic() + BACK_LIMIT_S
            time.sleep(0.02)
        while not wanted <= daemons.names(self.server):
            self._round("awake", 1)
            self._list()
            if time.monotonic() > deadline:
                missing = wanted - daemons.names(self.server)
                self.wrong.append(f"before {target.name}: {missing} not back after {self._last()}")
                self._restart()
                deadline = time.monotonic() + BACK_LIMIT_S

    def _last(self) -> str:
        return next(reversed(self._sent_in.values()), "")

    def _restart(self) -> None:
        self.restarts += 1
        self.server.stop()
        for _ in range(3):
            try:
                self.server.start_and_greet()
            except StartError as error:
                print(f"start: {error}", flush=True)
            else:
                return
        raise AssertionError("the server does not start")

    # -- after a run

    def _generation(self) -> int:
        found = (self.server.queue_directory / "posthouse").glob("store-*.sqlite")
        return max((int(path.name[6:-7]) for path in found), default=0)

    def _kept(
        self, target: Target, fault: Fault, injected: list[Made], answers: Counter[str], log: str, before: int
    ) -> list[str]:
        """See that what a failed sync was for was not taken for written."""
        if fault.call not in SYNCS or fault.error == "EINTR" or target.kills:
            return []
        found = []
        for call in injected:
            where = call.target
            if target.name == "qmgr" and ("/store-" in where or where.endswith("/spool")):
                if not _within(10, lambda: self._generation() > before):
                    found.append(f"the sync of {where} failed, and the store goes on")
            elif "/spool/#" in where and answers["250"] == answers.total():
                found.append(f"the sync of {where} failed, and every message was answered 250")
            elif target.attach == "runas" and not _PUT_OFF.search(log):
                found.append(f"the sync of {where} failed, and nothing was put off")
        return found

    def _spinning(self) -> list[str]:
        """Name what uses a processor when there is nothing to do."""
        before = {process.pid: process.ticks for process in self.server.processes()}
        time.sleep(LOOK_S)
        suspects = _busy(self.server, before, LOOK_S)
        if not suspects:
            return []
        before = {process.pid: process.ticks for process in self.server.processes()}
        time.sleep(SPIN_S)
        return [f"{name} spins" for name in _busy(self.server, before, SPIN_S)]

    def account(self) -> None:
        """Without faults: everything goes out, and what was answered 250 has arrived, whole, where it should."""
        self._drain()
        self.load.clear()
        load = self.load
        lost = load.ledger.acknowledged - set(load.arrived) - self._dropped_notices()
        self.wrong += [f"{self._sent_in[token]}: {token} was answered 250 and is lost" for token in sorted(lost)]
        self.wrong += [f"{self._sent_in[each.split()[0]]}: not whole: {each}" for each in load.short]
        # A full mailbox returns mail, whichever run the mail is from.
        back = {token for token, why in load.returned.items() if token not in load.refused and FULL not in why}
        self.wrong += [
            f"{self._sent_in[token]}: {token} was returned: {load.returned[token]}" for token in sorted(back)
        ]
        load.ledger.acknowledged.difference_update(lost)
        self.doubles = sum(load.arrived.values()) - len(load.arrived)
        load.short.clear()
        load.returned.clear()

    def _dropped_notices(self) -> set[str]:
        """Name mail whose notice found a full mailbox: that notice is the end of it, since it has no sender."""
        log = self.server.log()[self._accounted :]
        self._accounted += len(log)
        self._tokens |= dict(_TOKEN.findall(log))
        self._notices |= {notice: queue_id for queue_id, notice in _TOLD.findall(log)}
        about = {self._notices[queue_id] for queue_id in _NO_ROOM.findall(log) if queue_id in self._notices}
        dropped = {self._tokens[queue_id] for queue_id in about if queue_id in self._tokens} - set(self.load.arrived)
        dropped &= self.load.ledger.acknowledged
        self.load.ledger.acknowledged.difference_update(dropped)
        self.dropped += len(dropped)
        return dropped

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_LIMIT_S
        while True:
            self._back(Target("account", "qmgr"))
            self.load.wake_pickup()
            self.load.unlock_mbox()
            try:
                self.server.command("postqueue", "-f", timeout_s=BACK_LIMIT_S)
                left = self.server.queue()
            except (RuntimeError, subprocess.TimeoutExpired) as error:  # a daemon is on its way back
                left = [{"error": str(error)}]
            maildrop = list((self.server.queue_directory / "maildrop").iterdir())
            if not left and not maildrop:
                return
            assert time.monotonic() < deadline, f"{len(left)} messages stay: {left[:2]}, {maildrop[:2]}"
            time.sleep(0.3)


def _put_off(log: str) -> int:
    """Count deliveries of new messages that were put off; older ones tell of an earlier run."""
    new = set(_NEW.findall(log))
    return sum(queue_id in new for queue_id in _PUT_OFF.findall(log))


def _telling(log: str) -> str:
    """Leave out of a log what is always there."""
    return "\n".join(f"  {line[:900]}" for line in log.splitlines() if not _USUAL.search(line))


def _within(limit_s: float, happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + limit_s
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _busy(server: Instance, before: dict[int, int], seconds: float) -> list[str]:
    most = SPIN_SHARE * seconds * processes.TICKS_PER_SECOND
    return [one.name for one in server.processes() if one.pid in before and one.ticks - before[one.pid] >= most]


def _judged(target: Target, fault: Fault, injected: list[Made], answers: Counter[str], log: str) -> list[str]:
    """See that every answer is one that keeps the message with its sender, and that the log says why."""
    found = [f"answered {answer}" for answer in answers if answer.startswith("5")]
    if answers["silent"] and fault.call != "close":
        found.append(f"no answer within {ANSWER_LIMIT_S} s")
    if not all(call.is_real for call in injected):
        return found
    # A start may end so; and a call that was under way when strace left has the wrong result.
    known = (fault.words, "[Errno 9] Bad file descriptor", "can't start new thread") if target.kills else ()
    bugs = [line for line in _BUG.findall(log) if not any(words in line for words in known)]
    found += [f"a bug shows: {line[:600]}" for line in bugs[:3]]
    if fault.call == "close":  # of what is on the disk by then
        return found
    if target.name.startswith("governor") and "being drained" in log:
        return found  # it could not look whether somebody meant that, so it does as if (governor/drain.py)
    ended = _ENDED.search(log) is not None and fault.error != "EINTR"  # Python makes such a call again, and all is well
    disturbed = answers["250"] < answers.total() or _put_off(log) or ended
    if disturbed and not target.kills and target.name != "postlogd" and fault.words not in log:
        found.append(f"the log does not say {fault.words!r}; answers {dict(answers)}")
    return found


def _synced_again(target: Target, fault: Fault, calls: Iterable[Made]) -> list[str]:
    """Find files whose sync failed, and that were synced with success later. EINTR means that it was not begun.

    What is started again and again makes files of its own, of the same name; one without a name has its inode's
    number, which is another's when it was closed. A copy of the store that fails is closed, which may sync it, and
    thrown away: it is no store before it has lost the end of its name.
    """
    found, failed = [], set()
    for call in calls:
        file = (call.target, call.pid if target.kills else 0)
        if call.kind == "close" and "/#" in call.target:
            failed.discard(file)
        if call.kind not in SYNCS or fault.error == "EINTR" or _does_not_count(call.target):
            continue
        if call.injected:
            failed.add(file)
        elif call.result == 0 and file in failed:
            found.append(f"{call.target} was synced again after its sync had failed")
    return found


def _does_not_count(path: str) -> bool:
    return os.path.isdir(path) or path.endswith(".new")


def _counts(name: str, calls: Iterable[Made], first: Collection[int]) -> dict[tuple[str, str], int]:
    """Count what one thread makes at most; of write only what first threads make."""
    calls = [call for call in calls if call.kind != "write" or call.pid in first or name.endswith("starting")]
    real = {call.kind for call in calls if call.is_real}
    found: dict[tuple[str, str], int] = {}
    for (kind, _), count in Counter((call.kind, call.pid) for call in calls if call.kind in real).items():
        found[name, kind] = max(count, found.get((name, kind), 0))
    return found


def choose(made: Survey, total: int, chance: random.Random, *, short: bool) -> list[Run]:
    """Choose runs, each target and kind of call in its turn; in a short form one target after the other."""
    runs: list[Run] = []
    for (target, call), count in made.items():
        reach = count if target.kills or short else OCCURRENCES
        for error in ERRORS:
            runs += [
                (target, Fault(call, error, when), 1 if target.kills else -(-when // count))
                for when in range(1, min(reach, OCCURRENCES) + 1)
            ]
    chance.shuffle(runs)
    runs = _in_turn(runs, lambda run: (run[0], run[1].call))
    chosen = (_in_turn(runs, lambda run: run[0]) if short else runs)[:total]
    chance.shuffle(chosen)
    return chosen


def _in_turn(runs: Iterable[Run], group: Callable[[Run], object]) -> list[Run]:
    """Put the first of each group before the second of any; otherwise the order stays."""
    seen: Counter[object] = Counter()
    ranked = []
    for run in runs:
        seen[group(run)] += 1
        ranked.append((seen[group(run)], run))
    return [run for _, run in sorted(ranked, key=lambda each: each[0])]
