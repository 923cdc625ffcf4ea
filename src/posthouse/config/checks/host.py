"""Checks of this host's names, users and files, and of sizes and times that do not go together."""

from collections.abc import Iterator
from typing import Final

from posthouse.config import derived
from posthouse.config.checks.context import Context
from posthouse.config.checks.values import bad_value
from posthouse.config.findings import ERROR, NOTE, WARNING, Finding, Kind
from posthouse.config.parameter import ConfigValueError, Integer, Time
from posthouse.config.parameters import (
    BOUNCE_QUEUE_LIFETIME,
    DEFAULT_PRIVS,
    MAIL_OWNER,
    MAILBOX_SIZE_LIMIT,
    MAILLOG_FILE,
    MAILLOG_FILE_PREFIXES,
    MAILLOG_STDOUT,
    MAXIMAL_BACKOFF_TIME,
    MAXIMAL_QUEUE_LIFETIME,
    MESSAGE_SIZE_LIMIT,
    MINIMAL_BACKOFF_TIME,
    MYHOSTNAME,
    NETWORK_OWNER,
    PROXY_INTERFACES,
    QUEUE_OWNER,
)
from posthouse.config.rows import row_of
from posthouse.util.errors import ConfigError

NO_HOST_NAME = Kind("bad-host-name", ERROR, "myhostname is no host name.")
SHORT_HOST_NAME = Kind(
    "host-name-not-full",
    WARNING,
    "myhostname has no domain, or is a name for the host itself (localhost).",
    "other servers refuse mail from a host that greets them so",
    "set myhostname to the full name of this host, for example mail.example.com",
)
ROOT_OWNER = Kind("root-as-owner", ERROR, "mail_owner, network_owner, queue_owner or default_privs is root.")
SHARED_OWNER = Kind("shared-owner", ERROR, "Users' commands would run as the user of the mail system.")
LOG_PLACE = Kind("log-file-place", ERROR, "maillog_file is outside of maillog_file_prefixes.")
LOG_COPY = Kind("log-copy-without-file", WARNING, "maillog_stdout is set without maillog_file.")
MAILBOX_LIMIT = Kind(
    "mailbox-below-message",
    WARNING,
    "The limit of a mailbox is smaller than the limit of a message.",
    "a message of that size comes back from every mbox file",  # Maildirs have no such limit
    "raise it, or set it to 0",
)
FREE_SPACE = Kind(
    "free-space-limit",
    NOTE,
    "queue_minfree asks for less than the server asks for anyway: 1.5 times message_size_limit.",
    "it has no effect",
)
BACKOFF = Kind("backoff-times", ERROR, "minimal_backoff_time is longer than maximal_backoff_time.")
TRIED_ONCE = Kind(
    "tried-only-once",
    WARNING,
    "Mail expires before its second attempt is due.",
    "mail is tried only once",
)
DELIMITER = Kind(
    "recipient-delimiter",
    WARNING,
    "recipient_delimiter has a character that means something else in an address.",
    "addresses are cut in the wrong place",
    "write: recipient_delimiter = +",
)
_MEANINGFUL: Final = frozenset('@,;:<>()[]"\\/ \t')


def check_host_name(context: Context) -> Iterator[Finding]:
    """Check myhostname."""
    name = context.text(MYHOSTNAME.name)
    place = context.place(MYHOSTNAME.name)
    if not derived.is_hostname(name):
        yield NO_HOST_NAME.at(place, f'myhostname: "{name}" is no host name', SHORT_HOST_NAME.fix)
        return
    is_alone = name.lower() == "localhost" or name.lower().endswith((".localdomain", ".localhost"))
    if ("." not in name or is_alone) and not _only_loopback(context) and MYHOSTNAME.name not in context.bad:
        yield SHORT_HOST_NAME.at(place, f'myhostname: "{name}" is not a full name that others can look up')


def _only_loopback(context: Context) -> bool:
    """Tell whether only this host itself is served; then its name matters less."""
    words = [word.lower() for word in context.items("inet_interfaces")]
    local = ("loopback-only", "localhost", "127.0.0.1", "::1", "[::1]")
    return bool(words) and all(word in local for word in words)


def check_owners(context: Context) -> Iterator[Finding]:
    """Check the users that daemons and commands run as (facts B01.15)."""
    owners = {row.name: context.text(row.name) for row in (MAIL_OWNER, NETWORK_OWNER, QUEUE_OWNER)}
    privileges = context.text(DEFAULT_PRIVS.name)
    for name, user in {**owners, DEFAULT_PRIVS.name: privileges}.items():
        if user == "root":
            yield ROOT_OWNER.at(context.place(name), f"{name} must not be root", "name a user of its own")
    for name, user in owners.items():
        if user == privileges:
            what = f"{name} and default_privs are the same user, {user}"
            place = context.place(name if context.is_set(name) else DEFAULT_PRIVS.name)
            yield SHARED_OWNER.at(place, what, "name two users", "users' commands could change the queue")


def check_log_file(context: Context) -> Iterator[Finding]:
    """Check where the log goes (facts B01.19)."""
    path = context.text(MAILLOG_FILE.name)
    prefixes = _prefixes(context)
    if path and not any(path == prefix or path.startswith(prefix.rstrip("/") + "/") for prefix in prefixes):
        what = f"maillog_file: {path} is below none of maillog_file_prefixes ({', '.join(prefixes)})"
        yield LOG_PLACE.at(context.place(MAILLOG_FILE.name), what, "choose another place, or add its directory there")
    if not path and context.is_set(MAILLOG_STDOUT.name) and context.text(MAILLOG_STDOUT.name).lower() == "yes":
        what = "maillog_stdout copies maillog_file, which is not set"
        fix = "set maillog_file; to /dev/stdout, when no file is wanted"
        yield LOG_COPY.at(context.place(MAILLOG_STDOUT.name), what, fix, "the log goes to syslog only")


def _prefixes(context: Context) -> tuple[str, ...]:
    try:
        return context.settings[MAILLOG_FILE_PREFIXES]
    except ConfigError:
        return ()


def _number(context: Context, row: Integer | Time) -> float:
    """Give a number, or 0 when it cannot be read."""
    try:
        return context.settings[row]
    except ConfigError:
        return 0


def _virtual_delivers(context: Context) -> bool:
    """Tell whether virtual(8) has mailboxes to write; another program has limits of its own."""
    transport = context.text("virtual_transport").partition(":")[0]
    programs = [service.program for service in context.services() if service.name == transport]
    return not programs or "virtual" in programs


def check_sizes(context: Context) -> Iterator[Finding]:
    """Check limits against each other."""
    message = int(_number(context, MESSAGE_SIZE_LIMIT))
    for name, mailboxes in (
        (MAILBOX_SIZE_LIMIT.name, "mydestination"),
        ("virtual_mailbox_limit", "virtual_mailbox_maps"),
    ):
        if not context.items(mailboxes) or (name.startswith("virtual") and not _virtual_delivers(context)):
            continue
        row = context.registry.find(name) or row_of(name)
        mailbox = int(_number(context, row)) if isinstance(row, Integer) else 0
        if name in context.bad or MESSAGE_SIZE_LIMIT.name in context.bad or not mailbox:
            continue
        if not message or mailbox < message:
            what = f"{name} ({mailbox}) is smaller than message_size_limit ({message or 'no limit'})"
            yield MAILBOX_LIMIT.at(context.place(name if context.is_set(name) else MESSAGE_SIZE_LIMIT.name), what)
    free = row_of("queue_minfree")
    least = int(_number(context, free)) if isinstance(free, Integer) else 0
    if 0 < least < message * 1.5:
        what = f"queue_minfree ({least}) is less than 1.5 times message_size_limit ({message})"
        fix = f"write: queue_minfree = {message * 2}, or take it out"
        yield FREE_SPACE.at(context.place("queue_minfree"), what, fix)


def check_times(context: Context) -> Iterator[Finding]:
    """Check times against each other."""
    least, most = _number(context, MINIMAL_BACKOFF_TIME), _number(context, MAXIMAL_BACKOFF_TIME)
    if least and most and least > most:
        is_least = context.is_set(MINIMAL_BACKOFF_TIME.name)
        place = context.place(MINIMAL_BACKOFF_TIME.name if is_least else MAXIMAL_BACKOFF_TIME.name)
        yield BACKOFF.at(place, "minimal_backoff_time is longer than maximal_backoff_time", "exchange them")
    for row in (MAXIMAL_QUEUE_LIFETIME, BOUNCE_QUEUE_LIFETIME):
        if 0 < _number(context, row) < least:
            place = context.place(row.name if context.is_set(row.name) else MINIMAL_BACKOFF_TIME.name)
            yield TRIED_ONCE.at(place, f"{row.name} is shorter than minimal_backoff_time", f"raise {row.name}")


def check_delimiter(context: Context) -> Iterator[Finding]:
    """Check that the delimiter can be one."""
    for character in context.text("recipient_delimiter"):
        rewritten = (character == "%" and context.text("allow_percent_hack").lower() == "yes") or (
            character == "!" and context.text("swap_bangpath").lower() == "yes"
        )
        if character in _MEANINGFUL or character.isalnum() or rewritten:
            what = f'recipient_delimiter: "{character}" cannot set an extension apart'
            yield DELIMITER.at(context.place("recipient_delimiter"), what)


def check_proxies(context: Context) -> Iterator[Finding]:
    """Our addresses outside are asked for when daemons start."""
    from posthouse.config.own_addresses import own_addresses  # noqa: PLC0415 (asks the kernel for interfaces)

    try:
        own_addresses(context.text)
    except ConfigValueError as error:
        if error.parameter == PROXY_INTERFACES.name:
            yield bad_value(context.settings.error(error.parameter, str(error)))
