"""RewriteService: answers batches of requests. docs of the service as a whole: daemon.py."""

import socket
import time
from functools import partial
from typing import Final

from posthouse.config.parameters import IPC_TIMEOUT, PROXYMAP_SERVICE_NAME
from posthouse.ipc.rewrite import SERVER, Resolve, Resolved, ResolveResult, Rewrite, RewriteResult, ToRewrite
from posthouse.ipc.stream import Channel
from posthouse.rewriting.resolve import Resolver
from posthouse.skeleton.daemon import Context, Service
from posthouse.tables.open import Opener
from posthouse.tables.proxy import ProxyClient
from posthouse.util import eager, log
from posthouse.util.errors import ConfigError, TemporaryError

POLL_S: Final = 1.0  # seconds between two looks at the tables
SLICE_S: Final = 0.01  # seconds of one request's work, then others have a turn: a batch of odd addresses takes long


class RewriteService(Service):
    """See the module's docstring."""

    def __init__(self, context: Context) -> None:
        """Open the tables. Raises ConfigError."""
        self._context = context
        settings, loop = context.settings, context.loop
        proxymap = context.private(settings[PROXYMAP_SERVICE_NAME])
        self._proxy = ProxyClient(loop, proxymap, timeout_s=settings[IPC_TIMEOUT])
        self._opener = Opener(settings, proxy=self._proxy)
        self._resolver = Resolver(settings, self._opener)
        self._now = loop.time
        self._next_poll = self._now() + POLL_S
        # No two processes give the same number, so a client that finds another process forgets what this one said.
        self._first_generation = time.time_ns() >> 10
        self._changes = 0
        self._channels: dict[Channel[ToRewrite], int] = {}  # with the number of requests being answered
        self._retiring = False

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a client."""
        self._channels[Channel(self._context.loop, sock, SERVER, self._on_record, self._on_close)] = 0
        self._context.session_started()

    def retire(self) -> None:
        """Let clients go to another process: a request on its way here is sent again there."""
        self._retiring = True
        for channel, requests in list(self._channels.items()):
            if not requests:
                channel.close()

    def closing(self) -> None:
        """Close the tables."""
        self._opener.close()
        self._proxy.close()

    def _on_close(self, channel: Channel[ToRewrite]) -> None:
        self._channels.pop(channel, None)
        self._context.session_ended()

    def _on_record(self, channel: Channel[ToRewrite], record: ToRewrite) -> None:
        self._channels[channel] += 1
        answer = self._rewrite(record) if isinstance(record, Rewrite) else self._resolve(record)
        eager.start(answer, partial(self._answered, channel))

    async def _rewrite(self, record: Rewrite) -> RewriteResult:
        rewrite, context = self._resolver.rewriter.rewrite, record.context
        return RewriteResult(record.id, self._generation(), [rewrite(address, context) for address in record.addresses])

    async def _resolve(self, record: Resolve) -> ResolveResult:
        generation = self._generation()  # before the lookups: a change in between must not hide behind its number
        resolve, sender, kind = self._resolver.resolve, record.sender, record.kind
        resolved, until = list[Resolved](), self._now() + SLICE_S
        for address in record.addresses:
            resolved.append(await resolve(address, sender, kind))
            if self._now() > until:
                await self._turn()
                until = self._now() + SLICE_S
        return ResolveResult(record.id, generation, resolved)

    async def _turn(self) -> None:
        """Let the event loop serve the others."""
        turn = self._context.loop.create_future()
        self._context.loop.call_soon(turn.set_result, None)
        await turn

    def _answered(
        self, channel: Channel[ToRewrite], outcome: "eager.Outcome[RewriteResult] | eager.Outcome[ResolveResult]"
    ) -> None:
        if channel not in self._channels:
            return
        self._channels[channel] -= 1
        try:
            channel.send(outcome.result())
        except (ConfigError, TemporaryError) as error:  # a request of a kind that does not exist: not one of ours
            log.warning(f"rewrite protocol: {error}; connection closed")
            channel.abort()
            return
        if self._retiring and not self._channels[channel]:
            channel.flush()
            channel.close()

    def _generation(self) -> int:
        """Give the number of this process and its tables' state."""
        now = self._now()
        if now >= self._next_poll:
            self._next_poll = now + POLL_S
            self._changes = self._opener.poll()
        return self._first_generation + self._changes
