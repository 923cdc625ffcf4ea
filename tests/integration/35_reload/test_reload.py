"""`postfix reload` under load: no connection is dropped, no message is lost or doubled, new settings count."""

import time
from typing import Final

from tests.conftest import Start
from tests.support import daemons, maildir, net
from tests.support.mailboxes import Boxes, give_away
from tests.support.sender import Clients, Ledger, find_tokens

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


def test_reload_of_a_broken_configuration_keeps_the_good_one(posthouse: Start) -> None:
    """The running server goes on with what it has, and the log says where the mistake is."""
    server = posthouse(main={"smtpd_banner": "good ESMTP"})
    master = server.master_pid()
    with (server.config_directory / "main.cf").open("a", encoding="utf-8") as main_cf:
        main_cf.write("smtpd_timeout = banana\n")
    server.command("postfix", "reload")
    time.sleep(1)
    assert server.master_pid() == master
    assert b"good ESMTP" in net.greeting(server.port)
    assert "banana" in server.log()
    assert "smtpd" in daemons.names(server)
