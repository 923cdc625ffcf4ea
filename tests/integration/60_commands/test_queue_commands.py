"""postsuper, postcat, postqueue and mailq on messages that wait."""

import json
import smtplib
import time
from collections.abc import Iterator

import pytest

from tests.conftest import Start
from tests.support.instance import Instance
from tests.support.net import LOOPBACK
from tests.support.recording_sink import RecordingSink

CONTENT = b"From: a@client.test\r\nSubject: waits\r\nMessage-ID: <waits@client.test>\r\n\r\nthe body\r\n"


@pytest.fixture
def sink() -> Iterator[RecordingSink]:
    """Run a far server that is not ready for mail."""
    with RecordingSink(lambda verb, _address: "450 4.3.2 not now" if verb == "MAIL" else "") as sink:
        yield sink


@pytest.fixture
def server(posthouse: Start, sink: RecordingSink) -> Instance:
    """Run Posthouse, with that server as relay host."""
    return posthouse(main={"relayhost": f"[127.0.0.1]:{sink.port}", "mydestination": ""})


def queue_names(server: Instance) -> list[str]:
    """Return where each message is."""
    return sorted(str(message["queue_name"]) for message in server.queue())


def wait_names(server: Instance, wanted: list[str]) -> None:
    """Wait until the messages are where they should be."""
    deadline = time.monotonic() + 15
    while (names := queue_names(server)) != wanted:
        assert time.monotonic() < deadline, f"{names}, not {wanted}"
        time.sleep(0.05)


def send(server: Instance, count: int = 1) -> list[str]:
    """Send some messages and return their queue IDs once they are deferred."""
    with smtplib.SMTP(LOOPBACK, server.port, local_hostname="client.test", timeout=30) as client:
        for number in range(count):
            client.sendmail("a@client.test", [f"r{number}@far.test"], CONTENT)
    wait_names(server, ["deferred"] * count)
    return [str(message["queue_id"]) for message in server.queue()]


def test_held_message_stays_until_it_is_released(server: Instance, sink: RecordingSink) -> None:
    """postsuper -h keeps a message back from a flush, -H lets it go on."""
    [held, _other] = send(server, 2)
    assert server.command("postsuper", "-h", held).returncode == 0
    wait_names(server, ["deferred", "hold"])
    sink.answer = lambda _verb, _address: ""
    assert server.command("postqueue", "-f").returncode == 0
    sink.wait(1)
    wait_names(server, ["hold"])
    assert server.command("postsuper", "-H", held).returncode == 0
    server.command("postqueue", "-f")
    sink.wait(2)
    server.wait_queue_empty(10)


def test_deleted_message_is_gone(server: Instance) -> None:
    """postsuper -d QUEUE_ID removes one message, and says so; -d ALL removes the rest."""
    first = send(server, 3)[0]
    done = server.command("postsuper", "-d", first)
    assert done.returncode == 0
    assert b"Deleted: 1 message" in done.stderr + done.stdout
    wait_names(server, ["deferred", "deferred"])
    done = server.command("postsuper", "-d", "ALL")
    assert b"Deleted: 2 messages" in done.stderr + done.stdout
    assert server.queue() == []
    assert server.command("postqueue", "-p").stdout == b"Mail queue is empty\n"


def test_requeued_message_is_delivered(server: Instance, sink: RecordingSink) -> None:
    """postsuper -r puts a message through again, at once."""
    [queue_id] = send(server)
    sink.answer = lambda _verb, _address: ""
    assert server.command("postsuper", "-r", queue_id).returncode == 0
    server.command("postqueue", "-f")
    [message] = sink.wait(1)
    assert b"the body" in message.content
    server.wait_queue_empty(10)


def test_postcat_shows_envelope_and_content(server: Instance) -> None:
    """postcat -q finds the message by its queue ID."""
    [queue_id] = send(server)
    done = server.command("postcat", "-q", queue_id)
    assert done.returncode == 0, done.stderr
    for part in (
        b"*** ENVELOPE RECORDS",
        b"*** MESSAGE CONTENTS",
        b"the body",
        b"sender: a@client.test",
        b"r0@far.test",
    ):
        assert part in done.stdout, done.stdout
    assert server.command("postcat", "-q", "4Nnnnn0nnnznn").returncode != 0


def test_mailq_lists_what_waits(server: Instance) -> None:
    """mailq is postqueue -p under its old name."""
    [queue_id] = send(server)
    listing = server.command("postqueue", "-p").stdout.decode()
    assert "-Queue ID-" in listing.splitlines()[0]
    assert queue_id in listing
    assert "(host 127.0.0.1[127.0.0.1] said: 450 4.3.2 not now (in reply to MAIL FROM command))" in listing


def test_status_follows_start_and_stop(posthouse: Start) -> None:
    """postfix status exits 0 while the system runs; a second start is refused; stop ends every process."""
    server = posthouse()
    assert server.command("postfix", "status").returncode == 0
    assert server.command("postfix", "start").returncode != 0
    before = {process.pid for process in server.processes()}
    server.stop()
    assert server.command("postfix", "status").returncode == 1
    assert not [process for process in server.processes() if process.pid in before]
    server.start_and_greet()


def test_postkick_reaches_the_daemons(server: Instance, sink: RecordingSink) -> None:
    """F has qmgr try what is deferred; a service that is not there is a failure that says so."""
    send(server, 2)
    sink.answer = lambda _verb, _address: ""
    assert server.command("postkick", "public", "qmgr", "F").returncode == 0
    sink.wait(2)
    wait_names(server, [])
    failed = server.command("postkick", "public", "nowhere", "W")
    assert failed.returncode == 1
    assert "Cannot contact class public service nowhere - perhaps the mail system is down" in failed.stderr.decode()


def test_qshape_shows_where_the_waiting_mail_is_for(server: Instance) -> None:
    """What is deferred is shown when asked for; nothing is incoming or active."""
    send(server, 3)
    assert server.command("qshape").stdout.decode().splitlines()[1].split()[:2] == ["TOTAL", "0"]
    rows = [line.split()[:3] for line in server.command("qshape", "deferred").stdout.decode().splitlines()[1:]]
    assert rows == [["TOTAL", "3", "3"], ["far.test", "3", "3"]]
    rows = json.loads(server.command("qshape", "-s", "--json", "deferred").stdout)["rows"]
    assert [(row["domain"], row["total"]) for row in rows] == [("TOTAL", 3), ("client.test", 3)]
