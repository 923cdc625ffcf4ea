"""Check: what one decision knows of the session, and how a refusal is worded, softened and logged.

One Check lives as long as the session; the connection keeps it up to date. Restrictions (the other modules) look at it
and answer None (no opinion), PERMIT, or the Reply that refuses. Sources: SMTPD_ACCESS_README, access(5), facts B04.*.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from posthouse.daemons.smtpd.client import Client
from posthouse.protocol.address import unquote_address
from posthouse.protocol.smtp.replies import Reply
from posthouse.util import log

CLIENT, REVERSE_CLIENT, HELO = "Client host", "Unverified Client host", "Helo command"
SENDER, RECIPIENT = "Sender address", "Recipient address"
DATA, END_OF_DATA, ETRN = "Data command", "End-of-data", "Etrn command"


class Permit:
    """A restriction's answer: accept, as far as this list is concerned."""


PERMIT: Final = Permit()
Verdict = Reply | Permit | None
Rule = Callable[["Check"], Awaitable[Verdict]]

CONFIGURATION_ERROR: Final = Reply(451, "4.3.5", "Server configuration error")


@dataclass(slots=True)
class Deferral:
    """defer_if_permit or defer_if_reject: the reply that takes the place of the one in the name."""

    reply: Reply


@dataclass(slots=True)
class Check:
    """See the module's docstring. Addresses are in external form."""

    client: Client
    soft_bounce: bool = False
    stage: str = "CONNECT"  # as in the log: CONNECT HELO EHLO MAIL RCPT DATA BDAT END-OF-MESSAGE VRFY
    protocol: str = "SMTP"
    helo: str | None = None
    sender: str | None = None  # "" is the null sender; None: no transaction
    recipient: str | None = None
    recipient_count: int = 0
    size: int = 0
    queue_id: str = ""
    pipelined: bool = False  # the client has sent ahead of this command
    reply_name: str = ""  # what the list being evaluated is about …
    reply_class: str = CLIENT  # … and what that is
    depth: int = 0  # of restriction classes and access tables that name restrictions
    warn: bool = False  # warn_if_reject stands before the restriction
    defer_if_permit: Deferral | None = None
    defer_if_reject: Deferral | None = None
    actions: list[tuple[str, str]] = field(default_factory=list)  # HOLD, PREPEND ...: for the transaction

    def begin(self, stage: str) -> None:
        """Start the evaluation of a command."""
        self.stage = stage
        self.depth = 0
        self.warn = False
        self.defer_if_permit = self.defer_if_reject = None

    def about(self, kind: str) -> None:
        """Say what the list that comes now is about. defer_if_reject is for the rest of one list only."""
        self.defer_if_reject = None
        self.reply_class = kind
        if kind == CLIENT:
            self.reply_name = self.client.log_name
        elif kind == HELO:
            self.reply_name = self.helo or ""
        elif kind == SENDER:
            self.reply_name = shown(self.sender or "")
        elif kind == RECIPIENT:
            self.reply_name = shown(self.recipient or "")
        else:
            self.reply_name = "DATA" if self.stage == "BDAT" else self.stage  # replies and policy know DATA only

    def refuse(self, code: int, status: str, text: str) -> Verdict:
        """Refuse with this reply, unless warn_if_reject or defer_if_reject say otherwise. Logs."""
        if self.warn:
            self.log("reject_warning", str(self._reply(code, status, text)))
            return None
        if self.defer_if_reject is not None and code >= 500:
            reply, self.defer_if_reject = self.defer_if_reject.reply, None
        else:
            reply = self._reply(code, status, text)
        self.log("reject", str(reply))
        return reply

    def refuse_item(self, code: int, status: str, name: str, kind: str, text: str) -> Verdict:
        """Refuse in the usual form "<name>: kind rejected: text"."""
        return self.refuse(code, status, f"<{name}>: {kind} rejected: {text}")

    def configuration_error(self) -> Verdict:
        """Refuse because of a mistake of ours; never accepts (facts B04.23)."""
        return self.refuse(451, "4.3.5", "Server configuration error")

    def lookup_failure(self, name: str) -> Verdict:
        """Refuse because a table or a service does not answer."""
        return self.refuse(451, "4.3.0", f"<{name}>: Temporary lookup failure")

    def defer_unless_rejected(self, code: int, status: str, text: str) -> Verdict:
        """Make the end "permit" of this command a deferral (the first one counts)."""
        if self.warn:
            self.log("reject_warning", str(self._reply(code, status, text)))
        elif self.defer_if_permit is None:
            self.defer_if_permit = Deferral(self._reply(code, status, text))
        return None

    def defer_unless_permitted(self, code: int, status: str, text: str) -> Verdict:
        """Make a later refusal of this command a deferral (the first one counts)."""
        if self.warn:
            self.log("reject_warning", str(self._reply(code, status, text)))
        elif self.defer_if_reject is None:
            self.defer_if_reject = Deferral(self._reply(code, status, text))
        return None

    @property
    def discards(self) -> bool:
        """Whether a table has said DISCARD."""
        return bool(self.actions) and any(action == "DISCARD" for action, _ in self.actions)

    def log(self, what: str, text: str) -> None:
        """Write "QUEUEID: what: STAGE from client: text; from=<> to=<> ..."."""
        parts = [f"{self.queue_id or 'NOQUEUE'}: {what}: {self.stage} from {self.client.log_name}: {text};"]
        if self.sender is not None:
            parts.append(f"from=<{self.sender}>")
        if self.recipient is not None:
            parts.append(f"to=<{self.recipient}>")
        parts.append(f"proto={self.protocol}")
        if self.helo is not None:
            parts.append(f"helo=<{self.helo}>")
        log.info(
            " ".join(parts),
            event=what,
            queue_id=self.queue_id or "NOQUEUE",
            stage=self.stage,
            client=self.client.log_name,
            reason=text,
        )

    def _reply(self, code: int, status: str, text: str) -> Reply:
        if self.soft_bounce and code >= 500:
            code -= 100
        return Reply(code, str(code // 100) + status[1:], text)


def shown(address: str) -> str:
    """Write an address as replies show it: without quotes."""
    return unquote_address(address) if '"' in address else address
