"""kill -9 under load: what was answered 250 arrives at least once, whatever dies and whenever."""

import os
import random
import time
from collections.abc import Callable
from typing import Final

from tests.conftest import Start
from tests.support import daemons, maildir, net
from tests.support.instance import Instance, is_same_process
from tests.support.mailboxes import Boxes, give_away
from tests.support.recording_sink import RecordingSink
from tests.support.sender import Clients, Ledger, find_tokens

ROUNDS_OF_ONE: Final = 48  # rounds in which one kind of daemon dies
ROUNDS_OF_ALL: Final = 8  # rounds in which everything dies at once
SERVICE_BACK_S: Final = 10  # an aim of 2 s, on a machine with nothing else to do
IN_FLIGHT: Final = 40  # deliveries whose record a dying agent, queue manager or system can take with it
# Their death can come between a delivery and its record; that of any other process must not double anything.
DOUBLING: Final = frozenset({"qmgr", "smtp", "virtual", "master", "warm"})
SEED: Final = int(os.environ.get("POSTHOUSE_SEED", "20261122"))
BOXES: Final = Boxes(["alice", "bob"])
FAST_RETRY: Final = {"minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s"}


def start(posthouse: Start, sink: RecordingSink) -> Instance:
    """Run Posthouse with mailboxes of its own and a relay host for the rest."""
    options = BOXES.options(relayhost=f"[127.0.0.1]:{sink.port}", mydestination="", **FAST_RETRY)
    server = posthouse(**options, started=False)
    give_away(server)
    server.start_and_greet()
    return server


def drain(server: Instance) -> None:
    """Let everything that is queued go out."""
    deadline = time.monotonic() + 90
    while left := server.queue():
        assert time.monotonic() < deadline, f"{len(left)} messages stay: {left[0]}\n{server.log()[-3000:]}"
        server.command("postqueue", "-f")
        time.sleep(0.5)


def rounds_under_load(server: Instance, sink: RecordingSink, disturb: Callable[[Instance], int]) -> None:
    """Send all the while, disturb, and hold the ledger against both destinations. disturb returns doubles allowed."""
    ledger = Ledger()
    clients = Clients(server.port, ledger, [*BOXES.addresses, "far@relay.test", "away@relay.test"], connections=6)
    clients.start()
    allowed = disturb(server)
    clients.finish()
    drain(server)
    arrived = [*maildir.messages(server.mail_directory), *(message.content for message in sink.received)]
    counted = ledger.check(find_tokens(arrived), doubles_allowed=allowed)
    doubles = sum(counted.values()) - len(counted)
    print(
        f"{len(ledger.acknowledged)} acknowledged, {len(counted)} arrived, {doubles} twice, "
        f"{ledger.broken} connections lost, refused: {dict(ledger.refused)}"
    )
    assert len(ledger.acknowledged) > 100, f"too little got through: {ledger.refused}"


def test_each_daemon_in_turn(posthouse: Start) -> None:
    """One kind of process after the other dies; the service is back, and nothing promised is lost."""
    chance = random.Random(SEED)
    print(f"seed {SEED}")

    def disturb(server: Instance) -> int:
        doubling, killed = 0, dict.fromkeys(sorted(daemons.names(server)), 0)
        for number in range(ROUNDS_OF_ONE):
            time.sleep(chance.uniform(0.1, 0.5))
            for name in daemons.names(server) - {"master", "orders"}:
                killed.setdefault(name, 0)
            victim = min((count, name) for name, count in killed.items() if name not in {"master", "orders"})[1]
            count = daemons.kill(server, victim)
            killed[victim] += 1
            doubling += victim in DOUBLING and count > 0
            took = net.wait_greeting(server.port, SERVICE_BACK_S)
            assert took < SERVICE_BACK_S, f"round {number}: {victim}"
        print(f"killed: {killed}")
        assert {"smtpd", "cleanup", "qmgr", "smtp", "virtual"} <= killed.keys()
        return doubling * IN_FLIGHT

    with RecordingSink() as sink:
        rounds_under_load(start(posthouse, sink), sink, disturb)


def test_everything_at_once(posthouse: Start) -> None:
    """The whole system dies, as when the power goes for its processes; a plain start takes up where it was."""
    chance = random.Random(SEED)

    def disturb(server: Instance) -> int:
        for _ in range(ROUNDS_OF_ALL):
            time.sleep(chance.uniform(0.3, 0.8))
            daemons.kill_all(server)
            server.start_and_greet()
        return ROUNDS_OF_ALL * IN_FLIGHT

    with RecordingSink() as sink:
        rounds_under_load(start(posthouse, sink), sink, disturb)


def test_master_alone(posthouse: Start) -> None:
    """When only master dies its daemons end by themselves, and a new start finds the way free."""
    with RecordingSink() as sink:

        def disturb(server: Instance) -> int:
            time.sleep(0.5)
            others = [process for process in server.processes() if process.name != "master"]
            daemons.kill(server, "master")
            deadline = time.monotonic() + 20
            while alive := [process.name for process in others if is_same_process(process)]:
                assert time.monotonic() < deadline, f"these outlive their master: {alive}"
                time.sleep(0.05)
            server.start_and_greet()
            time.sleep(0.5)
            return IN_FLIGHT

        rounds_under_load(start(posthouse, sink), sink, disturb)
