"""RE-05: no more processes, no more descriptors: nobody dies, nobody spins, and all is well when there are more."""

import socket
import time
from contextlib import ExitStack
from typing import Final

import pytest

from tests.conftest import Start
from tests.faults.figures import Figures
from tests.support import maildir
from tests.support.amount import Amount
from tests.support.control_group import PidsGroup
from tests.support.instance import MASTER_CF, Instance, Options
from tests.support.log_rate import busiest
from tests.support.mailboxes import Boxes, give_away
from tests.support.net import LOOPBACK
from tests.support.processes import cpu_share
from tests.support.scarcity import send, wait
from tests.support.servers import Posthouse

pytestmark = pytest.mark.root
BOXES: Final = Boxes(["alice"])
CPU_LIMIT: Final = 0.5  # of one, for the whole system while it can start nothing: generous
LINES_AIM, LINES_LIMIT = 10, 50  # a second, of one cause
AIM_S: Final = 10.0  # until all is back
DESCRIPTORS: Final = 128


def try_to_send(server: Instance, replies: list[str]) -> None:
    """Offer a message; what was answered, or that there was no answer, is kept."""
    try:
        replies.append(send(server, BOXES.addresses[0]))
    except OSError as error:
        replies.append(f"no answer: {error}")


def all_arrived(server: Instance, replies: list[str]) -> bool:
    """Whether everything that was answered 250 is in the mailbox, and nothing else."""
    arrived = len(maildir.messages(server.mail_directory))
    assert arrived <= len(replies)
    return arrived >= sum(reply.startswith("250") for reply in replies)


def start(posthouse: Start, **main: str) -> Instance:
    """Make a server whose daemons leave soon when there is nothing to do."""
    server = posthouse(**BOXES.options(mydestination="", max_idle="1s", **main), started=False)
    give_away(server)
    return server


def test_no_more_processes(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """A pids limit at what runs: daemons that left cannot be replaced, until the limit is gone."""
    with ExitStack() as stack:
        group = stack.enter_context(PidsGroup.make())
        server = start(posthouse)
        stack.callback(server.stop)
        with group.inside():
            server.start_and_greet()
        replies: list[str] = []
        try_to_send(server, replies)
        assert replies[0].startswith("250")
        wait("idle daemons have left", lambda: not {"smtpd", "cleanup"} & {each.name for each in server.processes()})
        group.limit(group.now)
        begin = len(server.log())
        with socket.create_connection((LOOPBACK, server.port), timeout=30):
            share = cpu_share(server.master_pid(), amount(0.5, 30.0))
        refused = group.refused
        group.limit(None)
        gone = time.monotonic()
        lines = busiest(server.log()[begin:])
        wait("mail is taken again", lambda: send_ok(server, replies))
        back = time.monotonic() - gone
        wait("all mail is delivered", lambda: all_arrived(server, replies))
    assert refused > 0
    figures(
        f"no process more may be started for {amount(0.5, 30.0)} s (pids control group, {refused} refusals)",
        f"{share:.1%} of a CPU for the whole system, {lines.lines} log lines a second of one cause (aim {LINES_AIM}), "
        f"mail is taken again {back:.1f} s after the limit is gone (aim {AIM_S:.0f} s), nothing lost",
    )
    assert share < CPU_LIMIT
    assert lines.lines <= LINES_LIMIT, lines


def send_ok(server: Instance, replies: list[str]) -> bool:
    """Try; whether it was taken."""
    try_to_send(server, replies)
    return replies[-1].startswith("250")


class Limited(Posthouse):
    """A system that was started with few descriptors, and may not have more."""

    def program(self, name: str) -> str:
        """Give `postfix` with the limit, and the other commands as they are."""
        if name != "postfix":
            return super().program(name)
        wrapper = self.directory / "limited-postfix"
        wrapper.write_text(f'#!/bin/sh\nulimit -n {DESCRIPTORS}\nexec {super().program(name)} "$@"\n', encoding="utf-8")
        wrapper.chmod(0o755)
        return str(wrapper)


def test_no_more_descriptors(instances: list[Instance], amount: Amount, figures: Figures) -> None:
    """Each process has 128: four times as many clients come as that; afterwards all goes on."""
    options = BOXES.options(mydestination="", smtpd_timeout="60s")
    server = Limited(
        Options(options["main"], files=options["files"], master_cf=MASTER_CF.replace("- smtpd\n", "1000 smtpd\n", 1))
    )
    instances.append(server)
    give_away(server)
    server.start_and_greet()
    replies: list[str] = []
    try_to_send(server, replies)
    assert replies[0].startswith("250")
    with ExitStack() as stack:
        for _ in range(4 * DESCRIPTORS):
            stack.enter_context(socket.create_connection((LOOPBACK, server.port), timeout=30))
        begin = len(server.log())
        share = cpu_share(server.master_pid(), amount(0.5, 30.0))
        lines = busiest(server.log()[begin:])
    gone = time.monotonic()
    wait("mail is taken again", lambda: send_ok(server, replies))
    back = time.monotonic() - gone
    wait("all mail is delivered", lambda: all_arrived(server, replies))
    assert not [word for word in ("panic", "Traceback") if word in server.log()]
    figures(
        f"{DESCRIPTORS} descriptors for each process, {4 * DESCRIPTORS} clients that stay {amount(0.5, 30.0)} s",
        f"{share:.1%} of a CPU for the whole system, {lines.lines} log lines a second of one cause (aim {LINES_AIM}), "
        f"mail is taken again {back:.1f} s after they left (aim {AIM_S:.0f} s), nothing lost",
    )
    assert share < CPU_LIMIT
    assert lines.lines <= LINES_LIMIT, lines
