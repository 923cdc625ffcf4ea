"""No more files can be made where the queue is: refused in time, delivered all the same."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from tests.conftest import Start
from tests.support.recording_sink import RecordingSink
from tests.support.scarcity import flush_until, level, offer, send, status, wait
from tests.support.small_disk import tmpfs

pytestmark = pytest.mark.root
FILES: Final = 20  # of which the file system's root, the store and its spool take six or more
NO_SPACE: Final = "452 4.3.1 Insufficient system storage"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be undone at the end, after the servers have stopped."""
    with ExitStack() as undone:
        yield undone


def test_a_store_with_twenty_files(stack: ExitStack, posthouse: Start) -> None:
    """452 when four are left; a large message that is queued, with a file of its own, is delivered from there."""
    is_open = False

    def answer(verb: str, address: str) -> str:
        return "" if is_open or verb != "RCPT" else f"450 4.2.0 {address} later"

    sink = stack.enter_context(RecordingSink(answer))
    main = {"relayhost": f"[127.0.0.1]:{sink.port}", "mydestination": "", "message_size_limit": "1000000"}
    server = posthouse(started=False, main=main | {"resource_notice_recipient": ""})
    store = server.queue_directory / "posthouse"
    store.mkdir()
    disk = stack.enter_context(tmpfs(store, 32 << 20, FILES))
    stack.callback(server.stop)
    server.start_and_greet()
    wait("the reserve is there", lambda: status(server)["numbers"].get("reserve_files_held", 0) > 0)
    print(f"{disk.files_free} of {FILES} files free")
    for number in range(2):
        assert send(server, f"user{number}@far.test", 90_000).startswith("250")
    disk.make_files(leave=4)
    wait("452 at the threshold", lambda: offer(server) == NO_SPACE)
    assert level(server, "queue_inodes") == "critical"
    disk.make_files(leave=0)
    wait("the reserve is given up", lambda: status(server)["numbers"]["reserve_files_held"] == 0)
    assert disk.files_free > 0
    is_open = True
    flush_until(server, "deliveries finished", lambda: len(sink.received) == 2)
    disk.empty()
    wait("intake is back", lambda: offer(server).startswith("250"))
    assert send(server, "late@far.test", 90_000).startswith("250")
    wait("that is delivered", lambda: len(sink.received) == 3)
