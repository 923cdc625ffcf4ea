"""Operators' changes while the disk is full: tried again, since they may be what makes room."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from posthouse.daemons.qmgr import admin
from posthouse.daemons.qmgr.admin import Admin, Live
from posthouse.ipc.showq import DELETE, Flush, Steer, Steered
from posthouse.queue.store import Store
from posthouse.queue.values import Change, Changed, ChangedPage, StoreFullError


class FullStore:
    """Has no room for so many attempts; then one message."""

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts
        self.changes: list[str] = []

    async def change_page(self, change: str, *_: object) -> ChangedPage:
        """Change the one message."""
        if self.attempts:
            self.attempts -= 1
            raise StoreFullError("no space left for the queue")
        self.changes.append(change)
        return ChangedPage([Changed(1, "4Nnnnn0nnnznn", "deferred")], 0)

    async def change(self, change: str, *_: object) -> list[Changed]:
        """Do the same."""
        return (await self.change_page(change)).messages


class Nobody:
    """No message is active."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        """Do nothing."""
        return lambda *_arguments, **_named: None


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "FULL_WAIT_S", 0.0)


def ask(store: FullStore, record: Steer | Flush) -> object:
    """Ask for a change."""
    return asyncio.run(Admin(cast("Store", store), cast("Live", Nobody())).answer(record))[0]


@pytest.mark.parametrize(
    ("record", "change"),
    [
        (Flush(1), Change.FLUSH),
        (Flush(1, "", "4Nnnnn0nnnznn"), Change.FLUSH),
        (Steer(1, DELETE, "ALL"), Change.DELETE),
        (Steer(1, DELETE, "4Nnnnn0nnnznn"), Change.DELETE),
    ],
)
def test_a_full_store_is_asked_again(record: Steer | Flush, change: str) -> None:
    """The change is made once there is room."""
    store = FullStore(admin.FULL_TRIES)
    assert ask(store, record) == Steered(1, 1)
    assert store.changes == [change]


def test_a_store_that_stays_full_is_told() -> None:
    """The operator gets the reason."""
    with pytest.raises(StoreFullError, match="no space left"):
        ask(FullStore(admin.FULL_TRIES + 1), Flush(1))
