"""Group commit of the queue store: messages/s, latency and CPU per message, with and without a busy event loop.

Each of N clients commits a message of 4.6 kB with one recipient, waits for the answer, removes the message (as after
a delivery) and begins again. "busy" is a loop that computes for a while between the events, as qmgr's does.
Run: python tests/bench/store_commit.py [DIRECTORY] [MESSAGES]
"""

import asyncio
import os
import resource
import shutil
import sys
import tempfile
import time

from posthouse.ipc.message import Recipient
from posthouse.queue.store import Store, open_store
from posthouse.queue.values import Committed, NewMessage, StoreError
from posthouse.util.loop import new_event_loop

CONTENT = os.urandom(4600)
ATTRIBUTES = os.urandom(250)
BUSY_S = 100e-6  # computed for each message, on the loop


class Client:
    """One connection that sends message after message."""

    def __init__(self, bench: "Bench", number: int) -> None:
        self.bench = bench
        self.number = number
        self.started = 0.0
        self.queue_id = ""

    def send(self) -> None:
        """Commit the next message."""
        bench = self.bench
        bench.sent += 1
        if bench.sent > bench.messages:
            return
        if bench.busy_s:
            end = time.perf_counter() + bench.busy_s
            while time.perf_counter() < end:
                pass
        self.queue_id = f"4dK{bench.sent:08d}z{self.number:x}"
        self.started = time.perf_counter()
        recipient = Recipient(f"user{bench.sent}@example.org", f"user{self.number}@example.org")
        message = NewMessage(self.queue_id, "sender@example.com", time.time(), 4600, ATTRIBUTES, CONTENT, (recipient,))
        bench.store.commit(message, self.sent)

    def sent(self, answer: Committed | StoreError) -> None:
        """Take the answer, remove the message, go on."""
        assert isinstance(answer, Committed), answer
        self.bench.latencies.append(time.perf_counter() - self.started)
        self.bench.store.remove(answer.key, self.queue_id)
        self.bench.loop.call_soon(self.send)  # the client's next command comes with a later event
        if len(self.bench.latencies) == self.bench.messages:
            self.bench.finished.set_result(None)


class Bench:
    """One run: so many clients, so many messages."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, messages: int, busy_s: float) -> None:
        self.store = store
        self.loop = loop
        self.messages = messages
        self.busy_s = busy_s
        self.sent = 0
        self.latencies: list[float] = []
        self.finished: asyncio.Future[None] = loop.create_future()


def cpu_s() -> float:
    """User and system time of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run(directory: str, clients: int, messages: int, busy_s: float) -> None:
    """Measure one load and print a line."""
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    loop = new_event_loop()
    store = open_store(directory, loop, print)
    bench = Bench(store, loop, messages, busy_s)
    began, cpu = time.perf_counter(), cpu_s()
    for number in range(clients):
        loop.call_soon(Client(bench, number).send)
    loop.run_until_complete(bench.finished)
    took, used = time.perf_counter() - began, cpu_s() - cpu
    loop.run_until_complete(store.close())
    loop.close()
    latencies = sorted(bench.latencies)
    print(
        f"{clients:4} clients {'busy' if busy_s else 'idle'}: {messages / took:7.0f} msg/s, "
        f"CPU {(used - messages * busy_s) / messages * 1e6:6.1f} us/msg, "
        f"p50 {latencies[len(latencies) // 2] * 1e3:6.2f} ms, p99 {latencies[len(latencies) * 99 // 100] * 1e3:6.2f} ms"
    )


def main() -> None:
    """Run all loads."""
    directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
    messages = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    for busy_s in (0.0, BUSY_S):
        for clients in (1, 8, 32, 128):
            run(directory, clients, messages // 5 if clients == 1 else messages, busy_s)


if __name__ == "__main__":
    main()
