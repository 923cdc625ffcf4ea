"""Users: a delivery agent's children that act as recipients, one for each user with work, kept for a while.

As root's system they come from runas(8); without root there is one user only, and a thread does the same work. Jobs
are answered by futures; a child that dies gives TemporaryError to whoever waits.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from posthouse.delivery import as_user
from posthouse.ipc.as_user import AGENT, Finished, ReadFile, RunCommand, ToChild, WriteMailbox, WriteMaildir
from posthouse.ipc.orders_wire import MAX_GROUPS
from posthouse.ipc.runas_wire import ANSWER, JOB, Job, JobKind, Verdict
from posthouse.ipc.stream import Channel
from posthouse.skeleton.daemon import Context
from posthouse.util.errors import TemporaryError

KEEP_S: Final = 5.0  # an idle child is let go after this
MAX_IDLE_CHILDREN: Final = 20
MAX_CHILDREN: Final = 60  # beyond it an idle one goes before another starts; runas has a limit of its own
LANES: Final = 4  # children of one user, at most
PATIENCE_S: Final = 0.05  # a child that has not answered for this long waits for a lock or a command: start another


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose rights: numbers of the user and of all his groups."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class RefusedIdentityError(Exception):
    """runas does not become this user, ever; str() says who."""


class Child:
    """The connection to one child."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, gone: Callable[["Child"], None]) -> None:
        self._loop = loop
        self._gone = gone
        self._waiting: dict[int, asyncio.Future[Finished]] = {}
        self._number = 0
        self.moved = loop.time()  # when it last answered, or was asked after a pause
        self._channel: Channel[Finished] = Channel(loop, sock, AGENT, self._on_record, self._on_close)

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._waiting)

    @property
    def stuck(self) -> bool:
        """Whether it has owed answers for a while. Until then jobs gather, since it does many for little more."""
        return bool(self._waiting) and self._loop.time() - self.moved > PATIENCE_S

    @property
    def load(self) -> int:
        """How many answers are awaited."""
        return len(self._waiting)

    def next_id(self) -> int:
        """Number for the next job."""
        self._number += 1
        return self._number

    def ask(self, job: ToChild, descriptor: int = -1) -> "asyncio.Future[Finished]":
        """Send a job; descriptor: large content, which stays the caller's."""
        future: asyncio.Future[Finished] = self._loop.create_future()
        if not self._waiting:
            self.moved = self._loop.time()
        self._waiting[job.id] = future
        if descriptor >= 0:
            self._channel.send_with_descriptor(job, descriptor)
        else:
            self._channel.send(job)
        return future

    def close(self) -> None:
        """Let the child go."""
        self._channel.close()

    def fail(self, why: str) -> None:
        """End it: nobody will serve it."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(TemporaryError(why))
        self._waiting.clear()
        self._channel.abort()

    def _on_record(self, _channel: Channel[Finished], record: Finished) -> None:
        future = self._waiting.pop(record.id, None)
        self.moved = self._loop.time()
        if future is not None and not future.done():
            future.set_result(record)

    def _on_close(self, _channel: Channel[Finished]) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(TemporaryError("the process that acts as the recipient went away"))
        self._waiting.clear()
        self._gone(self)


_Key = tuple[JobKind, Identity, int]


class Users:
    """All children of this agent."""

    def __init__(self, context: Context) -> None:
        self._loop = context.loop
        self._runas = context.runas
        self._children: dict[_Key, Child] = {}
        self._asked: dict[int, Child] = {}
        self._number = 0
        if self._runas is not None:
            self._runas.setblocking(False)
            self._loop.add_reader(self._runas.fileno(), self._on_answer)
        self._loop.call_later(KEEP_S, self._let_go)

    @property
    def can_change_user(self) -> bool:
        """Whether there is a runas to ask; otherwise everything is done as this process's user."""
        return self._runas is not None

    def child(self, kind: JobKind, identity: Identity) -> Child:
        """Find or make the child of a user. Raises TemporaryError, RefusedIdentityError."""
        key = (kind, identity, 0)
        for lane in range(LANES):
            found = self._children.get((kind, identity, lane))
            if found is None:
                key = (kind, identity, lane)
                break
            if not (found.stuck if kind is JobKind.MAILBOX else found.busy):
                return found
        else:
            return min((self._children[kind, identity, lane] for lane in range(LANES)), key=lambda each: each.load)
        if len(self._children) >= MAX_CHILDREN:
            self._close_longest_idle()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        child = Child(self._loop, ours, partial(self._forget, key))
        self._children[key] = child
        if self._runas is None:
            self._in_thread(theirs, identity, kind)
            return child
        self._number = self._number % 2**31 + 1
        self._asked[self._number] = child
        record = JOB.pack(Job(kind, self._number, identity.uid, identity.gid, identity.groups[:MAX_GROUPS]))
        try:
            socket.send_fds(self._runas, [record], [theirs.fileno()])
        except OSError as error:
            child.fail(f"runas: {error}")
            raise TemporaryError(f"runas service: {error}") from error
        finally:
            theirs.close()
        return child

    def _in_thread(self, sock: socket.socket, identity: Identity, kind: JobKind) -> None:
        if identity.uid != os.geteuid():
            sock.close()
            raise RefusedIdentityError(f"not running as root: cannot act as uid {identity.uid}")
        name = f"user-{identity.uid}"
        threading.Thread(target=as_user.serve, args=(sock.detach(), int(kind)), name=name, daemon=True).start()

    def _on_answer(self) -> None:
        assert self._runas is not None, "an answer without runas"
        try:
            record = self._runas.recv(ANSWER.size + 1)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            record = b""
        if not record:
            self._loop.remove_reader(self._runas.fileno())
            return
        answer = ANSWER.unpack(record)
        child = self._asked.pop(answer.number, None)
        if child is not None and answer.verdict is not Verdict.STARTED:
            refused = answer.verdict is Verdict.REFUSED
            child.fail("runas refuses to act as this user" if refused else "too many deliveries as users now")

    def _forget(self, key: _Key, child: Child) -> None:
        if self._children.get(key) is child:
            del self._children[key]

    def _close_longest_idle(self) -> None:
        idle = [each for each in self._children.values() if not each.busy]
        if idle:
            min(idle, key=lambda each: each.moved).close()

    def _let_go(self) -> None:
        """Close children that have been idle; the longest idle first when there are many."""
        now = self._loop.time()
        idle = sorted((each for each in self._children.values() if not each.busy), key=lambda each: each.moved)
        for number, each in enumerate(idle):
            if now - each.moved > KEEP_S or len(idle) - number > MAX_IDLE_CHILDREN:
                each.close()
        self._loop.call_later(KEEP_S, self._let_go)


__all__ = ["Identity", "ReadFile", "RefusedIdentityError", "RunCommand", "Users", "WriteMailbox", "WriteMaildir"]
