"""SmtpdSettings: main.cf as smtpd(8) uses it, read once at start; one object serves all sessions of a process."""

from dataclasses import dataclass
from typing import Final, Self

from posthouse.config.parameters import (
    ALLOW_MIN_USER,
    LINE_LENGTH_LIMIT,
    MAIL_NAME,
    MESSAGE_SIZE_LIMIT,
    MYHOSTNAME,
    SMTPUTF8_ENABLE,
)
from posthouse.config.settings import Settings
from posthouse.daemons.smtpd import parameters as p
from posthouse.daemons.smtpd.forbidden import forbidden_commands
from posthouse.ipc.origin import SMTPD, Origin
from posthouse.protocol.smtp.content import BareNewline
from posthouse.protocol.smtp.grammar import Syntax
from posthouse.protocol.smtp.replies import Reply
from posthouse.protocol.smtp.server import ServerSettings

SKIPPED_AT_MOST: Final = 10  # times message_size_limit: how much of a refused chunk is read for the client's sake
_BARE_NEWLINE = {
    "yes": BareNewline.NORMALIZE,
    "no": BareNewline.NO,
    "normalize": BareNewline.NORMALIZE,
    "reject": BareNewline.REJECT,
    "note": BareNewline.NOTE,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do, and for how long."""

    timeout_s: float
    whole_requests: bool  # the time is for a whole command, or content at a data rate
    data_rate: int  # bytes per second
    error_sleep_s: float
    soft_errors: int
    hard_errors: int
    junk_commands: int
    recipients: int
    overshoot: int
    message_size: int  # 0: no limit

    @classmethod
    def read(cls, settings: Settings) -> Self:
        """Copy from the settings."""
        return cls(
            timeout_s=settings[p.SMTPD_TIMEOUT],
            whole_requests=settings[p.SMTPD_PER_REQUEST_DEADLINE],
            data_rate=settings[p.SMTPD_MIN_DATA_RATE],
            error_sleep_s=settings[p.SMTPD_ERROR_SLEEP_TIME],
            soft_errors=settings[p.SMTPD_SOFT_ERROR_LIMIT],
            hard_errors=settings[p.SMTPD_HARD_ERROR_LIMIT],
            junk_commands=settings[p.SMTPD_JUNK_COMMAND_LIMIT],
            recipients=settings[p.SMTPD_RECIPIENT_LIMIT],
            overshoot=settings[p.SMTPD_RECIPIENT_OVERSHOOT_LIMIT],
            message_size=settings[MESSAGE_SIZE_LIMIT],
        )


@dataclass(frozen=True, slots=True)
class SmtpdSettings:
    """See the module's docstring."""

    myhostname: str
    mail_name: str
    greeting: Reply
    ehlo: Reply
    ehlo_with_arrival: Reply
    helo: Reply
    limits: Limits
    session: ServerSettings  # smtpd_forbid_bare_newline in force
    trusted_session: ServerSettings  # for smtpd_forbid_bare_newline_exclusions
    rejects_bare_newline: bool
    bare_newline_reply: Reply
    bare_newline_in_chunk: Reply  # what follows a refused chunk is told apart from commands, so the session goes on
    peername_lookup: bool
    port_logging: bool
    hide_client: bool
    soft_bounce: bool
    strict_smtputf8: bool
    origin: Origin

    @classmethod
    def read(cls, settings: Settings) -> Self:
        """Copy from the settings. Raises ConfigError."""
        hostname = settings[MYHOSTNAME]
        mode = settings[p.SMTPD_FORBID_BARE_NEWLINE]
        code = settings[p.SMTPD_FORBID_BARE_NEWLINE_REJECT_CODE]
        return cls(
            myhostname=hostname,
            mail_name=settings[MAIL_NAME],
            greeting=Reply(220, "", settings[p.SMTPD_BANNER]),
            ehlo=_ehlo_reply(settings, hostname),
            ehlo_with_arrival=_ehlo_reply(settings, hostname, "XARRIVAL"),
            helo=Reply(250, "", hostname),
            limits=Limits.read(settings),
            session=_session_settings(settings, _BARE_NEWLINE[mode]),
            trusted_session=_session_settings(settings, BareNewline.NO),
            rejects_bare_newline=mode == "reject",
            bare_newline_reply=Reply(code, "5.5.2", f"{hostname} Error: bare <LF> received", closes=True),
            bare_newline_in_chunk=Reply(code, "5.5.2", f"{hostname} Error: bare <LF> received"),
            peername_lookup=settings[p.SMTPD_PEERNAME_LOOKUP],
            port_logging=settings[p.SMTPD_CLIENT_PORT_LOGGING],
            hide_client=settings[p.SMTPD_HIDE_CLIENT_SESSION],
            soft_bounce=settings[p.SOFT_BOUNCE],
            strict_smtputf8=settings[SMTPUTF8_ENABLE] and settings[p.STRICT_SMTPUTF8],
            origin=Origin.of_service(settings, SMTPD),
        )


def _discarded(settings: Settings) -> frozenset[str]:
    return frozenset(word.lower() for word in settings[p.SMTPD_DISCARD_EHLO_KEYWORDS])


def _ehlo_reply(settings: Settings, hostname: str, *more: str) -> Reply:
    """Offer what is built, in Postfix's order, and then what else some clients may say."""
    size = settings[MESSAGE_SIZE_LIMIT]
    offered = [
        ("pipelining", "PIPELINING"),
        ("size", f"SIZE {size}" if size else "SIZE"),
        ("vrfy", "" if settings[p.DISABLE_VRFY_COMMAND] else "VRFY"),
        ("enhancedstatuscodes", "ENHANCEDSTATUSCODES"),
        ("8bitmime", "8BITMIME"),
        ("dsn", "DSN"),
        ("smtputf8", "SMTPUTF8" if settings[SMTPUTF8_ENABLE] else ""),
        ("chunking", "CHUNKING"),
    ]
    discarded = _discarded(settings)
    lines = [line for keyword, line in offered if line and keyword not in discarded]
    return Reply.of_lines(250, (hostname, *lines, *more))


def _session_settings(settings: Settings, mode: BareNewline) -> ServerSettings:
    discarded = _discarded(settings)
    return ServerSettings(
        hostname=settings[MYHOSTNAME],
        line_limit=settings[LINE_LENGTH_LIMIT],
        helo_required=settings[p.SMTPD_HELO_REQUIRED],
        vrfy=not settings[p.DISABLE_VRFY_COMMAND],
        bare_newline=mode,
        bare_newline_code=settings[p.SMTPD_FORBID_BARE_NEWLINE_REJECT_CODE],
        chunking="chunking" not in discarded,
        skip_limit=settings[MESSAGE_SIZE_LIMIT] * SKIPPED_AT_MOST,
        forbid_pipelining=settings[p.SMTPD_FORBID_UNAUTH_PIPELINING],
        check_utf8=settings[SMTPUTF8_ENABLE],
        forbidden=forbidden_commands(settings),
        noop=frozenset(word.upper() for word in settings[p.SMTPD_NOOP_COMMANDS]),
        syntax=Syntax(
            strict_envelopes=settings[p.STRICT_RFC821_ENVELOPES],
            smtputf8=settings[SMTPUTF8_ENABLE] and "smtputf8" not in discarded,
            dsn="dsn" not in discarded,
            arrival=bool(settings[p.SMTPD_AUTHORIZED_ARRIVAL_HOSTS]),
            min_user=settings[ALLOW_MIN_USER],
        ),
    )
