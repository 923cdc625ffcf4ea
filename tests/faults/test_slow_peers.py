"""Clients that take all their time, peers that stand still, and what that costs: places, processor time, log lines."""

import os
import re
import signal
import smtplib
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

import pytest

from tests.conftest import Start
from tests.faults.figures import Figures
from tests.support import maildir
from tests.support.amount import Amount
from tests.support.instance import MASTER_CF, Instance
from tests.support.log_rate import Busiest, busiest
from tests.support.mailboxes import Boxes, give_away
from tests.support.net import LOOPBACK, read_reply
from tests.support.processes import Process, pss_bytes, read_process
from tests.support.scarcity import send, wait
from tests.support.slow_clients import KINDS, SlowClients

AIM_S: Final = 5.0  # for the good client
LIMIT_S: Final = 60.0
CPU_AIM, CPU_LIMIT = 0.05, 0.5  # of one, for each process while another stands still
LINES_AIM, LINES_LIMIT = 10, 50  # a second, of one cause
BOXES: Final = Boxes(["alice"])


def test_a_good_client_among_slow_ones(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """2000 clients that never end anything, and one that wants to send a message."""
    count = amount(500, 2000)
    main = {"local_recipient_maps": "", "local_transport": "discard:", "mydestination": "example.test"}
    server = posthouse(main=main, master_cf=MASTER_CF.replace("- smtpd\n", f"{count + 100} smtpd\n", 1))
    assert send(server, "user@example.test").startswith("250")
    before = pss_bytes(each.pid for each in server.processes())
    took = []
    with SlowClients(server.port, count) as slow:
        wait("all slow clients have a place", lambda: slow.settled == count, 60)
        for _ in range(amount(5, 60)):
            begin = time.monotonic()
            assert send(server, "user@example.test").startswith("250")
            took.append(time.monotonic() - begin)
            time.sleep(amount(0.05, 0.5))
        each = (pss_bytes(one.pid for one in server.processes()) - before) / count
        held = count - slow.gone
    figures(
        f"{count} slow clients ({', '.join(KINDS)}), {held} of them still there at the end, and a good one",
        f"a whole message of the good one took {max(took):.2f} s at most (aim {AIM_S:.0f} s); {each / 1024:.0f} kB for "
        "each slow one",
    )
    assert max(took) < LIMIT_S


FROZEN: Final = ("cleanup", "qmgr", "trivial_rewrite")  # of the short run
FROZEN_TOO: Final = (
    "virtual",
    "postlogd",
    "smtpd",
    "dns",
    "proxymap",
    "governor",
    "pickup",
    "bounce",
    "runas",
    "warm",
    "master",
)


def processes_named(server: Instance, name: str) -> list[Process]:
    """Find the processes of that name."""
    return [each for each in server.processes() if each.name == name[:15]]


def cpu_shares(seen: list[Process], seconds: float) -> dict[str, float]:
    """Measure each process for so long: its share of a CPU."""
    time.sleep(seconds)
    shares: dict[str, float] = {}
    for before in seen:
        after = read_process(before.pid)
        if after is not None and after.name == before.name:
            share = (after.ticks - before.ticks) / os.sysconf("SC_CLK_TCK") / seconds
            shares[before.name] = max(share, shares.get(before.name, 0.0))
    return shares


def freeze(server: Instance, name: str, seconds: float, sending: Callable[[], object]) -> dict[str, float]:
    """Stop a daemon, send mail meanwhile, measure the others, let it go on."""
    victims = processes_named(server, name)
    for victim in victims:
        os.kill(victim.pid, signal.SIGSTOP)
    client = threading.Thread(target=sending, daemon=True)
    try:
        client.start()
        time.sleep(0.3)  # what the message costs until somebody waits
        shares = cpu_shares([each for each in server.processes() if each.name != name[:15]], seconds)
    finally:
        for victim in victims:
            os.kill(victim.pid, signal.SIGCONT)
    client.join(60)
    assert not client.is_alive(), f"{name}: a client hangs after it went on"
    return shares


@pytest.mark.root
def test_nobody_spins_while_a_peer_stands_still(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """SIGSTOP for each daemon in turn: the others wait quietly, and all mail arrives when it goes on."""
    options = BOXES.options(mydestination="", disable_dns_lookups="no", dns_nameservers="127.0.0.1:1")
    server = posthouse(**options, started=False)
    give_away(server)
    server.start_and_greet()
    replies: list[str] = []

    def sending() -> None:
        replies.append(send(server, BOXES.addresses[0]))

    sending()
    worst, worst_log = (0.0, "", ""), Busiest(0, "", "")
    stopped = []
    for name in [*FROZEN, *amount((), FROZEN_TOO)]:
        if not processes_named(server, name):
            continue
        stopped.append(name)
        begin = len(server.log())
        shares = freeze(server, name, amount(0.5, 5.0), sending)
        worst = max(worst, *((share, other, name) for other, share in shares.items()))
        wait(
            f"mail flows after {name} stood still",
            lambda: len(maildir.messages(server.mail_directory)) == taken(replies),
        )
        worst_log = max(worst_log, busiest(server.log()[begin:]), key=lambda each: each.lines)
    assert set(FROZEN) <= set(stopped)
    assert len(replies) == len(stopped) + 1
    figures(
        f"each of {len(stopped)} kinds of daemon stopped for {amount(0.5, 5.0)} s, with mail under way",
        f"most of a CPU that another process used: {worst[0]:.1%} ({worst[1]} while {worst[2]} stood still; aim "
        f"{CPU_AIM:.0%}); most log lines a second of one cause: {worst_log.lines} (aim {LINES_AIM}); all mail arrived",
    )
    assert worst[0] < CPU_LIMIT
    assert worst_log.lines <= LINES_LIMIT, worst_log


def taken(replies: list[str]) -> int:
    """Count what was answered 250."""
    return sum(reply.startswith("250") for reply in replies)


def say(sock: socket.socket, *commands: bytes) -> None:
    """Say each command and wait for its reply."""
    for command in (b"", *commands):
        sock.sendall(command)
        read_reply(sock)


def long_line(sock: socket.socket) -> None:
    """A megabyte without a line end."""
    sock.sendall(b"MAIL FROM:<" + b"a" * (1 << 20))


def unknown_commands(sock: socket.socket) -> None:
    """A thousand commands that nobody knows."""
    for _ in range(1000):
        say(sock, b"XYZZY\r\n")


def unknown_recipients(sock: socket.socket) -> None:
    """A dictionary attack, pipelined."""
    recipients = b"".join(b"RCPT TO:<nobody%d@box.test>\r\n" % number for number in range(1000))
    say(sock, b"EHLO x.test\r\n")
    sock.sendall(b"MAIL FROM:<>\r\n" + recipients)


def long_content_lines(sock: socket.socket) -> None:
    """Content of one line of a megabyte, and a thousand bare newlines."""
    say(sock, b"EHLO x.test\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<alice@box.test>\r\n", b"DATA\r\n")
    sock.sendall(b"y" * (1 << 20) + b"\n" * 1000 + b"\r\n.\r\n")


def web_browser(sock: socket.socket) -> None:
    """Another protocol."""
    sock.sendall(b"GET / HTTP/1.1\r\n" + b"X-Header: x\r\n" * 1000 + b"\r\n")


ENDED: Final = r": disconnect from .*\n"
ABUSES: Final = (long_line, unknown_commands, unknown_recipients, long_content_lines, web_browser)


def test_a_hostile_client_does_not_fill_the_log(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """Each abuse by one client: the lines of one cause in one second."""
    server = posthouse(**BOXES.options(mydestination=""))
    found = []
    for abuse in ABUSES:
        begin = len(server.log())
        with socket.create_connection((LOOPBACK, server.port), timeout=10) as sock:
            sock.settimeout(amount(0.3, 10.0))
            try:
                abuse(sock)
                while sock.recv(65536):
                    pass
            except (TimeoutError, ConnectionError):
                pass  # it waits for the rest of the line, or has had enough of us
        wait("its end is logged", lambda: bool(re.search(ENDED, server.log()[begin:])))  # noqa: B023 - called at once
        most = busiest(server.log()[begin:])
        found.append(f"{(abuse.__doc__ or '').rstrip('.').lower()}: {most.lines}")
        assert most.lines <= LINES_LIMIT, (abuse.__doc__, most)
    with smtplib.SMTP(LOOPBACK, server.port, timeout=30) as client:
        assert client.noop()[0] == 250
    figures(f"log lines a second of one cause (aim {LINES_AIM})", "; ".join(found))
