"""The queue store with much deferred mail: time to open, first due page, listing, one site; and after a kill -9.

Run: python tests/bench/store_start.py [DIRECTORY] [MESSAGES] [CONTENT_BYTES]
"""

import asyncio
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine

from posthouse.ipc.message import DEFERRED, Recipient, RecipientResult
from posthouse.queue.store import Store, open_store
from posthouse.queue.values import Filter, NewMessage
from posthouse.util.loop import new_event_loop

TEXT = "connect to mx.example.org[192.0.2.1]:25: Connection timed out"
PIECE = 1000  # messages handed over at once


async def fill(store: Store, messages: int, content: bytes) -> None:
    """Store messages and defer each once."""
    loop = asyncio.get_running_loop()
    now = time.time()
    for start in range(0, messages, PIECE):
        waiting = []
        for number in range(start, start + PIECE):
            future: asyncio.Future[object] = loop.create_future()
            recipient = Recipient(f"user{number}@domain{number % 5000}.example")
            message = NewMessage(
                f"4dK{number:08d}z1", "sender@example.com", now, len(content), os.urandom(250), content, (recipient,)
            )
            key = store.commit(message, future.set_result)
            store.record(key, [RecipientResult(1, DEFERRED, "4.4.1", TEXT, "none")], now + number % 4000)
            store.defer(key, now + number % 4000)
            waiting.append(future)
        await asyncio.gather(*waiting)


async def list_all(store: Store, which: Filter) -> int:
    """Page through everything."""
    listed, after = 0, 0
    while True:
        page = await store.page(which, after)
        listed += len(page.messages)
        after = page.next
        if after == 0:
            return listed


def timed(loop: asyncio.AbstractEventLoop, what: str, work: Coroutine[object, object, object]) -> None:
    """Run and print the time it took."""
    began, cpu = time.perf_counter(), time.process_time()
    result = loop.run_until_complete(work)
    took = time.perf_counter() - began
    print(f"  {what:34} {took * 1e3:9.2f} ms  (CPU {(time.process_time() - cpu) * 1e3:8.2f} ms)  {result}")


async def describe(work: Callable[[], object]) -> object:
    """Make a coroutine of a call."""
    return work()


def measure(directory: str, how: str) -> None:
    """Open the store and ask what qmgr and mailq ask."""
    print(how)
    loop = new_event_loop()
    began = time.perf_counter()
    store = open_store(directory, loop, print)
    print(f"  {'open':34} {(time.perf_counter() - began) * 1e3:9.2f} ms")

    async def first_due() -> str:
        page = await store.due(time.time() + 10)
        return f"{len(page.messages)} messages, {store.counts}"

    async def one_site() -> int:
        return len((await store.due_domain("domain42.example")).messages)

    async def lease() -> int:
        return await store.lease(64)

    timed(loop, "counts and first due page", first_due())
    timed(loop, "again", first_due())
    timed(loop, "one site", one_site())
    timed(loop, "lease", lease())
    timed(loop, "list everything", list_all(store, Filter()))
    timed(loop, "list one domain", list_all(store, Filter(domain="domain42.example")))
    timed(loop, "five largest domains", store.tally("domain", 5))
    loop.run_until_complete(store.close())
    loop.close()
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


def main() -> None:
    """Fill, kill, measure twice."""
    directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
    messages = int(sys.argv[2]) if len(sys.argv) > 2 else 50_000
    content = os.urandom(int(sys.argv[3]) if len(sys.argv) > 3 else 4600)
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    child = os.fork()
    if child == 0:
        loop = new_event_loop()
        store = open_store(directory, loop, print)
        began = time.perf_counter()
        loop.run_until_complete(fill(store, messages, content))
        print(f"filled with {messages} in {time.perf_counter() - began:.1f} s")
        os._exit(0)  # like kill -9: nothing is closed
    os.waitpid(child, 0)
    for how in ("after kill -9", "after a clean end"):
        child = os.fork()
        if child == 0:
            measure(directory, how)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
