"""posthouse drain: nothing comes in, everything goes out, the rest to another server, with its age and DSN options."""

import json
import socket
import subprocess
import time
from typing import Final

import pytest

from tests.conftest import Start
from tests.support import maildir, net
from tests.support.instance import Instance
from tests.support.mailboxes import Boxes, box, give_away
from tests.support.recording_sink import RecordingSink
from tests.support.scarcity import send, wait

BOXES: Final = Boxes(["alice", "postmaster"])
DAY_S: Final = 86400


class Far:
    """A host that takes nothing until it is told to."""

    def __init__(self) -> None:
        self.is_open = False

    def __call__(self, verb: str, address: str) -> str:
        """Answer."""
        if verb != "RCPT":
            return ""
        return "450 4.2.0 later" if not self.is_open else "550 5.1.1 unknown" if address.startswith("gone@") else ""


def start(posthouse: Start, **main: str) -> Instance:
    """Run a server with mailboxes."""
    server = posthouse(started=False, **BOXES.options(**{"mydestination": "", **main}))
    give_away(server)
    server.start_and_greet()
    return server


def drain(server: Instance, *words: str) -> tuple[int, dict[str, object]]:
    """Drain; returns the exit status and what it says."""
    command = [server.program("posthouse"), "drain", "-c", str(server.config_directory), "--json", *words]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120, env=server.environment())
    assert done.stdout, done.stderr.decode()
    found: dict[str, object] = json.loads(done.stdout)
    return done.returncode, found


def end(server: Instance) -> None:
    """Take mail again."""
    command = [server.program("posthouse"), "drain", "-c", str(server.config_directory), "--off"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60, env=server.environment())
    assert done.stdout == b"mail is taken again\n"
    wait("mail is taken", lambda: send(server, "alice@box.test").startswith("250"))


def mail(server: Instance, *commands: str) -> list[str]:
    """Talk SMTP; returns the replies to these commands, without their line ends."""
    replies = []
    with socket.create_connection((net.LOOPBACK, server.port), timeout=30) as sock:
        assert net.read_reply(sock).startswith(b"220")
        for command in commands:
            sock.sendall(command.encode() + b"\r\n")
            replies.append(net.read_reply(sock).decode().strip())
    return replies


def test_everything_goes_out_and_nothing_comes_in(posthouse: Start) -> None:
    """What waits is tried again and goes; clients, sessions that are open, and sendmail are put off."""
    far = Far()
    with RecordingSink(far) as sink:
        server = start(posthouse, relayhost=f"[127.0.0.1]:{sink.port}")
        for number in range(5):
            assert send(server, f"user{number}@far.test").startswith("250")
        wait("deferred", lambda: len(server.queue()) == 5 and server.log().count("status=deferred") >= 5)
        status, found = drain(server, "--limit", "3s")
        assert (status, found["drained"]) == (75, False)
        assert found["after"] == {"incoming": 0, "active": 0, "deferred": 5, "hold": 0, "maildrop": 0, "spool files": 0}

        far.is_open = True
        status, found = drain(server, "--limit", "60s")
        assert (status, found["drained"], found["handed_over"]) == (0, True, 0)
        assert len(sink.received) == 5
        assert not server.queue()
        end(server)


def test_what_is_put_off_meanwhile(posthouse: Start) -> None:
    """421 to who connects, 451 to MAIL in a session that was there, exit status 75 of sendmail; over a restart too."""
    server = start(posthouse)
    with socket.create_connection((net.LOOPBACK, server.port), timeout=30) as sock:
        net.read_reply(sock)
        sock.sendall(b"EHLO client.test\r\n")
        net.read_reply(sock)
        # smtpd tells of its sessions now and then only.
        wait("the session is known", lambda: drain(server, "--limit", "2s")[1]["sessions"] == 1)
        assert drain(server, "--limit", "2s")[0] == 75
        sock.sendall(b"MAIL FROM:<a@client.test>\r\n")
        assert net.read_reply(sock).startswith(b"451 4.3.2 System is not accepting messages")
    for _ in range(2):
        with socket.create_connection((net.LOOPBACK, server.port), timeout=30) as sock:
            said = net.read_reply(sock)
        assert said.startswith(b"421 4.3.2 ")
        assert b"being drained" in said
        done = server.command("sendmail", "alice@box.test", stdin=b"Subject: x\n\nx\n")
        assert done.returncode == 75
        assert b"being drained" in done.stderr
        assert not list((server.queue_directory / "maildrop").iterdir())
        server.stop()
        done = server.command("sendmail", "alice@box.test", stdin=b"Subject: x\n\nx\n")
        assert done.returncode == 75, "neither is anything left in maildrop while it is stopped"
        server.start()
        wait("it is drained after a restart too", lambda: "drain: no new mail is taken" in server.log())
    assert drain(server)[0] == 0
    end(server)


@pytest.mark.parametrize("trusts", [True, False])
def test_the_rest_goes_to_another_server(posthouse: Start, trusts: bool) -> None:
    """With its DSN options, and with its age where the other server takes our word for it."""
    far = Far()
    with RecordingSink(far) as closed:
        trusted = {"smtpd_authorized_arrival_hosts": "127.0.0.1"} if trusts else {}
        other = start(posthouse, relayhost=f"[127.0.0.1]:{closed.port}", **trusted)
        server = start(
            posthouse,
            relayhost=f"[127.0.0.1]:{closed.port}",
            smtpd_authorized_arrival_hosts="127.0.0.0/8",
        )
        arrived = int(time.time()) - DAY_S
        said = mail(
            server,
            "EHLO x.test",
            f"MAIL FROM:<a@client.test> RET=HDRS ENVID=Q+2D1 XARRIVAL={arrived}",
            "RCPT TO:<gone@far.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;old@far.test",
            "DATA",
            "Subject: drained\r\n\r\nx\r\n.",
        )
        assert [reply[:3] for reply in said] == ["250", "250", "250", "354", "250"], said
        wait("it waits", lambda: "status=deferred" in server.log())
        assert server.queue()[0]["arrival_time"] == arrived
        status, found = drain(server, "--to", f"[127.0.0.1]:{other.port}", "--try", "5s", "--limit", "60s")
        assert (status, found["drained"], found["handed_over"]) == (0, True, 1), found
        [message] = other.queue()
        assert message["sender"] == "a@client.test"
        age = time.time() - int(str(message["arrival_time"]))
        assert (DAY_S <= age < DAY_S + 300) if trusts else age < 300
        far.is_open = True
        assert other.command("postqueue", "-f").returncode == 0
        wait("its sender hears of it", lambda: len(closed.received) == 1)
        notice = closed.received[0].content.decode()
        assert "Original-Envelope-Id: Q-1" in notice
        assert "Original-Recipient: rfc822;old@far.test" in notice


def test_only_those_who_are_named_may_tell_an_age(posthouse: Start) -> None:
    """Others are not offered it, and get the reply that an unknown parameter gets."""
    server = start(posthouse, smtpd_authorized_arrival_hosts="192.0.2.1")
    ehlo, refused = mail(server, "EHLO x.test", f"MAIL FROM:<a@client.test> XARRIVAL={int(time.time()) - 5}")
    assert "XARRIVAL" not in ehlo
    assert refused.startswith("555 5.5.4 Unsupported option: XARRIVAL=")


def test_mail_on_hold_is_nobodys_to_send(posthouse: Start) -> None:
    """It stays, and the exit status says so."""
    with RecordingSink(Far()) as closed:
        server = start(posthouse, relayhost=f"[127.0.0.1]:{closed.port}")
        assert send(server, "user@far.test").startswith("250")
        wait("deferred", lambda: "status=deferred" in server.log())
        assert server.command("postsuper", "-h", "ALL").returncode == 0
        status, found = drain(server, "--to", f"[127.0.0.1]:{closed.port}", "--try", "1s", "--limit", "60s")
        assert (status, found["handed_over"]) == (75, 0)
        assert isinstance(found["after"], dict)
        assert found["after"]["hold"] == 1


def test_without_a_running_system(posthouse: Start) -> None:
    """Draining needs deliveries; nothing is changed."""
    server = start(posthouse)
    server.stop()
    command = [server.program("posthouse"), "drain", "-c", str(server.config_directory)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, env=server.environment())
    assert done.returncode == 69
    assert b"postfix start" in done.stderr
    assert not (server.queue_directory / "pid/drain").exists()
    server.start_and_greet()
    assert maildir.messages(box(server, "alice")) == []
