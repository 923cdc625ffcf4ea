"""LocalAgent: what becomes of one recipient. Aliases first, then the account's .forward, then its mailbox.

The order and the rules are local(8)'s (facts B11.*). Everything that touches a user's files is done by a child that
is that user; what comes back from it (a .forward) is taken as untrusted text.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from posthouse.config.parameters import (
    COMMAND_TIME_LIMIT,
    DEFAULT_PRIVS,
    ENABLE_ORIGINAL_RECIPIENT,
    MAIL_SPOOL_DIRECTORY,
    MAILBOX_SIZE_LIMIT,
    MYDESTINATION,
    MYHOSTNAME,
    OWNER_REQUEST_SPECIAL,
    RECIPIENT_DELIMITER,
)
from posthouse.config.parameters_lock import lock_patience
from posthouse.config.settings import Settings
from posthouse.daemons.local import parameters
from posthouse.daemons.local.accounts import Account, find_account
from posthouse.daemons.local.forward import Forwarder
from posthouse.daemons.local.targets import Kind, Target, parse_targets
from posthouse.delivery.agent import Delivery
from posthouse.delivery.exits import result_of_command
from posthouse.delivery.mailbox import MailboxRules, deliver_to_mailbox, from_line, trace_headers
from posthouse.delivery.users import Identity, RefusedIdentityError, Users
from posthouse.ipc.as_user import NOT_FOUND, OK, TRY_LATER, ReadFile, RunCommand
from posthouse.ipc.cleanup import CleanupClient
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, Envelope, RecipientResult
from posthouse.ipc.runas_wire import JobKind
from posthouse.protocol.address import quote_local_part, split_address, split_extension, unquote_address
from posthouse.tables.maps import Maps
from posthouse.util import eager, log
from posthouse.util.errors import TemporaryError

FORWARD_SIZE: Final = 64 * 1024  # bytes of a .forward file
INCLUDE_SIZE: Final = 1024 * 1024  # bytes of an :include: file
MAX_INCLUDES: Final = 20  # files that include each other
MAX_FILES: Final = 200  # :include: files of one recipient in all: ten that name ten each, and so on, would never end
MAX_USER_FILES: Final = 20  # the same for a .forward: reading a list takes time that is everybody's
MAX_USER_ADDRESSES: Final = 10_000  # that a user's own files may forward to; lists of any length are for aliases
RELAY: Final = "local"
REQUIRED: Final = frozenset({"mailer-daemon", "postmaster"})  # what comes here for them, and nobody reads, is no news
ROOT_ADVICE: Final = "; no delivery has root's rights: let an alias for root name a person"
SAFE: Final = frozenset("1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, slots=True)
class Tables:
    """What is looked up."""

    aliases: Maps
    passwd: Maps


@dataclass(frozen=True, slots=True)
class Person:
    """The local part of a recipient, taken apart. delimiter is the one that was used."""

    local_part: str
    user: str
    extension: str
    delimiter: str
    domain: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where destinations stand: whom errors go to, and with whose rights files and commands are used."""

    sender: str
    owner: Account | None = None  # None: an alias
    depth: int = 0  # in how many :include: files
    files: Iterator[int] = field(default_factory=lambda: iter(range(MAX_FILES)))  # that may still be read


class LocalAgent:
    """Delivers; see the module's docstring."""

    def __init__(self, settings: Settings, tables: Tables, users: Users, cleanup: CleanupClient, own_uid: int) -> None:
        self._settings = settings
        self._tables = tables
        self._users = users
        self._forwarder = Forwarder(cleanup, settings)
        self._own_uid = own_uid
        self._delimiters = settings[RECIPIENT_DELIMITER]
        self._owner_special = settings[OWNER_REQUEST_SPECIAL]
        self._home_mailbox = settings[parameters.HOME_MAILBOX]
        self._spool = settings[MAIL_SPOOL_DIRECTORY]
        self._forward_path = settings[parameters.FORWARD_PATH]
        self._time_limit_s = settings[COMMAND_TIME_LIMIT]
        self._default_user = settings[DEFAULT_PRIVS]
        self._luser_relay = settings[parameters.LUSER_RELAY]
        self._environment = exported(settings[parameters.EXPORT_ENVIRONMENT], settings.config_directory)
        self._mailbox_command = settings[parameters.MAILBOX_COMMAND]
        self._own_domains = tuple(
            item.lower() for item in settings[MYDESTINATION] if item[0] not in "/!" and ":" not in item
        )
        self._rules = MailboxRules(
            relay=RELAY,
            host=settings[MYHOSTNAME],
            size_limit=settings[MAILBOX_SIZE_LIMIT],
            locks=list(settings[parameters.MAILBOX_DELIVERY_LOCK]),
            patience=lock_patience(settings),
            says_original=settings[ENABLE_ORIGINAL_RECIPIENT],
            strict_owner=settings[parameters.STRICT_MAILBOX_OWNERSHIP],
        )

    def deliver(self, delivery: Delivery) -> None:
        """Start a delivery; it finishes when every recipient has a result."""
        results: list[RecipientResult] = []
        todo = delivery.request.recipients

        def done(rcpt: DeliverTo, outcome: eager.Outcome[RecipientResult]) -> None:
            try:
                results.append(outcome.result())
            except TemporaryError as error:
                results.append(RecipientResult(rcpt.rcpt_id, DEFERRED, "4.3.0", str(error), RELAY))
            if len(results) == len(todo):
                delivery.finish(results)

        for rcpt in todo:
            eager.start(self._recipient(delivery, rcpt), partial(done, rcpt))

    async def _recipient(self, delivery: Delivery, rcpt: DeliverTo) -> RecipientResult:
        person = self._person(rcpt.address)
        if is_loop(delivery, rcpt.address):
            text = f"mail forwarding loop for {rcpt.address}"
            return RecipientResult(rcpt.rcpt_id, BOUNCED, "5.4.6", text, RELAY)
        for name in dict.fromkeys((person.local_part, person.user)):
            value = await self._find_alias(name)
            if value is not None:
                return await self._alias(delivery, rcpt, name, parse_targets(value))
        return await self._account(delivery, rcpt, person)

    async def _find_alias(self, name: str) -> str | None:
        """Look up an alias in quoted form, as Postfix 3.12 stores it, and then without quotes, as all others do."""
        quoted = quote_local_part(name)
        value = await self._tables.aliases.find(quoted)
        return value if value is not None or quoted == name else await self._tables.aliases.find(name)

    async def _alias(self, delivery: Delivery, rcpt: DeliverTo, name: str, targets: list[Target]) -> RecipientResult:
        """Deliver to what an alias names; itself means the user of that name (facts B11.01)."""
        person = self._person(rcpt.address)
        source = Source(await self._alias_sender(delivery, name, person.domain))
        others, is_own = self._without_own(targets, name, person.domain)
        results = [await self._account(delivery, rcpt, person)] if is_own else []
        if others or not is_own:
            results.append(await self._targets(delivery, rcpt, others, source))
        return combine(rcpt, results)

    async def _account(self, delivery: Delivery, rcpt: DeliverTo, person: Person) -> RecipientResult:
        account = await find_account(self._tables.passwd, person.user)
        if account is None:
            return await self._unknown(delivery, rcpt, person)
        return await self._user(delivery, rcpt, person, account)

    def _without_own(self, targets: list[Target], name: str, domain: str) -> tuple[list[Target], bool]:
        """Take out addresses that lead back to where we are; whether there were any."""
        own = {name, *(f"{name}@{each}" for each in (domain.lower(), *self._own_domains))}
        others = [each for each in targets if each.kind is not Kind.ADDRESS or each.value.lower() not in own]
        return others, len(others) < len(targets)

    def _person(self, address: str) -> Person:
        local_part, domain = split_address(unquote_address(address))
        local_part = local_part.lower()
        user, extension, delimiter = split_extension(
            local_part, self._delimiters, owner_request_special=self._owner_special
        )
        return Person(local_part, user, extension or "", delimiter or "", domain or "")

    async def _alias_sender(self, delivery: Delivery, name: str, domain: str) -> str:
        """Errors about a list go to its owner, if owner-NAME is an alias (aliases(5))."""
        sender = delivery.request.envelope.sender
        if not sender or name.startswith("owner-") or await self._find_alias(f"owner-{name}") is None:
            return sender
        return f"owner-{name}@{domain}" if domain else f"owner-{name}"

    # Accounts.

    async def _user(self, delivery: Delivery, rcpt: DeliverTo, person: Person, account: Account) -> RecipientResult:
        identity = await self._rights(account)
        targets = await self._read_forward(person, account, identity)
        others, is_own = self._without_own(targets, account.name, person.domain)
        results = []
        if is_own or not others:  # an empty file, and one's own name, mean the mailbox (facts B11.05, B11.06)
            results.append(await self._mailbox(delivery, rcpt, person, account))
        if others:
            source = Source(delivery.request.envelope.sender, account, files=iter(range(MAX_USER_FILES)))
            results.append(await self._targets(delivery, rcpt, others, source))
        return combine(rcpt, results)

    async def _mailbox(self, delivery: Delivery, rcpt: DeliverTo, person: Person, account: Account) -> RecipientResult:
        identity = await self._rights(account)
        if self._mailbox_command:
            return await self._command(delivery, rcpt, self._mailbox_command, identity, account)
        if self._home_mailbox:
            path = f"{account.home.rstrip('/')}/{self._home_mailbox}"
        else:
            slash = "/" if self._spool.endswith("/") else ""
            path = f"{self._spool.rstrip('/')}/{account.name}{slash}"
        return await deliver_to_mailbox(self._users, delivery, rcpt, path, identity, self._rules)

    async def _rights(self, account: Account) -> Identity:
        """The user's; root's mail is handled with default_privs. Without a runas everything is done as ourselves."""
        if not self._users.can_change_user:
            return Identity(self._own_uid, account.identity.gid)
        if account.identity.uid != 0:
            return account.identity
        fallback = await find_account(self._tables.passwd, self._default_user)
        if fallback is None:
            raise TemporaryError(f"default_privs = {self._default_user}: no such account")
        return fallback.identity

    async def _read_forward(self, person: Person, account: Account, identity: Identity) -> list[Target]:
        """Read the first .forward that is there; an empty one, or one that may not be used, means none (B11.05)."""
        for path in self._forward_files(person, account):
            child = self._users.child(JobKind.MAILBOX, identity)
            finished = await child.ask(ReadFile(child.next_id(), path, FORWARD_SIZE))
            if finished.ending == OK:
                return parse_targets(finished.data.decode("utf-8", "surrogateescape"))
            if finished.ending == TRY_LATER:
                # A home directory that is not there now, a broken disk; or root's, which is closed to others.
                raise TemporaryError(finished.text + (ROOT_ADVICE if account.identity.uid == 0 else ""))
            if finished.ending != NOT_FOUND:
                log.warning(f"{account.name}: {finished.text}; the file is ignored")
        return []

    def _forward_files(self, person: Person, account: Account) -> list[str]:
        values = {
            "home": account.home,
            "user": account.name,
            "extension": person.extension,
            "recipient_delimiter": person.delimiter,
            "shell": account.shell,
            "local": person.local_part,
            "domain": person.domain,
        }
        safe = {name: "".join(c if c in SAFE else "_" for c in value) for name, value in values.items()}
        files = []
        for word in self._forward_path.replace(",", " ").split():
            path = self._settings.overlaid(safe).expand(word)
            if path.startswith("/") and path not in files:
                files.append(path)
        return files

    # Destinations.

    async def _targets(
        self, delivery: Delivery, rcpt: DeliverTo, targets: list[Target], source: Source
    ) -> RecipientResult:
        """Deliver to all; what has to be tried again decides, then what failed, then success."""
        addresses = [target.value for target in targets if target.kind is Kind.ADDRESS]
        special = [target for target in targets if target.kind is not Kind.ADDRESS]
        results = [await self._special(delivery, rcpt, target, source) for target in special]
        if addresses:
            unique = list(dict.fromkeys(addresses))
            if source.owner is not None and len(unique) > MAX_USER_ADDRESSES:
                text = f"{source.owner.name} forwards to more than {MAX_USER_ADDRESSES} addresses"
                return combine(rcpt, [*results, RecipientResult(rcpt.rcpt_id, BOUNCED, "5.5.3", text, RELAY)])
            results.append(await self._forwarder.forward(delivery, rcpt, source.sender, unique))
        return combine(rcpt, results)

    async def _special(self, delivery: Delivery, rcpt: DeliverTo, target: Target, source: Source) -> RecipientResult:
        """A file, a command, an include or one's own mailbox; with the rights of the owner, or default_privs."""
        if target.kind is Kind.MAILBOX:
            account = await find_account(self._tables.passwd, target.value.lower())
            if account is None:
                return _unknown_user(rcpt, target.value)
            return await self._mailbox(delivery, rcpt, self._person(target.value), account)
        if source.depth and target.kind is not Kind.INCLUDE:  # allow_mail_to_commands, allow_mail_to_files
            kind = "command" if target.kind is Kind.COMMAND else "file"
            return RecipientResult(rcpt.rcpt_id, BOUNCED, "5.7.1", f"mail to {kind} is restricted", RELAY)
        identity = await self._rights(source.owner or await self._default_account())
        if target.kind is Kind.COMMAND:
            return await self._command(delivery, rcpt, target.value, identity, source.owner)
        if target.kind is Kind.FILE:
            return await self._file(delivery, rcpt, target.value, identity)
        return await self._include(delivery, rcpt, target.value, identity, source)

    async def _default_account(self) -> Account:
        account = await find_account(self._tables.passwd, self._default_user)
        if account is None:
            raise TemporaryError(f"default_privs = {self._default_user}: no such account")
        return account

    async def _file(self, delivery: Delivery, rcpt: DeliverTo, path: str, identity: Identity) -> RecipientResult:
        """Append to a file or a Maildir that an alias or a .forward names; it may belong to anybody.

        What is no file, or has no directory, is a mistake that the sender is told of, as in Postfix.
        """
        rules = replace(self._rules, strict_owner=False, bounces_missing=not path.endswith("/"))
        result = await deliver_to_mailbox(self._users, delivery, rcpt, path, identity, rules)
        if result.outcome != SENT or path.endswith("/"):
            return result
        return RecipientResult(
            rcpt.rcpt_id, SENT, result.dsn, f"delivered to file: {path}", RELAY, action=result.action
        )

    async def _include(
        self, delivery: Delivery, rcpt: DeliverTo, path: str, identity: Identity, source: Source
    ) -> RecipientResult:
        """Deliver to the destinations in a file; errors go where the alias says."""
        if source.depth >= MAX_INCLUDES:
            return RecipientResult(
                rcpt.rcpt_id, BOUNCED, "5.4.6", f"{path}: :include: files are nested too deeply", RELAY
            )
        if not path.startswith("/"):
            return RecipientResult(rcpt.rcpt_id, BOUNCED, "5.3.5", f":include:{path}: not an absolute path", RELAY)
        if next(source.files, None) is None:
            return RecipientResult(rcpt.rcpt_id, BOUNCED, "5.4.6", f"{path}: too many :include: files", RELAY)
        child = self._users.child(JobKind.MAILBOX, identity)
        limit = INCLUDE_SIZE if source.owner is None else FORWARD_SIZE
        finished = await child.ask(ReadFile(child.next_id(), path, limit))
        if finished.ending != OK:
            return RecipientResult(rcpt.rcpt_id, DEFERRED, "4.2.4", finished.text, RELAY)
        listed = parse_targets(finished.data.decode("utf-8", "surrogateescape"))
        return await self._targets(delivery, rcpt, listed, replace(source, depth=source.depth + 1))

    async def _command(
        self, delivery: Delivery, rcpt: DeliverTo, command: str, identity: Identity, owner: Account | None
    ) -> RecipientResult:
        """Run a command with the message on its standard input."""
        try:
            child = self._users.child(JobKind.COMMAND, identity)
        except RefusedIdentityError as error:
            return RecipientResult(rcpt.rcpt_id, DEFERRED, "4.2.0", str(error), RELAY)
        envelope = delivery.request.envelope
        head = trace_headers(envelope.sender, rcpt, rcpt.address, says_original=self._rules.says_original)
        job = RunCommand(
            child.next_id(),
            command,
            "/",
            self._environment | command_environment(envelope, rcpt, self._person(rcpt.address), owner),
            from_line(envelope.sender) + head,
            b"" if delivery.descriptor >= 0 else delivery.content(),
            delivery.descriptor >= 0,
            self._time_limit_s,
        )
        finished = await child.ask(job, delivery.descriptor)
        if finished.ending != OK:
            return RecipientResult(rcpt.rcpt_id, DEFERRED, "4.3.0", finished.text, RELAY)
        return result_of_command(rcpt, command, finished.status, finished.data, RELAY)

    async def _unknown(self, delivery: Delivery, rcpt: DeliverTo, person: Person) -> RecipientResult:
        if self._luser_relay:
            values = {"user": person.user, "local": person.local_part, "extension": person.extension}
            values |= {"domain": person.domain, "recipient": rcpt.address, "recipient_delimiter": person.delimiter}
            values = {name: value.replace("$", "_") for name, value in values.items()}
            address = self._settings.overlaid(values).expand(self._luser_relay)
            sender = delivery.request.envelope.sender
            return await self._forwarder.forward(delivery, rcpt, sender, [address])
        if person.user in REQUIRED:
            log.warning(f"required alias not found: {person.user}")
            return RecipientResult(rcpt.rcpt_id, SENT, "2.0.0", "discarded", RELAY, action="delivered")
        return _unknown_user(rcpt, person.user)


def combine(rcpt: DeliverTo, results: list[RecipientResult]) -> RecipientResult:
    """Make one result of several: what has to be tried again decides, then what failed, then success."""
    if not results:
        return RecipientResult(rcpt.rcpt_id, BOUNCED, "5.3.5", "alias or forward file has no destination", RELAY)
    return max(results, key=lambda result: (result.outcome == DEFERRED, result.outcome == BOUNCED))


def command_environment(envelope: Envelope, rcpt: DeliverTo, person: Person, owner: Account | None) -> dict[str, str]:
    """Tell a command what it may want to know, with everything that is unsafe in a shell replaced (local(8)).

    owner: the user whose .forward or mailbox it is, who has a home and a shell; None: an alias.
    """
    values = {
        "SENDER": envelope.sender,
        "RECIPIENT": rcpt.address,
        "ORIGINAL_RECIPIENT": rcpt.original or rcpt.address,
        "LOCAL": person.local_part,
        "DOMAIN": person.domain,
        "USER": owner.name if owner else person.user,
        "LOGNAME": owner.name if owner else person.user,
        "EXTENSION": person.extension,
        "HOME": owner.home if owner else "",
        "SHELL": owner.shell if owner else "",
        "CLIENT_ADDRESS": envelope.client.address,
        "CLIENT_HELO": envelope.client.helo,
        "CLIENT_HOSTNAME": envelope.client.name,
        "CLIENT_PROTOCOL": envelope.client.protocol,
        "SASL_METHOD": envelope.client.sasl_method,
        "SASL_SENDER": envelope.client.sasl_sender,
        "SASL_USERNAME": envelope.client.sasl_username,
    }
    given = {name: value for name, value in values.items() if value or name == "SENDER"}
    return {name: "".join(c if c in SAFE else "_" for c in value) for name, value in given.items()}


def exported(words: Iterable[str], config_directory: str) -> dict[str, str]:
    """What commands get of our own environment, and what is set for them (export_environment).

    MAIL_CONFIG is always known: without it mail that a command sends would go to another instance.
    """
    ours = {"MAIL_CONFIG": config_directory, **os.environ}
    pairs = (word.partition("=") for word in words)
    return {name: value if given else ours[name] for name, given, value in pairs if given or name in ours}


def is_loop(delivery: Delivery, address: str) -> bool:
    """Whether the header says that this address got the message before."""
    content = delivery.content()
    if b"elivered-" not in content[:65536]:
        return False
    end = content.find(b"\n\n")
    wanted = address.lower().encode("utf-8", "surrogateescape")
    return any(
        line[:13].lower() == b"delivered-to:" and line[13:].strip().lower() == wanted
        for line in content[: end if end >= 0 else len(content)].split(b"\n")
    )


def _unknown_user(rcpt: DeliverTo, name: str) -> RecipientResult:
    return RecipientResult(rcpt.rcpt_id, BOUNCED, "5.1.1", f'unknown user: "{name}"', RELAY)
