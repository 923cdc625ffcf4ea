"""A process that writes to the store until it is killed, and tells on its standard output what it was told."""

import os
import subprocess
import sys

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
        size = len(content)
        if number % 10 == 0:
            file = store.create_spool_file()
            os.write(file.descriptor, content)
            content = file
        message = NewMessage(queue_id, "s@example.com", time.time(), size, b"", content, [Recipient("r@example.org")])
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


def writing(directory: str, name: str) -> "subprocess.Popen[bytes]":
    """Start a writer; the queue IDs of its messages begin with `name`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", WRITER, directory, name], stdout=subprocess.PIPE, env=environment)


def read_line(writer: "subprocess.Popen[bytes]") -> str:
    """Wait for a line."""
    assert writer.stdout is not None
    return writer.stdout.readline().decode().rstrip("\n")


def whole_lines(writer: "subprocess.Popen[bytes]") -> list[str]:
    """Everything it still said, without a last half line. The writer must have ended."""
    assert writer.stdout is not None
    rest = writer.stdout.read()
    return rest[: rest.rfind(b"\n") + 1].decode().split("\n")
