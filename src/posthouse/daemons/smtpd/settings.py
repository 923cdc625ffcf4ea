"""SmtpdSettings: main.cf as smtpd(8) uses it, read once at start; one object serves all sessions of a process."""

from dataclasses import dataclass
from typing import Self

from posthouse.config.parameters import (
    MAIL_NAME,
    MESSAGE_SIZE_LIMIT,
    MYHOSTNAME,
    SMTPUTF8_ENABLE,
)
from posthouse.config.settings import Settings
from posthouse.daemons.smtpd import parameters as p
from posthouse.daemons.smtpd.offers import Offers
from posthouse.ipc.origin import SMTPD, Origin
from posthouse.protocol.smtp.replies import Reply


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
    helo: Reply
    limits: Limits
    offers: Offers
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
            helo=Reply(250, "", hostname),
            limits=Limits.read(settings),
            offers=Offers(settings),
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
