"""mailq, postqueue -j, postcat, qshape: messages with more recipients than one record holds."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from posthouse.commands import postcat, postqueue
from posthouse.commands.offline_queue import OfflineQueue
from posthouse.commands.queue_client import QueueClient
from posthouse.daemons.qmgr.admin import Admin, Idle
from posthouse.ipc.message import SENT, Envelope, Recipient, RecipientResult, encode_envelope
from posthouse.ipc.showq import FromShowq, ToShowq
from posthouse.queue.store import open_store
from posthouse.queue.values import NewMessage

COUNT = 3000  # the last page is a full one
DONE = (1, 1000, 1001, 2500)


class Stopped:
    """The queue of a system that is down, in the test's own store."""

    def __init__(self, directory: Path) -> None:
        self.loop = asyncio.new_event_loop()
        (directory / "posthouse").mkdir()
        self.store = open_store(str(directory), self.loop, lambda _text: None)
        self._admin = Admin(self.store, Idle())

    async def ask(self, request: ToShowq) -> tuple[FromShowq, int]:
        """Answer."""
        return await self._admin.answer(request)

    async def close(self) -> None:
        """Stay open."""

    def put(self, queue_id: str, count: int, content: bytes = b"Subject: x\n\nbody\n") -> int:
        """Store a message."""
        stored = self.loop.create_future()
        to = [Recipient(f"r{number}@there.test") for number in range(1, count + 1)]
        envelope = encode_envelope(Envelope(queue_id, "s@x", 1.0))
        key = self.store.commit(NewMessage(queue_id, "s@x", 1.0, 1, envelope, content, to), stored.set_result)
        self.loop.run_until_complete(stored)
        return key


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stopped]:
    """Make one with a small message, a large one whose recipients are done in part, and a small one."""
    stopped = Stopped(tmp_path)

    def init(self: QueueClient, _config_directory: str, *, steering: bool = False) -> None:
        self._client, self._offline = None, cast("OfflineQueue", stopped)
        self._number = self._descriptor = -steering

    monkeypatch.setattr(QueueClient, "__init__", init)
    stopped.put("3Before", 1)
    key = stopped.put("3Many", COUNT)
    stopped.put("3Behind", 2)
    durable = stopped.loop.create_future()
    results = [RecipientResult(number, SENT, "2.0.0", "Ok", "mx") for number in DONE]
    stopped.store.record(key, results, 0.0, durable.set_result)
    stopped.loop.run_until_complete(durable)
    yield stopped
    stopped.loop.run_until_complete(stopped.store.close())
    stopped.loop.close()


WAITING = [f"r{number}@there.test" for number in range(1, COUNT + 1) if number not in DONE]


def test_a_listing_has_all_recipients(queue: Stopped) -> None:
    """In their order, those apart that are done; other messages are not confused with them."""

    async def read(queue_id: str = "") -> dict[str, list[str]]:
        client = QueueClient("")
        found = [message async for message in client.listing(queue_id=queue_id)]
        return {message.queue_id: [rcpt.address for rcpt in message.recipients] for message in found}

    found = queue.loop.run_until_complete(read())
    assert list(found) == ["3Before", "3Many", "3Behind"]
    assert found["3Many"] == WAITING
    assert (len(found["3Before"]), len(found["3Behind"])) == (1, 2)
    assert queue.loop.run_until_complete(read("3Many")) == {"3Many": WAITING}


@pytest.mark.parametrize("as_json", [False, True])
def test_mailq_shows_all(queue: Stopped, tmp_path: Path, as_json: bool) -> None:
    """And postqueue -j."""
    with (tmp_path / "out").open("wb") as out:
        queue.loop.run_until_complete(postqueue.show("", as_json=as_json, out=out))
    assert (tmp_path / "out").read_text().count("@there.test") == len(WAITING) + 3


@pytest.mark.parametrize("parts", [frozenset({"-e"}), postcat.PARTS])
def test_postcat_shows_all(queue: Stopped, capfdbinary: pytest.CaptureFixture[bytes], parts: frozenset[str]) -> None:
    """Those that are done, too."""
    assert queue.loop.run_until_complete(postcat.show("", ["3Many"], parts, as_json=False)) == 0
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert [line.removeprefix("recipient: ") for line in lines if line.startswith("recipient: ")] == WAITING
    assert [line for line in lines if line.startswith("done_")] == [f"done_recipient: r{n}@there.test" for n in DONE]
    assert ("body" in lines) is ("-b" in parts)


def test_postcat_of_large_content(queue: Stopped, capsys: pytest.CaptureFixture[str]) -> None:
    """Which comes with a descriptor, once."""
    queue.put("3Large", 1001, b"Subject: x\n\n" + b"body\n" * 13000)
    assert queue.loop.run_until_complete(postcat.show("", ["3Large"], postcat.PARTS, as_json=True)) == 0
    out = capsys.readouterr().out
    assert (out.count("@there.test"), out.count("body")) == (1001, 13000)
