"""kill -9 of a process that writes to the store, again and again, with an account of what it was told."""

import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from tests.contract.queue.harness import Harness, verified

ROUNDS = 8
SEED = 20_240_607

# Prints "A id" when a commit was acknowledged, "R id" before it asks for a removal, "N n" for a lease.
WRITER = """
import asyncio, os, sys, time
from posthouse.ipc.message import Recipient
from posthouse.queue.store import open_store
from posthouse.queue.values import Committed, NewMessage

def tell(text):
    os.write(1, (text + "\\n").encode())

def main(directory, name):
    loop = asyncio.new_event_loop()
    store = open_store(directory, loop, tell)
    number = 0

    def send():
        nonlocal number
        number += 1
        queue_id = f"{name}x{number}"
        content = queue_id.encode() * 300
        if number % 10 == 0:
            file = store.create_spool_file()
            os.write(file.descriptor, content)
            content = file
        message = NewMessage(queue_id, "s@example.com", time.time(), 1, b"", content, [Recipient("r@example.org")])
        store.commit(message, lambda answer: sent(queue_id, answer))

    def sent(queue_id, answer):
        assert isinstance(answer, Committed) and not answer.already
        tell("A " + queue_id)
        if hash(queue_id) % 3 == 0:
            tell("R " + queue_id)
            store.remove(answer.key, queue_id)
        loop.call_soon(send)

    lease = store.lease(100)
    lease.add_done_callback(lambda future: tell(f"N {future.result()}"))
    for _ in range(20):
        send()
    loop.run_forever()

main(*sys.argv[1:])
"""


def test_nothing_acknowledged_is_missing_after_kill_9(memory_path: Path) -> None:
    """Every message that was acknowledged and not removed is there with its content; no number is leased twice."""
    choice = random.Random(SEED)
    stored: set[str] = set()
    asked: set[str] = set()
    numbers: list[int] = []
    for turn in range(ROUNDS):
        lines = _run_and_kill(str(memory_path), f"P{turn}", choice.uniform(0.02, 0.2))
        stored |= {line[2:] for line in lines if line.startswith("A ")}
        asked |= {line[2:] for line in lines if line.startswith("R ")}
        numbers += [int(line[2:]) for line in lines if line.startswith("N ")]
        queue = Harness(str(memory_path))
        assert queue.reports == []
        assert verified(queue.store, queue.loop) == []
        listed = set(queue.listed_ids())
        assert stored - asked <= listed
        assert all(queue.wait(queue.store.is_committed(queue_id)) for queue_id in asked)
        for queue_id in choice.sample(sorted(stored - asked), min(50, len(stored - asked))):
            assert queue.content(queue.get(queue_id).key) == queue_id.encode() * 300
        queue.close()
    assert len(stored) > 500
    assert numbers == sorted(set(numbers))
    assert all(later - earlier >= 100 for earlier, later in pairwise(numbers))


def _run_and_kill(directory: str, name: str, after_s: float) -> list[str]:
    """Let a writer work for a while, kill it, return its whole lines."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, directory, name], stdout=subprocess.PIPE, env=environment
    ) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()  # it has begun
        time.sleep(after_s)
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read()
    return (first + rest[: rest.rfind(b"\n") + 1]).decode().split("\n")
