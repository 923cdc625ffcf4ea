"""A receiving system inside of a test: smtpd, cleanup, trivial-rewrite, and a queue that keeps messages in a list.

Use the fixture by importing it in a conftest.py.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from posthouse.daemons.cleanup.daemon import DAEMON as CLEANUP
from posthouse.daemons.smtpd.daemon import DAEMON as SMTPD
from posthouse.daemons.trivial_rewrite.daemon import DAEMON as REWRITE
from tests.support.fake_queue import FakeQueue
from tests.support.inprocess import Client, System


@dataclass
class Receiver:
    """The system, its queue and smtpd's port."""

    system: System
    queue: FakeQueue
    port: int


MakeReceiver = Callable[..., Receiver]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[MakeReceiver]:
    """Give a function that starts a receiving system with some settings."""
    systems: list[System] = []

    def make(main: Mapping[str, str] | None = None) -> Receiver:
        system = System(tmp_path, main)
        systems.append(system)
        queue = system.start(FakeQueue, "public/qmgr")
        assert isinstance(queue, FakeQueue)
        system.start(REWRITE, "private/rewrite")
        system.start(CLEANUP, "public/cleanup")
        return Receiver(system, queue, system.start_tcp(SMTPD))

    yield make
    for system in systems:
        system.close()


def talk(receiver: Receiver, *lines: str, source: str = "127.0.0.1") -> list[str]:
    """Hold one dialog; the last line of each reply, the greeting first."""

    async def dialog() -> list[str]:
        client = await Client.connect(receiver.port, source)
        said = [await client.reply(), *await client.dialog(*lines)]
        client.close()
        return said

    return receiver.system.run(dialog())
