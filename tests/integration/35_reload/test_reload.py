"""`postfix reload` under load: no connection is dropped, no message is lost or doubled, new settings count."""

import json
import os
import signal
import smtplib
import subprocess
import time
from typing import Final

import pytest

from tests.conftest import Start
from tests.support import daemons, maildir, net
from tests.support.instance import Instance
from tests.support.mailboxes import Boxes, give_away
from tests.support.sender import Clients, Ledger, find_tokens
from tests.support.servers import OURS

RELOADS: Final = 10
BOXES: Final = Boxes(["alice", "bob"])


def test_reload_drops_nothing(posthouse: Start) -> None:
    """Clients hold their sessions through ten reloads and send all the while."""
    server = posthouse(**BOXES.options(), started=False)
    give_away(server)
    server.start_and_greet()
    ledger = Ledger()
    clients = Clients(server.port, ledger, BOXES.addresses, connections=6)
    clients.start()
    for _ in range(RELOADS):
        time.sleep(0.3)
        done = server.command("postfix", "reload")
        assert done.returncode == 0, done.stderr
        net.wait_greeting(server.port, 5)
    time.sleep(0.5)
    clients.finish()
    server.wait_queue_empty(30)
    assert (ledger.broken, ledger.refused) == (0, {})
    counted = ledger.check(find_tokens(maildir.messages(server.mail_directory)))
    assert len(counted) == len(ledger.acknowledged) > RELOADS


def test_reload_brings_new_settings(posthouse: Start) -> None:
    """A changed main.cf counts after reload, and only then."""
    server = posthouse(main={"smtpd_banner": "before ESMTP"})
    assert b"before ESMTP" in net.greeting(server.port)
    server.options.main["smtpd_banner"] = "after ESMTP"
    server.write_config()
    assert b"before ESMTP" in net.greeting(server.port)
    assert server.command("postfix", "reload").returncode == 0
    deadline = time.monotonic() + 10
    while b"after ESMTP" not in net.greeting(server.port):
        assert time.monotonic() < deadline, "the new banner does not show"
        time.sleep(0.05)


def test_reload_opens_a_log_under_a_new_name(posthouse: Start) -> None:
    """postlogd cannot make a file where only root may, so the reload does; the next lines are in it."""
    server = posthouse()
    (server.directory / "logs").mkdir()
    server.maillog = server.directory / "logs" / "new"
    server.write_config()
    assert server.command("postfix", "reload").returncode == 0
    deadline = time.monotonic() + 15
    while "smtpd[" not in server.log():  # the first lines may still go to the postlogd that is leaving
        assert time.monotonic() < deadline, "nothing is logged"
        net.greeting(server.port)
        time.sleep(0.1)
    assert "fails to start" not in server.log()


def status(server: Instance, *options: str) -> str:
    """Ask posthouse status."""
    argv = [str(OURS / "posthouse"), "status", "-c", str(server.config_directory), *options]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def send(server: Instance, subject: str) -> None:
    """Send a message to alice."""
    with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as client:
        client.sendmail("a@example.test", BOXES.addresses[:1], f"Subject: {subject}\r\n\r\nx\r\n")


BROKEN: Final = (
    pytest.param("smtpd_timeout = banana\n", "smtpd_timeout", id="not a time"),
    pytest.param("smtpd_relay_restrictions = permit\n", "relay", id="an open relay"),
)


@pytest.mark.parametrize(("line", "word"), BROKEN)
def test_reload_of_a_broken_configuration_keeps_the_good_one(posthouse: Start, line: str, word: str) -> None:
    """It is refused with file and line; mail goes on; the status says that the files are newer than what runs."""
    server = posthouse(**BOXES.options(smtpd_banner="good ESMTP"), started=False)
    give_away(server)
    server.start_and_greet()
    master = server.master_pid()
    assert "changed after it was loaded" not in status(server)
    assert json.loads(status(server, "--json"))["configuration"]["changed_since"] == []
    main_cf = server.config_directory / "main.cf"
    good = main_cf.read_text(encoding="utf-8")
    main_cf.write_text(good + line, encoding="utf-8")
    refused = server.command("postfix", "reload")
    assert refused.returncode == 1
    assert f"{main_cf}:{good.count(chr(10)) + 1}: " in refused.stderr.decode()
    assert word in refused.stderr.decode()
    assert b"the running mail system keeps its configuration" in refused.stderr
    os.kill(master, signal.SIGHUP)  # and master itself looks before it leaps
    server.wait_log("reload failed, the old configuration stays in force: ")
    assert server.master_pid() == master
    assert b"good ESMTP" in net.greeting(server.port)
    send(server, "still here")
    maildir.wait_messages(server.mail_directory, 1)
    assert "configuration: main.cf changed after it was loaded" in status(server)
    assert json.loads(status(server, "--json"))["configuration"]["changed_since"] == [str(main_cf)]
    main_cf.write_text(good, encoding="utf-8")
    assert server.command("postfix", "reload").returncode == 0
    server.wait_log("reload -- version")
    assert "changed after it was loaded" not in status(server)


def test_reload_of_files_that_cannot_be_read_keeps_the_good_ones(posthouse: Start) -> None:
    """A line that is no setting, a program that does not exist: each is named with its line."""
    server = posthouse(main={"smtpd_banner": "good ESMTP"})
    main_cf = server.config_directory / "main.cf"
    good = main_cf.read_text(encoding="utf-8")
    main_cf.write_text(good + "no equals sign\n", encoding="utf-8")
    refused = server.command("postfix", "reload")
    assert refused.returncode == 1
    assert f"{main_cf}:{good.count(chr(10)) + 1}: missing '='" in refused.stderr.decode()
    os.kill(server.master_pid(), signal.SIGHUP)
    server.wait_log("reload failed, the old configuration stays in force: .*missing '='")
    main_cf.write_text(good, encoding="utf-8")
    with (server.config_directory / "master.cf").open("a", encoding="utf-8") as master_cf:
        master_cf.write("x unix - - n - - smptd\n")
    refused = server.command("postfix", "reload")
    assert refused.returncode == 1
    assert b'there is no program "smptd"; start and reload are refused; did you mean "smtpd"?' in refused.stderr
    assert b"good ESMTP" in net.greeting(server.port)
    assert "smtpd" in daemons.names(server)
