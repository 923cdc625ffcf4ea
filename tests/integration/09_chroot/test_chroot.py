"""Services with "y" in column 5 of master.cf: their root is the queue directory, and everything still works."""

import os
import time
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support.instance import MASTER_CF, Instance
from tests.support.load import Load, SmtpSink, smtp_source
from tests.support.processes import kernel_status as status
from tests.support.processes import wait_confined

CHROOTED = {"smtpd", "cleanup", "trivial_rewrite", "smtp", "bounce", "discard"}
DEADLINE_S = 20
SERVICES = ["smtpd", "cleanup", "trivial-rewrite", "bounce", "smtp", "error", "discard", "pickup", "qmgr", "showq"]


def with_chroot(text: str) -> str:
    """Write "y" into column 5 of everything that Debian's master.cf has chrooted."""
    lines = []
    for line in text.splitlines():
        words = line.split()
        if words[7] in SERVICES:
            words[4] = "y"
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def start(posthouse: Start, sink: SmtpSink) -> Instance:
    """Start a system whose network daemons are chrooted."""
    return posthouse(
        master_cf=with_chroot(MASTER_CF),
        main={
            "transport_maps": "texthash:{directory}/etc/transport",
            "local_recipient_maps": "static:all",
            "virtual_alias_maps": "hash:{directory}/etc/virtual",
            "smtp_host_lookup": "native",
            "smtp_generic_maps": "proxy:texthash:{directory}/etc/generic",
            "smtp_header_checks": "regexp:{directory}/etc/checks",
        },
        files={
            "transport": f"discard.test discard:\nrelay.test smtp:[127.0.0.1]:{sink.port}\n",
            "virtual": "one@virtual.test u@discard.test\n",
            "generic": "u@relay.test mapped@relay.test\n",
            "checks": "/^Received:/ PREPEND X-Checked: yes\n",
        },
    )


def wait_for(server: Instance, text: str, since: int = 0) -> None:
    """Wait until the log says something."""
    deadline = time.monotonic() + DEADLINE_S
    while text not in server.log()[since:]:
        assert time.monotonic() < deadline, f"{text!r} does not come:\n{server.log()[-3000:]}"
        time.sleep(0.05)


@pytest.mark.root
def test_chrooted_services_work(posthouse: Start) -> None:
    """The root of each process is the queue directory, no capability is left, and mail goes every way."""
    with SmtpSink(keep=True) as sink:
        server = start(posthouse, sink)
        recipients = ("u@discard.test", "u@relay.test", "a@elsewhere.test")
        smtp_source(Load(len(recipients) * 3, sessions=3, recipients=recipients), server.port)
        for recipient in recipients[:2]:
            wait_for(server, f"to=<{recipient}>")
        assert "mapped@relay.test" in sink.recipients()
        assert all(b"\nX-Checked: yes\nReceived:" in message.replace(b"\r", b"") for message in sink.messages())
        seen = {process.name: process.pid for process in server.processes()}
        assert seen.keys() >= {"smtpd", "cleanup", "trivial_rewrite", "smtp", "discard"}
        for name, pid in seen.items():
            if name in CHROOTED:
                wait_confined(pid)
            inside = os.readlink(f"/proc/{pid}/root") == str(server.queue_directory)
            assert inside == (name in CHROOTED), name
            if inside:
                assert status(pid)["CapEff"] == status(pid)["CapPrm"] == "0" * 16
        assert "etc/hosts; copy /etc/hosts there" in server.log()
        assert "pickup, qmgr, showq: not chrooted" in server.log()
        assert "panic" not in server.log()


@pytest.mark.root
def test_a_changed_table_is_noticed_from_inside(posthouse: Start) -> None:
    """Nothing outside can be opened any more: the process makes way for one that opens the new file first."""
    with SmtpSink() as sink:
        server = start(posthouse, sink)
        smtp_source(Load(1, recipients=("u@discard.test",)), server.port)
        wait_for(server, "to=<u@discard.test>")
        table = server.config_directory / "transport"
        fresh = Path(f"{table}.new")
        fresh.write_text(table.read_text(encoding="ascii") + "new.test discard:\n", encoding="ascii")
        fresh.rename(table)
        time.sleep(1.1)  # a table is looked at once a second
        smtp_source(Load(1, recipients=("u@discard.test",)), server.port)
        wait_for(server, "has changed: the next process can read it")
        deadline = time.monotonic() + DEADLINE_S
        while "to=<x@new.test>, relay=none" not in server.log():
            smtp_source(Load(1, recipients=("x@new.test",)), server.port)
            assert time.monotonic() < deadline, server.log()[-3000:]
            time.sleep(0.2)


@pytest.mark.root
def test_the_log_goes_on_when_postlogd_is_another(posthouse: Start) -> None:
    """A chrooted process finds the new postlogd's socket inside of its root."""
    with SmtpSink() as sink:
        server = start(posthouse, sink)
        smtp_source(Load(1, recipients=("u@discard.test",)), server.port)
        wait_for(server, "to=<u@discard.test>")
        (old,) = [process.pid for process in server.processes() if process.name == "postlogd"]
        os.kill(old, 9)
        before = len(server.log())
        smtp_source(Load(1, recipients=("u@discard.test",)), server.port)
        wait_for(server, "client=", before)
