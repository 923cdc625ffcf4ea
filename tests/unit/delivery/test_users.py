"""Users: one child for a user with little to do, a second while the first is busy, never a third; many users."""

import asyncio
import os
import threading
from types import SimpleNamespace
from typing import cast

import pytest

from posthouse.delivery import users
from posthouse.delivery.users import Identity, ReadFile, Users
from posthouse.ipc.runas_wire import JobKind
from posthouse.skeleton.daemon import Context

ME = Identity(os.geteuid(), os.getegid())


def _users() -> Users:
    context = SimpleNamespace(loop=asyncio.get_running_loop(), runas=None)
    return Users(cast("Context", context))


def test_an_idle_child_is_used_again_and_a_busy_one_gets_one_companion() -> None:
    """Two lanes for one user, chosen by what they have to do."""

    async def scenario() -> None:
        children = _users()
        first = children.child(JobKind.MAILBOX, ME)
        assert children.child(JobKind.MAILBOX, ME) is first
        answer = first.ask(ReadFile(first.next_id(), "/nonexistent/file", 10))
        second = children.child(JobKind.MAILBOX, ME)
        assert second is not first
        other = second.ask(ReadFile(second.next_id(), "/nonexistent/file", 10))
        assert children.child(JobKind.MAILBOX, ME) in (first, second)
        await asyncio.gather(answer, other)
        for child in (first, second):
            child.close()
        await asyncio.sleep(0)

    asyncio.run(scenario())
    for thread in threading.enumerate():
        if thread.name.startswith("user-"):
            thread.join(5)


def test_an_idle_child_goes_before_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the one that has been idle longest is let go."""
    monkeypatch.setattr(users, "MAX_CHILDREN", 2)

    async def scenario() -> None:
        children = _users()
        made = [children.child(kind, ME) for kind in (JobKind.MAILBOX, JobKind.COMMAND, JobKind.PIPE)]
        again = children.child(JobKind.MAILBOX, ME)
        assert again is not made[0]
        for child in (*made, again):
            child.close()

    asyncio.run(scenario())
