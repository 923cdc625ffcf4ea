"""Short sequences of records, damaged ones among them, fed to the loops that read them as root.

The sockets, pipes and loops are the real ones. What would start a process is replaced by what counts how often it is
asked to: the fuzz run starts none.
"""

import contextlib
import os
import random
import socket
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from posthouse.ipc import orders_wire, runas_wire, status_wire, warm_wire
from posthouse.master import helpers
from posthouse.master.service import Process, Service
from posthouse.runas import server
from posthouse.util.select_loop import Loop
from posthouse.warm import image
from tests.fuzz import records
from tests.fuzz.mutate import damaged
from tests.fuzz.records import Target

RECORDS_MOST: Final = 6  # of one sequence
PID: Final = 2**22 + 1  # of no process: above pid_max
SEPARATOR: Final = b"\xffNEXT\xff"


def joined(source: random.Random, seeds: list[bytes]) -> bytes:
    """Make a sequence: some records as they should be, some damaged. One text, so that it can be shown and repeated."""
    count = source.randrange(1, RECORDS_MOST + 1)
    return SEPARATOR.join(
        source.choice(seeds) if source.random() < 0.6 else damaged(source, seeds) for _ in range(count)
    )


def pair() -> tuple[socket.socket, socket.socket]:
    """Make what connects root to somebody."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


@contextlib.contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Put something else in place of a function. mock.patch does the same, and takes a hundred times as long."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def open_files() -> set[int]:
    """Give the descriptors; that of the listing itself is gone when the names are looked at."""
    return {int(name) for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")}


class RunasRun:
    """One run of the real server: a client sends the records, each with one descriptor, or none, or two."""

    def __init__(self, sequence: list[bytes]) -> None:
        self.forks = 0
        self.expected: list[runas_wire.Answer] = []
        self.cut_off = False
        control, ours = pair()
        client, theirs = pair()
        warm_wire.send_record(ours, runas_wire.RULE.pack(records.RULE), [theirs.fileno()])
        theirs.close()
        for record in sequence:
            descriptors = [0] * (1, 1, 1, 1, 1, 1, 0, 2)[zlib.crc32(record) % 8]
            self._expect(record, len(descriptors))
            warm_wire.send_record(client, record, descriptors)
        for sock in (client, ours):
            sock.shutdown(socket.SHUT_WR)
        self.run(control)
        self.answers = list(self._answers(client))
        client.close()
        ours.close()

    def _expect(self, record: bytes, passed: int) -> None:
        """Work out what the server must say to a record; after the first it cannot read it says nothing."""
        try:
            job = runas_wire.JOB.unpack(record)
        except ValueError:
            self.cut_off = True
        self.cut_off |= passed != 1
        if self.cut_off:
            return
        allowed = job.kind in (1, 2) and job.uid not in (0, 101, 102) and job.gid not in (0, 101, 6, 42)
        verdict = runas_wire.Verdict.STARTED if allowed else runas_wire.Verdict.REFUSED
        self.expected.append(runas_wire.Answer(verdict, job.number, PID if allowed else 0))

    def run(self, control: socket.socket) -> None:
        """Let the server work until everybody has gone."""

        def fork() -> int:
            self.forks += 1
            return PID

        runas = server.Runas(control, records.LIMITS, lambda _descriptor, _kind: None)
        with replaced(os, "fork", fork):
            runas.run()
        runas._selector.close()
        control.close()

    @staticmethod
    def _answers(client: socket.socket) -> Iterator[runas_wire.Answer]:
        with contextlib.suppress(ConnectionResetError):  # it was cut off with something unread
            while record := client.recv(1024):
                yield runas_wire.ANSWER.unpack(record)


def check_runas(data: bytes) -> None:
    """Each job has its answer, nothing is started for anybody else, no descriptor stays open."""
    before = open_files()
    run = RunasRun(data.split(SEPARATOR))
    assert run.answers == run.expected[: len(run.answers)], (run.answers, run.expected)
    assert run.cut_off or len(run.answers) == len(run.expected), (run.answers, run.expected)
    assert run.forks == sum(answer.verdict is runas_wire.Verdict.STARTED for answer in run.expected)
    assert open_files() == before, "a descriptor stays open"


def check_reports(data: bytes) -> None:
    """The reports of a process change its state as they say, and nothing else; after RETIRING nothing does."""
    theirs, ours = pair()
    with theirs, ours:
        ours.setblocking(False)
        process = Process(Service(records.SMTPD, []), ours)
        expected: status_wire.State | None = None
        good = True
        for record in data.split(SEPARATOR):
            theirs.send(record)
            try:
                report = status_wire.STATUS.unpack(record)
            except ValueError:
                good = False
            if good and expected is not status_wire.State.RETIRING:
                expected = report.state
        assert process.read_status() is good
        assert process.state is expected
        assert (process.pid, process.asked_to_go) == (0, False)


def check_answers(data: bytes) -> None:
    """What warm says to master: each question is answered once at most, the rest is the end of that warm process."""
    heard: list[int] = []
    lost: list[str] = []
    loop = the_loop()
    theirs, ours = pair()
    with (
        replaced(helpers, "spawn", lambda *_: PID),
        replaced(socket, "socketpair", lambda *_: (ours, theirs.dup())),
    ):
        warm = helpers.Warm(loop, helpers.Launch(), lambda: None, lambda _, reason: lost.append(reason))
    for _ in range(2):
        warm.request(records.FORK, [0], lambda answer: heard.append(answer.number))
    for record in data.split(SEPARATOR):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            theirs.send(record)
        if not warm.closed:
            warm._readable()
    assert set(heard) <= {1, 2}
    assert len(heard) == len(set(heard)), heard
    assert len(lost) == int(warm.closed)
    assert not lost or sorted(heard) == [1, 2], "a question without an answer"
    warm.close()
    theirs.close()


def check_orders_pipe(data: bytes) -> None:
    """The orders process writes what it likes, in pieces: one outcome, orders or a text."""
    outcomes: list[object] = []
    loop = the_loop()
    reader, writer = os.pipe()
    with (
        replaced(helpers, "spawn", lambda *_: PID),
        replaced(os, "pipe", lambda: (reader, os.dup(writer))),
    ):
        run = helpers.OrdersRun(loop, helpers.Launch(), "/etc/postfix", outcomes.append)
    for piece in filter(None, data.split(SEPARATOR)):
        os.write(writer, piece)
        run._readable()
    os.close(writer)
    run._readable()
    assert len(outcomes) == 1
    assert isinstance(outcomes[0], str | orders_wire.Orders)


@cache
def the_loop() -> Loop:
    """Give the loop of this process: there can be one, since it hears the signals."""
    return Loop()


def check_requests(data: bytes) -> None:
    """What master says to warm: a fork for each FORK and RUNAS that is one, the end at the first that is none."""
    asked: list[warm_wire.Request] = []
    sequence = list(filter(None, data.split(SEPARATOR)))  # nothing at all is the end of warm
    theirs, ours = pair()
    before = open_files()
    with theirs, ours, replaced(image, "_fork", lambda _socket, request, *_: asked.append(request)):
        for count, record in enumerate(sequence):
            warm_wire.send_record(theirs, record, [0, 1])
            try:
                image._serve_one(ours, image.Names())
            except ValueError:
                assert refused(record), record
                for descriptor in open_files() - before:  # warm ends here, and they with it
                    os.close(descriptor)
                break
            assert not refused(record), record
            assert len(asked) == count + 1
            assert open_files() == before, "a descriptor stays open"


def refused(record: bytes) -> bool:
    """Tell whether a record is none of master's."""
    try:
        warm_wire.REQUEST.unpack(record)
    except ValueError:
        return True
    return False


SEQUENCES: Final[dict[str, tuple[Callable[[bytes], None], list[bytes]]]] = {
    "runas server": (check_runas, [runas_wire.JOB.pack(job) for job in records.JOBS]),
    "status of a process": (check_reports, [status_wire.STATUS.pack(report) for report in records.REPORTS]),
    "answers of warm": (
        check_answers,
        [
            warm_wire.ANSWER.pack(answer._replace(number=number))
            for answer in (records.FAILED, records.FORKED, warm_wire.Answer(warm_wire.Said.READY))
            for number in (0, 1, 2, 3)
        ],
    ),
    "requests to warm": (check_requests, [warm_wire.REQUEST.pack(each) for each in (records.FORK, records.IMPORT)]),
    "pipe of orders": (check_orders_pipe, records.streams(records.OWNERS)),
}


def targets() -> list[Target]:
    """Make all of them."""
    return [
        Target(name, lambda source, seeds=seeds: joined(source, seeds), check, 8)  # type: ignore[misc]
        for name, (check, seeds) in SEQUENCES.items()
    ]
