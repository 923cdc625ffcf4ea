"""The store inside a running, confined system: backed up while mail comes in, damaged, started again, put back."""

import json
import os
import random
import smtplib
import subprocess
import threading

import pytest

from tests.conftest import Start
from tests.contract.queue.damaged import flip
from tests.support.instance import Instance
from tests.support.servers import OURS

pytestmark = pytest.mark.integration
DEFERRED = {"defer_transports": "smtp"}  # mail for elsewhere stays in the queue


def queue(server: Instance, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run posthouse queue."""
    argv = [str(OURS / "posthouse"), "queue", name, "-c", str(server.config_directory), *words]
    return subprocess.run(argv, capture_output=True, check=False, timeout=60, text=True)


def send(server: Instance, first: int, count: int, until: threading.Event | None = None) -> None:
    """Send messages of some kilobytes, every fifth large; at least `count`, then until told to end."""
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        number = first
        while number < first + count or (until is not None and not until.is_set()):
            body = f"line {number}\r\n" * (20_000 if number % 5 == 0 else 300)
            client.sendmail("s@example.com", [f"{number}@example.org"], f"Subject: {number}\r\n\r\n{body}")
            number += 1


def test_copy_of_a_running_system_is_whole_and_can_be_put_back(posthouse: Start) -> None:
    """Backups and verify while mail comes in; then the copy in another, empty system, with its content."""
    server = posthouse(main=DEFERRED)
    send(server, 0, 20)
    copy = server.directory / "copy"
    enough = threading.Event()
    sender = threading.Thread(target=send, args=(server, 100, 20, enough))
    sender.start()
    try:
        done = queue(server, "backup", str(copy))
        seen = queue(server, "verify", "--json")
    finally:
        enough.set()
        sender.join()
    assert (done.returncode, done.stderr) == (0, "")
    assert (seen.returncode, json.loads(seen.stdout)["running"]) == (0, True), seen.stdout
    said = queue(server, "repair")
    assert (said.returncode, "postfix stop" in said.stderr) == (75, True)
    copied = json.loads((copy / "BACKUP").read_text())
    other = posthouse(main=DEFERRED)
    other.stop()
    done = queue(other, "restore", str(copy))
    assert (done.returncode, done.stderr) == (0, "")
    other.start_and_greet()
    ids = [str(message["queue_id"]) for message in other.queue()]
    assert len(ids) == sum(copied["queues"].values()) >= 20
    for queue_id in ids[:3]:
        ours, theirs = (each.command("postcat", "-q", queue_id).stdout for each in (server, other))
        assert ours.partition(b"MESSAGE CONTENTS")[2] == theirs.partition(b"MESSAGE CONTENTS")[2] != b""


def test_damaged_store_is_copied_by_the_confined_queue_manager(posthouse: Start) -> None:
    """It sets the old one aside, names what is not whole, and serves; nothing starts again and again."""
    server = posthouse(main=DEFERRED)
    send(server, 0, 40)
    server.stop()
    before = [str(message["queue_id"]) for message in server.queue()]
    assert len(before) == 40
    store = server.queue_directory / "posthouse" / "store-1.sqlite"
    flip(store, random.Random(3), 8)
    server.start_and_greet()
    server.command("postqueue", "-f")
    server.wait_log("copied [0-9]+ messages to store 2")
    server.wait_log("daemon started.*(\n.*)*store 1 failed")
    found = {str(message["queue_id"]): message["queue_name"] for message in server.queue()}
    log = server.log()
    for queue_id in before:
        whole = found.get(queue_id) in ("deferred", "active", "incoming")
        assert whole or queue_id in log.partition("store 1 failed")[2] or "its envelope is lost" in log
    assert (store.parent / "corrupt" / "store-1.sqlite").exists()
    assert log.count("store 1 failed") == 1
    assert log.count("terminating on signal") == 1
    assert store.parent.stat().st_uid == (store.parent / "corrupt").stat().st_uid
    assert os.listdir(store.parent / "corrupt")
    assert queue(server, "verify").returncode == 0
