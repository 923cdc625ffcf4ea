"""Messages in the active queue: what the queue manager holds in memory while it tries to deliver.

A message is here from its commit (or from the moment its next attempt is due) until this round of attempts is over
for all its recipients. Large content and content beyond the memory budget is not here but read from the store.
"""

from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, Envelope, RecipientResult


class ActiveMessage:
    """One message in this round."""

    __slots__ = (
        "active",
        "content",
        "delay_warned",
        "envelope",
        "expansion_told",
        "forced_expire",
        "key",
        "pending",
        "recipients",
        "results",
        "withdrawn",
    )

    def __init__(
        self, key: int, envelope: Envelope, recipients: list[DeliverTo], content: bytes | None, active: float
    ) -> None:
        self.key = key  # the store's name for it
        self.envelope = envelope
        self.recipients = {rcpt.rcpt_id: rcpt for rcpt in recipients}
        self.content = content  # None: in the store
        self.active = active  # seconds since the epoch
        self.pending = set(self.recipients)  # recipients without a result in this round
        self.results: dict[int, RecipientResult] = {}
        self.delay_warned = False  # the sender was told that it is late
        self.expansion_told = False  # the sender was told which aliases were expanded
        self.forced_expire = False  # postsuper -e
        self.withdrawn = False  # an operator took it away (hold, delete): no more deliveries of it

    @property
    def tells_expansion(self) -> bool:
        """Whether the sender is still to be told of aliases that were expanded (RFC 3461 5.2.7.3)."""
        return bool(self.envelope.expanded) and not self.expansion_told

    @property
    def queue_id(self) -> str:
        """The message's queue ID."""
        return self.envelope.queue_id

    def take(self, result: RecipientResult) -> bool:
        """Note a result. False: this recipient has one already, or is none of this message."""
        if result.rcpt_id not in self.pending:
            return False
        self.pending.discard(result.rcpt_id)
        self.results[result.rcpt_id] = result
        return True

    def to_do(self) -> list[DeliverTo]:
        """Recipients without a result in this round, in their order."""
        return [rcpt for rcpt_id, rcpt in self.recipients.items() if rcpt_id in self.pending]

    @property
    def over(self) -> bool:
        """Whether every recipient has a result."""
        return not self.pending

    def with_outcome(self, outcome: int) -> list[RecipientResult]:
        """Give the results that are SENT, DEFERRED or BOUNCED."""
        return [result for result in self.results.values() if result.outcome == outcome]

    @property
    def all_sent(self) -> bool:
        """Whether nothing is left to do but to remove it."""
        return all(result.outcome == SENT for result in self.results.values())

    def expire(self, text: str) -> None:
        """Turn every deferred recipient into a bounced one, because the message is too old."""
        for rcpt_id, result in self.results.items():
            if result.outcome == DEFERRED:
                self.results[rcpt_id] = RecipientResult(
                    rcpt_id,
                    BOUNCED,
                    "4.4.7" if not result.dsn else result.dsn,
                    result.text or text,
                    result.relay,
                    result.remote_mta,
                    result.diagnostic,
                )
