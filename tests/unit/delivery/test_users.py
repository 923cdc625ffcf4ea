"""Users: one child for a user, another when it is stuck or runs a command, a limited number; many users."""

import asyncio
import os
import threading
from types import SimpleNamespace
from typing import cast

import pytest

from posthouse.delivery import users
from posthouse.delivery.users import Identity, ReadFile, RunCommand, Users
from posthouse.ipc.runas_wire import JobKind
from posthouse.skeleton.daemon import Context

ME = Identity(os.geteuid(), os.getegid())


def _users() -> Users:
    context = SimpleNamespace(loop=asyncio.get_running_loop(), runas=None)
    return Users(cast("Context", context))


def test_jobs_gather_in_one_child_until_it_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mailbox that is locked for long does not hold up the user's other mail; the number of children is limited."""
    monkeypatch.setattr(users, "LANES", 2)

    async def scenario() -> None:
        children = _users()
        first = children.child(JobKind.MAILBOX, ME)
        answer = first.ask(ReadFile(first.next_id(), "/nonexistent/file", 10))
        assert children.child(JobKind.MAILBOX, ME) is first
        monkeypatch.setattr(users, "PATIENCE_S", -1.0)
        second = children.child(JobKind.MAILBOX, ME)
        assert second is not first
        other = second.ask(ReadFile(second.next_id(), "/nonexistent/file", 10))
        assert children.child(JobKind.MAILBOX, ME) in (first, second)
        await asyncio.gather(answer, other)
        for child in (first, second):
            child.close()
        await asyncio.sleep(0)

    asyncio.run(scenario())
    _join()


def test_a_command_does_not_wait_for_another() -> None:
    """They may take long by nature."""

    async def scenario() -> None:
        children = _users()
        first = children.child(JobKind.COMMAND, ME)
        job = RunCommand(first.next_id(), "true", "/", {"PATH": "/usr/bin:/bin"}, b"", b"", False, 10.0)
        answer = first.ask(job)
        second = children.child(JobKind.COMMAND, ME)
        assert second is not first
        await answer
        assert children.child(JobKind.COMMAND, ME) is first
        for child in (first, second):
            child.close()
        await asyncio.sleep(0)

    asyncio.run(scenario())
    _join()


def _join() -> None:
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
