"""Scarcity: what smtpd(8) refuses while something is scarce. Made anew when governor(8) says so, not for each command.

Postfix's rule about free space holds with this service's own queue_minfree and message_size_limit; the rest is the
governor's decision, or that of the administrator who drains the system. Who is refused is asked to try again later.
"""

import socket
from typing import Final

from posthouse.config.parameters import MESSAGE_SIZE_LIMIT, MYHOSTNAME, QUEUE_MINFREE
from posthouse.config.settings import Settings
from posthouse.daemons.smtpd.client import Client
from posthouse.governor.conditions import refusal_space
from posthouse.governor.journal import Journal
from posthouse.ipc.governor import State
from posthouse.protocol.smtp.replies import Reply
from posthouse.skeleton.daemon import UNLIMITED, Context
from posthouse.util import log

NO_SPACE: Final = Reply(452, "4.3.1", "Insufficient system storage")
TOO_LARGE_NOW: Final = Reply(452, "4.3.1", "Insufficient system storage for a message of this size, try again later")
DRAINING: Final = Reply(451, "4.3.2", "System is not accepting messages: it is being drained")
DRAINED: Final = "this system is being drained"
LARGE_SHARE: Final = 10  # a message is large when it is more than one part in so many of message_size_limit
LARGE_LEAST: Final = 64 * 1024  # bytes
LARGE_WITHOUT_LIMIT: Final = 1024 * 1024


class Scarcity:
    """See the module's docstring. `at_mail`: MAIL must be looked at; `sessions`: how many there may be at once."""

    def __init__(self, context: Context, settings: Settings) -> None:
        self._resources = context.resources
        self._hostname = settings[MYHOSTNAME]
        self._limit = settings[MESSAGE_SIZE_LIMIT]
        self._refusal_space = refusal_space(self._limit, settings[QUEUE_MINFREE])
        self._half = max(context.client_limit // 2, 1)
        self._journal = Journal(context.loop.time)
        self._full = self._draining = False
        self._room = 0  # bytes; Postfix does not ask whether a message of its SIZE= fits, we do
        self._why = ""
        self.at_mail = False
        self.large: int = 0  # bytes beyond which a message is put off; 0: none is
        self.sessions = UNLIMITED
        self.stress = False
        context.resources.watch(self._review)
        self._review()

    def _review(self) -> None:
        state: State = self._resources.state
        short = state.queue_known and state.queue_free <= self._refusal_space
        if short and not self._full:
            log.warning(f"not enough free space in mail queue: {state.queue_free} bytes <= {self._refusal_space} bytes")
        self._full = short or state.refuse_mail
        self._room = state.queue_free if state.queue_known else 0
        large = max(self._limit // LARGE_SHARE, LARGE_LEAST) if self._limit else LARGE_WITHOUT_LIMIT
        self.large = large if state.small_messages else 0
        tight = state.queue_known and (not self._limit or self._room < self._limit)
        self._draining = state.drain
        self.at_mail = self._full or bool(self.large) or tight or self._draining
        self._why = DRAINED if self._draining else state.refuse_sessions
        self.sessions = 0 if self._why else self._half if state.fewer_sessions else UNLIMITED
        self.stress = self._resources.stress

    def refusal(self, size: int) -> Reply | None:
        """Decide about a message at MAIL. size: as told by SIZE=, or 0."""
        if self._draining:
            return DRAINING
        if self._full:
            return NO_SPACE
        if size and self._resources.state.queue_known and size > self._room:
            return NO_SPACE
        return TOO_LARGE_NOW if 0 < self.large < size else None

    def may_log(self) -> bool:
        """Whether one more refusal goes into the log: ten a second tell enough."""
        return self._journal.admit() >= 0

    def turn_away(self, sock: socket.socket, client: Client) -> None:
        """Refuse a session: say why, and close."""
        why = self._why or "too many sessions for what is left of memory or descriptors"
        reply = Reply(421, "4.3.2", f"{self._hostname} Service currently unavailable: {why}")
        try:
            sock.setblocking(False)
            sock.send(reply.wire)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it is gone already
        sock.close()
        if self.may_log():
            name = f"{client.name}[{client.address}]"
            log.info(f"NOQUEUE: reject: CONNECT from {name}: {reply}; proto=SMTP", event="reject", client=name)
