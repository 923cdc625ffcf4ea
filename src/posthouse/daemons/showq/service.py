"""ShowqService: requests of postqueue(1), checked and passed on to qmgr(8)."""

import asyncio
import os
import pwd
import socket
from dataclasses import dataclass
from functools import partial
from typing import Final

from posthouse.config.parameters import AUTHORIZED_FLUSH_USERS, AUTHORIZED_MAILQ_USERS
from posthouse.ipc.record import replace
from posthouse.ipc.showq import (
    CLIENT,
    SERVER,
    Count,
    Fetch,
    Flush,
    FromShowq,
    ListPage,
    Steer,
    Steered,
    ToShowq,
    problem_of,
)
from posthouse.ipc.stream import Channel, Client, peer_credentials, refuse_descriptors
from posthouse.ipc.user_limit import UserLimit
from posthouse.skeleton.daemon import Context, Service
from posthouse.tables.matchlist import MatchList, open_string_list
from posthouse.util import eager, log
from posthouse.util.errors import TemporaryError

TIMEOUT_S: Final = 120.0
IDLE_S: Final = 300.0  # how long a client may say nothing: a page is printed before the next is asked for
MAX_CONNECTIONS: Final = 100  # of one user
SHARE: Final = 4  # of what this process takes in all, one user gets one part in so many
MAX_WAITING: Final = 8  # requests of one client; our commands ask one at a time
ROOT_ONLY: Final = "only root may do this; use postsuper(1) or postcat(1) as root"


@dataclass(slots=True)
class _Client:
    uid: int
    waiting: int = 0  # requests without an answer


class ShowqService(Service):
    """See the module's docstring."""

    def __init__(self, context: Context, may_list: MatchList, may_flush: MatchList) -> None:
        self._context = context
        self._may_list, self._may_flush = may_list, may_flush
        self._qmgr: Client[FromShowq] = Client(context.loop, context.public("qmgr"), CLIENT, timeout_s=TIMEOUT_S)
        self._clients: dict[Channel[ToShowq], _Client] = {}
        self._limit = UserLimit(max(1, min(MAX_CONNECTIONS, context.client_limit // SHARE)))
        refuse_descriptors(context.listeners)

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a client."""
        uid = peer_credentials(sock).uid
        if not self._limit.admit(uid):
            sock.close()
            return
        channel = Channel(self._context.loop, sock, SERVER, self._on_record, self._on_close)
        channel.set_deadline(IDLE_S)
        self._clients[channel] = _Client(uid)
        self._context.session_started()

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return not self._qmgr.idle

    def _on_close(self, channel: Channel[ToShowq]) -> None:
        self._limit.leave(self._clients.pop(channel).uid)
        self._context.session_ended()

    def _on_record(self, channel: Channel[ToShowq], record: ToShowq) -> None:
        client = self._clients[channel]
        channel.set_deadline(IDLE_S)
        if client.waiting >= MAX_WAITING or channel.congested:
            log.warning(f"uid {client.uid} asks for more than it takes; connection closed")
            channel.abort()
            return
        client.waiting += 1
        if isinstance(record, (Steer, Fetch)):
            self._reply(channel, Steered(record.id, 0, ROOT_ONLY))
        elif problem := problem_of(record):
            self._reply(channel, Steered(record.id, 0, problem))
        else:
            eager.start(self._allowed(client.uid, record), partial(self._checked, channel, record))

    def _reply(self, channel: Channel[ToShowq], reply: FromShowq) -> None:
        """Answer a request, if somebody still wants to know."""
        if (client := self._clients.get(channel)) is not None:
            client.waiting -= 1
            channel.send(reply)

    async def _allowed(self, uid: int, record: ListPage | Count | Flush) -> bool:
        if uid in (0, os.geteuid()):
            return True
        try:
            login = pwd.getpwuid(uid).pw_name
        except KeyError:
            login = str(uid)
        users = self._may_flush if isinstance(record, Flush) else self._may_list
        allowed = await users.matches(login)
        if not allowed:
            log.warning(
                f"user {login} (uid {uid}) may not {'flush' if isinstance(record, Flush) else 'view'} the queue"
            )
        return allowed

    def _checked(
        self, channel: Channel[ToShowq], record: ListPage | Count | Flush, outcome: eager.Outcome[bool]
    ) -> None:
        try:
            allowed = outcome.result()
        except TemporaryError as error:
            self._reply(channel, Steered(record.id, 0, str(error)))
            return
        if not allowed:
            what = "flush the mail queue" if isinstance(record, Flush) else "view the mail queue"
            self._reply(channel, Steered(record.id, 0, f"you are not allowed to {what}"))
            return
        request = replace(record, id=self._qmgr.next_id())
        self._qmgr.request(request).add_done_callback(partial(self._pass_on, channel, record.id))

    def _pass_on(self, channel: Channel[ToShowq], number: int, future: "asyncio.Future[FromShowq]") -> None:
        error = future.exception()
        if error is None:
            self._reply(channel, replace(future.result(), id=number))
        else:
            self._reply(channel, Steered(number, 0, str(error)))


def start(context: Context) -> ShowqService:
    """Open the two lists of users."""
    may_list = open_string_list(AUTHORIZED_MAILQ_USERS, context.settings)
    may_flush = open_string_list(AUTHORIZED_FLUSH_USERS, context.settings)
    return ShowqService(context, may_list, may_flush)
