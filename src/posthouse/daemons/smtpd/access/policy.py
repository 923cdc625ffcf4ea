"""AccessPolicy: which restriction lists are asked at which command, and in which order.

With smtpd_delay_reject the lists for client, HELO and sender are asked when a recipient comes, so that the log has all
of the envelope (facts B04.02). Permission in one list ends that list only (B04.03). Deferrals that restrictions have
asked for are applied when all lists of the command are through. One for the life of a process, shared by its sessions.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from posthouse.config.check_restrictions import CHECK_ADDRESS_MAP
from posthouse.config.lists import ListSyntaxError, parse_items
from posthouse.daemons.smtpd import parameters as p
from posthouse.daemons.smtpd.access import generic
from posthouse.daemons.smtpd.access.check import (
    CLIENT,
    DATA,
    END_OF_DATA,
    HELO,
    PERMIT,
    RECIPIENT,
    SENDER,
    Check,
    Rule,
    Verdict,
)
from posthouse.daemons.smtpd.access.environment import Environment
from posthouse.daemons.smtpd.access.lists import Compiler, RuleList, has_relay_guard
from posthouse.protocol.address import POSTMASTER
from posthouse.protocol.smtp.replies import Reply
from posthouse.tables.maps import Maps
from posthouse.tables.open import open_maps
from posthouse.util import log
from posthouse.util.errors import ConfigError

NO_RELAY_GUARD: Final = (
    "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working instance of: "
    "reject_unauth_destination, defer_unauth_destination, reject, defer or defer_if_permit"
)


class AccessPolicy:
    """Raises ConfigError when nothing keeps strangers from relaying through us (facts B14.15)."""

    def __init__(self, env: Environment) -> None:
        settings = env.settings
        _check_relay_guard(env)
        compiler = Compiler(env)
        self._client = compiler.compile(p.SMTPD_CLIENT_RESTRICTIONS, CLIENT)
        self._helo = compiler.compile(p.SMTPD_HELO_RESTRICTIONS, HELO)
        self._sender = compiler.compile(p.SMTPD_SENDER_RESTRICTIONS, SENDER)
        relay = compiler.compile(p.SMTPD_RELAY_RESTRICTIONS, RECIPIENT)
        recipient = compiler.compile(p.SMTPD_RECIPIENT_RESTRICTIONS, RECIPIENT)
        self._data = compiler.compile(p.SMTPD_DATA_RESTRICTIONS, DATA)
        self._end_of_data = compiler.compile(p.SMTPD_END_OF_DATA_RESTRICTIONS, END_OF_DATA)
        self._delay = settings[p.SMTPD_DELAY_REJECT]
        self._unlisted_sender = compiler.implied(p.SMTPD_REJECT_UNLISTED_SENDER, "reject_unlisted_sender", SENDER)
        self._unlisted_recipient = compiler.implied(
            p.SMTPD_REJECT_UNLISTED_RECIPIENT, "reject_unlisted_recipient", RECIPIENT
        )
        relay_first = settings[p.SMTPD_RELAY_BEFORE_RECIPIENT_RESTRICTIONS]
        pair = [relay, recipient] if relay_first else [recipient, relay]
        delayed = [self._client, self._helo, self._sender, self._unlisted_sender] if self._delay else []
        self._at_rcpt = [one for one in (*delayed, *pair, self._unlisted_recipient) if one]
        self._at_mail = [one for one in (self._sender, self._unlisted_sender) if one and not self._delay]
        if env.not_built:
            names = ", ".join(sorted(env.not_built))
            log.warning(f"restrictions that are not built yet, answered with 451: {names}")

    @property
    def plan(self) -> Mapping[str, Sequence[str]]:
        """Which lists are asked at which command, in order, by parameter name; empty lists are left out."""
        at_once = [] if self._delay else [self._client]
        stages = {
            "CONNECT": at_once,
            "HELO": [self._helo] if self.has_helo else [],
            "MAIL": self._at_mail,
            "RCPT": self._at_rcpt,
            "DATA": [self._data],
            "END-OF-MESSAGE": [self._end_of_data],
        }
        return {stage: [one.name for one in lists if one] for stage, lists in stages.items()}

    @property
    def has_helo(self) -> bool:
        """Whether HELO is decided about when it comes."""
        return bool(self._helo) and not self._delay

    @property
    def has_mail(self) -> bool:
        """Whether MAIL is decided about when it comes."""
        return bool(self._at_mail)

    @property
    def has_data(self) -> bool:
        """Whether there are restrictions for DATA."""
        return bool(self._data)

    async def connect(self, check: Check) -> Reply | None:
        """Decide about a connection."""
        return None if self._delay or not self._client else await self._run(check, "CONNECT", [self._client])

    async def helo(self, check: Check, verb: str) -> Reply | None:
        """Decide about HELO or EHLO."""
        return await self._run(check, verb, [self._helo]) if self.has_helo else None

    async def mail(self, check: Check) -> Reply | None:
        """Decide about a sender."""
        return await self._run(check, "MAIL", self._at_mail) if self._at_mail else None

    async def rcpt(self, check: Check, stage: str = "RCPT") -> Reply | None:
        """Decide about a recipient, or about the address of VRFY."""
        if check.recipient is not None and check.recipient.lower() == POSTMASTER:
            return None  # always reachable, RFC 5321 4.5.1
        return await self._run(check, stage, self._at_rcpt)

    async def data(self, check: Check, stage: str = "DATA") -> Reply | None:
        """Decide about DATA, or about the first BDAT of a message."""
        return await self._run(check, stage, [self._data]) if self._data else None

    async def end_of_data(self, check: Check) -> Reply | None:
        """Decide about the message when its content is there."""
        return await self._run(check, "END-OF-MESSAGE", [self._end_of_data]) if self._end_of_data else None

    async def _run(self, check: Check, stage: str, lists: Sequence[RuleList]) -> Reply | None:
        check.begin(stage)
        for rules in lists:
            verdict: Verdict = await rules.evaluate(check)
            if isinstance(verdict, Reply):
                return verdict
        if check.defer_if_permit is not None:
            reply = check.defer_if_permit.reply
            check.log("reject", str(reply))
            return reply
        return None


def _check_relay_guard(env: Environment) -> None:
    settings = env.settings
    names = {name.lower(): name for name in settings[p.SMTPD_RESTRICTION_CLASSES]}

    def items_of_class(word: str) -> Sequence[str] | None:
        name = names.get(word.lower())
        if name is None:
            return None
        try:
            return parse_items(settings.text(name))
        except ListSyntaxError:
            return None

    lists = (p.SMTPD_RELAY_RESTRICTIONS, p.SMTPD_RECIPIENT_RESTRICTIONS)
    if not any(has_relay_guard(settings[parameter], items_of_class) for parameter in lists):
        raise ConfigError(NO_RELAY_GUARD)


class HeaderRewriting:
    """local_header_rewrite_clients: whose headers are completed like those of this host's own mail.

    Words, and tables in which the client's address is looked up as a whole; what they answer does not matter.
    """

    WORDS = ("permit_inet_interfaces", "permit_mynetworks", "permit_sasl_authenticated", "permit_tls_clientcerts",
             "permit_tls_all_clientcerts")  # fmt: skip

    def __init__(self, env: Environment) -> None:
        """Open the tables. Raises ConfigError."""
        self._rules: list[Rule | Maps] = []
        for word in env.settings[p.LOCAL_HEADER_REWRITE_CLIENTS]:
            name = word.lower()
            if name in self.WORDS:
                self._rules.append(generic.SIMPLE[name](env))
            elif ":" in word:
                self._rules.append(open_maps([word], env.opener))
            elif name != CHECK_ADDRESS_MAP:  # the table follows
                log.warning(f"local_header_rewrite_clients: {word} is no word of this list")
        self.has_tables = any(isinstance(rule, Maps) for rule in self._rules)

    async def is_local(self, check: Check) -> bool:
        """Whether the headers of this client's mail are to be completed. Raises TemporaryError."""
        for rule in self._rules:
            if isinstance(rule, Maps):
                if await rule.find(check.client.address) is not None:
                    return True
            elif await rule(check) is PERMIT:
                return True
        return False
