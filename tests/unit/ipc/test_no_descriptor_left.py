"""A process without a free descriptor: whoever would connect to a daemon waits, or is put off; nothing ends by it."""

import asyncio
import socket
from pathlib import Path

import pytest

from posthouse.daemons.cleanup.queue_client import QueueClient
from posthouse.ipc import queue as queue_protocol
from posthouse.ipc.cleanup import CleanupClient
from posthouse.ipc.record import Hello, Request
from posthouse.ipc.stream import Client, Protocol, encode_frame
from posthouse.skeleton.resources import OwnMemory, Resources, Subscription
from posthouse.util.connection import set_bug_handler
from posthouse.util.errors import TemporaryError
from tests.support.descriptors import no_descriptor_left


class Ask(Request, frozen=True, tag=1):
    """A question."""


PROTOCOL: Protocol[Ask] = Protocol("test", 1, Ask)


def test_a_request_made_without_a_free_descriptor_is_answered_later(tmp_path: Path) -> None:
    """It is sent when a connection can be made."""
    path = str(tmp_path / "socket")

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        client: Client[Ask] = Client(loop, path, PROTOCOL, timeout_s=10)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            with no_descriptor_left():
                future = client.request(Ask(client.next_id()))
                await asyncio.sleep(0.1)  # tries again meanwhile
            listener.setblocking(False)
            server, _ = await loop.sock_accept(listener)
            with server:
                await loop.sock_sendall(server, encode_frame(Hello("test", 1)) + encode_frame(Ask(1)))
                assert (await future).id == 1
        client.close()

    asyncio.run(ask())


def test_mail_is_put_off_without_a_free_descriptor(tmp_path: Path) -> None:
    """A queue ID, and a spool file, cannot be had now: that is a temporary error like others."""

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        cleanup = CleanupClient(loop, str(tmp_path / "cleanup"))
        queue = QueueClient(loop, str(tmp_path / "qmgr"), timeout_s=10)
        with no_descriptor_left():
            with pytest.raises(TemporaryError):
                await cleanup.new_queue_id()
            with pytest.raises(TemporaryError):
                await queue.open_spool()
        cleanup.close()
        queue.close()

    asyncio.run(ask())


def test_a_descriptor_that_finds_no_room_puts_its_mail_off_and_is_no_bug(tmp_path: Path) -> None:
    """qmgr lends a file for large content, and the kernel drops it on the way: the connection ends, the process not."""
    bugs: list[BaseException] = []

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as listener, (tmp_path / "file").open("wb") as file:
            listener.bind(str(tmp_path / "qmgr"))
            listener.listen()
            queue = QueueClient(loop, str(tmp_path / "qmgr"), timeout_s=10)
            asking = loop.create_task(queue.open_spool())
            await asyncio.sleep(0.05)
            server, _ = listener.accept()
            hello = encode_frame(Hello(queue_protocol.NAME, queue_protocol.VERSION))
            with server, no_descriptor_left():
                socket.send_fds(server, [hello + encode_frame(queue_protocol.SpoolOpened(1, 1))], [file.fileno()])
                with pytest.raises(TemporaryError):
                    await asking
            queue.close()

    set_bug_handler(bugs.append)
    try:
        asyncio.run(ask())
    finally:
        set_bug_handler(lambda _error: None)
    assert bugs == []


def test_a_lost_governor_is_looked_for_again_without_a_free_descriptor(tmp_path: Path) -> None:
    """The process goes on, with its last word."""
    bugs: list[object] = []

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: bugs.append(context))
        subscription = Subscription(loop, str(tmp_path / "governor"), "smtpd", Resources(), OwnMemory())
        with no_descriptor_left():
            loop.call_soon(subscription.start)
            await asyncio.sleep(0.05)
        subscription.close()

    asyncio.run(watch())
    assert bugs == []
