"""Job: one delivery request on its way to one server after the other, and what becomes of each recipient.

Decides what a reply means for a recipient: sent, bounced, deferred, or kept for the next server. Soft errors are
kept while there is another server to try. Sources: RFC 3463; facts B10.05 to B10.07, B10.20; postconf(5).
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from posthouse.daemons.smtp.content_rules import ContentRules
from posthouse.daemons.smtp.destination import Destination
from posthouse.daemons.smtp.mail import OutgoingMail
from posthouse.daemons.smtp.options import Options
from posthouse.daemons.smtp.route import Endpoint, NoRoute
from posthouse.delivery.agent import Delivery
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import (
    BOUNCED,
    DEFERRED,
    SENT,
    RecipientResult,
)
from posthouse.protocol.smtp.client import COMMAND_OF, RecipientDone, Stage
from posthouse.protocol.smtp.client_replies import ServerReply
from posthouse.protocol.smtp.envelope import Envelope
from posthouse.protocol.smtp.features import Features
from posthouse.util import log

if TYPE_CHECKING:
    from posthouse.daemons.smtp.session import Session, Trouble


class Failure(NamedTuple):
    """What a recipient gets. dead: nobody can be reached there now, so other mail should wait, too."""

    outcome: int
    dsn: str
    text: str
    endpoint: Endpoint | None = None
    diagnostic: str = ""
    dead: bool = False


class Job:
    """See the module's docstring."""

    __slots__ = (
        "_failure",
        "_lost",
        "_options",
        "_results",
        "_sending",
        "_tried",
        "_used",
        "_why",
        "delivery",
        "destinations",
        "endpoint",
        "endpoints",
        "fresh_only",
        "is_fallback",
        "left",
        "mail",
        "nexthop",
        "sessions",
    )

    def __init__(
        self,
        delivery: Delivery,
        options: Options,
        rules: ContentRules,
        destinations: list[tuple[Destination, bool]],
    ) -> None:
        """destinations: where to go, in order; True with those of smtp_fallback_relay."""
        self.delivery = delivery
        self.mail = OutgoingMail(delivery, rules, options.line_length_limit)
        self.nexthop = delivery.request.nexthop
        self.destinations: Iterator[tuple[Destination, bool]] = iter(destinations)
        self.endpoints: list[Endpoint] = []  # of the present destination, not tried yet
        self.endpoint: Endpoint | None = None  # the one being tried
        self.is_fallback = False  # the present destination is a fallback relay
        self.fresh_only = False  # a kept session was stale: use no other one
        self.sessions = 0
        self.left = delivery.request.recipients  # without result
        self._options = options
        self._tried = 0
        self._sending: list[DeliverTo] = []  # of the transaction in progress, by index
        self._lost: list[DeliverTo] = []  # no reply came for these
        self._results: list[RecipientResult] = []
        self._failure = Failure(DEFERRED, "4.3.0", "no server could be tried")
        self._used: set[tuple[str, str, int]] = set()  # addresses that had their turn by way of a kept session
        self._why = ""

    # Where to go.

    def go_to(self, endpoints: list[Endpoint]) -> None:
        """Take the addresses of a destination, in order."""
        self.endpoints = [each for each in endpoints if each.key not in self._used] if self._used else endpoints

    def start_with(self, endpoint: Endpoint) -> None:
        """Take a kept session's address as tried."""
        self.endpoint = endpoint
        self._used.add(endpoint.key)
        self._tried += 1

    def next_endpoint(self) -> Endpoint | None:
        """Take the next address; None: this destination has none left, or the limits are reached."""
        choice = self._options.choice
        if self._limits_reached or not self.endpoints:
            self.endpoints = []
            return None
        self._tried += 1
        self.endpoint = self.endpoints.pop(0)
        if choice.address_limit and self._tried >= choice.address_limit:
            self.endpoints = []
        return self.endpoint

    @property
    def _limits_reached(self) -> bool:
        limit = self._options.choice.session_limit
        return bool(limit) and self.sessions >= limit

    @property
    def is_last(self) -> bool:
        """Whether no server comes after this one."""
        if self._limits_reached:
            return True
        return not self.endpoints and not self._more

    @property
    def _more(self) -> bool:
        """Whether the nexthop is a list with more to it (an iterator cannot be asked without taking)."""
        taken = next(self.destinations, None)
        if taken is None:
            return False
        rest = [taken, *self.destinations]
        self.destinations = iter(rest)
        return True

    # What is sent.

    def connected(self, session: "Session") -> None:
        """Note that a session is ready for this delivery."""
        self.sessions += 1
        self.delivery.connected = time.time()

    def envelope(self, features: Features) -> Envelope | None:
        """Make the envelope for a server; None: nobody may have the message from it (results are there)."""
        mail = self.mail
        self._sending, self.left, self._lost = self.left, [], []
        size = mail.size()
        if 0 < features.size_limit < size:
            text = f"message size {size} exceeds size limit {features.size_limit} of server {self._label}"
            self._refused_by_us("5.3.4", text)
            return None
        if mail.needs_smtputf8 and not features.smtputf8:
            self._refused_by_us("5.6.7", f"SMTPUTF8 is required, but was not offered by host {self._label}")
            return None
        return mail.envelope(self._sending, size)

    # What came of it.

    def recipient_done(self, event: RecipientDone, session: "Session") -> None:
        """Take the fate of one recipient of the transaction."""
        rcpt = self._sending[event.index]
        reply = event.reply
        if reply is None:
            self._lost.append(rcpt)
            return
        if event.sent:
            action = "delivered" if self._options.assume_final else "relayed"
            if session.protocol.features.dsn:
                action = ""  # the next server reports
            self._add(rcpt, Failure(SENT, reply.status or "2.0.0", str(reply), self.endpoint), action)
            return
        # RFC 5321 4.5.3.1.10: 552 to a further recipient means too many of them. Postfix takes it for final always.
        soft = (reply.code == 552 and event.index > 0 and event.stage is Stage.RCPT) or reply.code < 500
        soft, status = _status_of(reply, soft=soft or (reply.code == 530 and self._options.soft_530))
        command = COMMAND_OF.get(event.stage, event.stage.value)
        text = f"host {self._label} said: {reply} (in reply to {command})"
        failure = Failure(DEFERRED if soft else BOUNCED, status, text, self.endpoint, f"smtp; {reply}")
        self._fail(rcpt, failure, own=event.stage is Stage.RCPT or self._options.lmtp)

    def transaction_lost(self, trouble: "Trouble | None") -> None:
        """Take the end of the transaction: `trouble` for those who have got no reply."""
        lost, self._lost = self._lost, []
        self._sending = []
        if not lost:
            return
        failure = Failure(BOUNCED, "5.1.3", "address with control characters", self.endpoint)
        if trouble is not None:
            failure = Failure(_outcome(trouble.dsn), trouble.dsn, trouble.text, self.endpoint, dead=not trouble.ours)
        keep = self._add if trouble is not None and trouble.ours else self._fail
        for rcpt in lost:
            keep(rcpt, failure)

    def refuse(self, dsn: str, text: str) -> None:
        """Give everybody a failure that is no server's fault."""
        self._failure = Failure(_outcome(dsn), dsn, text)
        self.give_up()

    def take_back(self) -> None:
        """Forget a transaction that the server never heard of."""
        self.left = self._sending
        self._sending, self._lost = [], []

    def server_failed(self, trouble: "Trouble") -> None:
        """Take it that a server is not there, or does not want us: soft unless it is final."""
        endpoint = None if trouble.connect else self.endpoint
        self._failure = Failure(
            _outcome(trouble.dsn), trouble.dsn, trouble.text, endpoint, trouble.diagnostic, dead=True
        )
        if trouble.dsn[0] == "5":
            self.give_up()
        elif not self.is_last:
            log.info(f"{self.delivery.request.envelope.queue_id}: {trouble.text}")

    def no_route(self, error: NoRoute) -> None:
        """Take it that a destination leads nowhere."""
        self._failure = Failure(error.outcome, error.dsn, error.text, dead=error.outcome == DEFERRED)

    def give_up(self) -> None:
        """Give everybody who is left the last failure."""
        left, self.left = self.left, []
        for rcpt in left:
            self._add(rcpt, self._failure)

    def finish(self) -> None:
        """Report."""
        assert len(self._results) == len(self.delivery.request.recipients), "a recipient without result, or with two"
        self.delivery.finish(self._results, dead=bool(self._why), why=self._why)

    @property
    def _label(self) -> str:
        return self.endpoint.label if self.endpoint is not None else "none"

    def _refused_by_us(self, dsn: str, text: str) -> None:
        """Bounce what this server cannot take, unless another one may."""
        sending, self._sending = self._sending, []
        self._failure = Failure(BOUNCED, dsn, text, self.endpoint)
        if self.is_last:
            for rcpt in sending:
                self._add(rcpt, self._failure)
        else:
            self.left = sending

    def _fail(self, rcpt: DeliverTo, failure: Failure, *, own: bool = False) -> None:
        """Give a recipient a failure, which may be its own; or keep it for the next server."""
        if failure.outcome == DEFERRED and not self.is_last:
            if own or failure.text != self._failure.text:
                log.info(f"{self.delivery.request.envelope.queue_id}: {failure.text}")
            self.left = [*self.left, rcpt]
            self._failure = failure
        else:
            self._add(rcpt, failure)

    def _add(self, rcpt: DeliverTo, failure: Failure, action: str = "") -> None:
        outcome, dsn, text, endpoint, diagnostic, dead = failure
        if dead and outcome == DEFERRED:
            self._why = text
        relay = "none" if endpoint is None else endpoint.relay
        remote = endpoint.name if endpoint is not None and (diagnostic or outcome == SENT) else ""
        self._results.append(
            RecipientResult(rcpt.rcpt_id, outcome, dsn, text, relay, remote, diagnostic, action, time.time())
        )


def _outcome(dsn: str) -> int:
    return BOUNCED if dsn[0] == "5" else DEFERRED


def _status_of(reply: ServerReply, *, soft: bool) -> tuple[bool, str]:
    """Give a reply that is no success the status that goes with its softness.

    A code that does not belong there (354 to MAIL, 250 to DATA) is the server's confusion: try again later.
    """
    if reply.code < 400:
        return True, "4.5.0"
    return soft, ("4" if soft else "5") + (reply.status[1:] or ".0.0")
