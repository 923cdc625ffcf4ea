"""Daemons that cannot start, that fall silent, and a log that takes nothing: reported, and mail goes on."""

import os
import signal
import time
from collections.abc import Callable
from typing import Final

from tests.conftest import Start
from tests.faults.figures import Figures
from tests.support import maildir
from tests.support.amount import Amount
from tests.support.instance import MASTER_CF, Instance
from tests.support.mailboxes import Boxes, box, give_away
from tests.support.scarcity import level, send, status, wait

BOXES: Final = Boxes(["alice", "postmaster"])
# A wall that this service asks for and that is not to be had: it ends at every start, with a reason.
BROKEN: Final = "broken unix - - n - - discard -o confinement=require -o landlock_newest_abi=0\n"
LIMIT_S: Final = 60.0


def start(posthouse: Start, master_cf: str = MASTER_CF, **main: str) -> Instance:
    """Run a server with mailboxes."""
    own = {"mydestination": "", "resource_notice_recipient": "postmaster@box.test"}
    server = posthouse(started=False, master_cf=master_cf, **BOXES.options(**{**own, **main}))
    give_away(server)
    server.start_and_greet()
    return server


def condition(server: Instance, key: str) -> str:
    """Return what `posthouse status` says of a condition."""
    return "".join(each["value"] for each in status(server)["conditions"] if each["condition"] == key)


def arrives(server: Instance, count: int) -> Callable[[], bool]:
    """Say whether so many messages are in alice's mailbox."""
    return lambda: len(maildir.messages(box(server, "alice"))) >= count


def test_a_daemon_that_cannot_start(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """It is held back longer each time, named in the status, the postmaster is told, and other mail goes on."""
    server = start(posthouse, MASTER_CF + BROKEN, transport_maps="inline:{broken.test=broken}")
    begin = time.monotonic()
    assert send(server, "x@broken.test").startswith("250")
    wait("named in the status", lambda: "broken fails to start" in condition(server, "services"))
    assert level(server, "services") == "busy"
    assert "confinement = require, and this kernel lacks" in server.log()
    assert "discard: bad command startup -- throttling" in server.log()
    assert "resources: daemons normal -> busy: broken fails to start" in server.log()
    assert send(server, "alice@box.test").startswith("250")
    wait("other mail", arrives(server, 1))
    time.sleep(amount(5.0, 40.0))
    attempts = server.log().count("confinement = require, and this kernel lacks")
    assert 2 <= attempts <= 10
    figures("a daemon that fails at every start", f"{attempts} attempts in {time.monotonic() - begin:.0f} s")
    if amount.whole:
        wait("the postmaster is told", lambda: bool(maildir.messages(box(server, "postmaster"))), LIMIT_S)
        [notice] = maildir.messages(box(server, "postmaster"))
        assert b"broken fails to start" in notice
        figures("the postmaster hears of it", f"after {time.monotonic() - begin:.0f} s, once")
    assert [message["queue_name"] for message in server.queue()] != []


def test_a_daemon_that_is_back(posthouse: Start) -> None:
    """Mended and reloaded, what waited is delivered, and the condition ends by itself."""
    server = start(posthouse, MASTER_CF + BROKEN, transport_maps="inline:{broken.test=broken}")
    assert send(server, "x@broken.test").startswith("250")
    wait("named in the status", lambda: "broken fails to start" in condition(server, "services"))
    master_cf = server.config_directory / "master.cf"
    text = master_cf.read_text(encoding="ascii")
    master_cf.write_text(text.replace(" -o confinement=require -o landlock_newest_abi=0", ""), encoding="ascii")
    assert server.command("postfix", "reload").returncode == 0

    def gone() -> bool:
        server.command("postqueue", "-f")
        time.sleep(0.2)
        return not server.queue()

    wait("delivered", gone, LIMIT_S)
    wait("nothing is missing", lambda: condition(server, "services") == "none is missing", LIMIT_S)


def test_a_log_that_takes_nothing(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """Nobody reads the log's socket: mail goes in and out; afterwards the log says how much of it is missing."""
    server = start(posthouse)
    assert send(server, "alice@box.test").startswith("250")
    wait("the first", arrives(server, 1))
    [postlogd] = [process.pid for process in server.processes() if process.name == "postlogd"]
    count = amount(150, 3000)
    os.kill(postlogd, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        for _ in range(count):
            assert send(server, "alice@box.test").startswith("250")
        wait("all are delivered", arrives(server, count + 1), LIMIT_S)
        took = time.monotonic() - begin
    finally:
        os.kill(postlogd, signal.SIGCONT)
    server.wait_log(r"virtual\[\d+\]: .*status=sent")
    told = server.log().count("log lines were lost")
    figures(
        f"{count} messages while nobody reads the log", f"all delivered, in {took:.1f} s; {told} notes of lost lines"
    )


def test_a_daemon_that_falls_silent(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """Stopped from outside it is no hang: it is reported after fifteen seconds, and goes on when it may."""
    server = start(posthouse)
    assert send(server, "alice@box.test").startswith("250")
    wait("the first", arrives(server, 1))
    [cleanup] = [process.pid for process in server.processes() if process.name == "cleanup"]
    os.kill(cleanup, signal.SIGSTOP)
    try:
        if amount.whole:
            took = wait("reported", lambda: "cleanup says nothing" in condition(server, "services"), LIMIT_S)
            figures("a daemon that is stopped", f"reported after {took:.0f} s")
    finally:
        os.kill(cleanup, signal.SIGCONT)
    assert send(server, "alice@box.test").startswith("250")
    wait("the second", arrives(server, 2))
    wait("nothing is missing", lambda: condition(server, "services") == "none is missing", LIMIT_S)
