"""ShowqService: requests of postqueue(1), checked and passed on to qmgr(8)."""

import asyncio
import os
import pwd
import socket
from functools import partial
from typing import Final

from posthouse.ipc.showq import CLIENT, SERVER, Count, Fetch, Flush, FromShowq, ListPage, Steer, Steered, ToShowq
from posthouse.ipc.stream import Channel, Client, peer_credentials, replace
from posthouse.skeleton.daemon import Context, Service
from posthouse.tables.matchlist import MatchList
from posthouse.util import eager, log
from posthouse.util.errors import TemporaryError

TIMEOUT_S: Final = 120.0
ROOT_ONLY: Final = "only root may do this; use postsuper(1) or postcat(1) as root"


class ShowqService(Service):
    """See the module's docstring."""

    def __init__(self, context: Context, may_list: MatchList, may_flush: MatchList) -> None:
        self._context = context
        self._may_list, self._may_flush = may_list, may_flush
        self._qmgr: Client[FromShowq] = Client(context.loop, context.public("qmgr"), CLIENT, timeout_s=TIMEOUT_S)
        self._uids: dict[Channel[ToShowq], int] = {}

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a client."""
        uid = peer_credentials(sock).uid
        channel = Channel(self._context.loop, sock, SERVER, self._on_record, self._on_close)
        self._uids[channel] = uid
        self._context.session_started()

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return not self._qmgr.idle

    def _on_close(self, channel: Channel[ToShowq]) -> None:
        self._uids.pop(channel, None)
        self._context.session_ended()

    def _on_record(self, channel: Channel[ToShowq], record: ToShowq) -> None:
        if isinstance(record, (Steer, Fetch)):
            channel.send(Steered(record.id, 0, ROOT_ONLY))
            return
        eager.start(self._allowed(self._uids[channel], record), partial(self._checked, channel, record))

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
            channel.send(Steered(record.id, 0, str(error)))
            return
        if not allowed:
            what = "flush the mail queue" if isinstance(record, Flush) else "view the mail queue"
            channel.send(Steered(record.id, 0, f"you are not allowed to {what}"))
            return
        request = replace(record, id=self._qmgr.next_id())
        self._qmgr.request(request).add_done_callback(partial(_pass_on, channel, record.id))


def _pass_on(channel: Channel[ToShowq], number: int, future: "asyncio.Future[FromShowq]") -> None:
    error = future.exception()
    if error is None:
        channel.send(replace(future.result(), id=number))
    else:
        channel.send(Steered(number, 0, str(error)))
