"""What is offered in reply to EHLO, and what of it not: smtpd_discard_ehlo_keywords, and its tables by client address.

What is not offered is refused when it is used. An Offer serves all clients that are offered the same.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from posthouse.config.parameters import (
    ALLOW_MIN_USER,
    LINE_LENGTH_LIMIT,
    MESSAGE_SIZE_LIMIT,
    MYHOSTNAME,
    SMTPUTF8_ENABLE,
)
from posthouse.config.settings import Settings
from posthouse.daemons.smtpd import parameters as p
from posthouse.daemons.smtpd.forbidden import forbidden_commands
from posthouse.protocol.smtp.content import BareNewline
from posthouse.protocol.smtp.grammar import Syntax
from posthouse.protocol.smtp.replies import Reply
from posthouse.protocol.smtp.server import ServerSettings
from posthouse.rewriting.parameters import RESOLVE_NULL_DOMAIN

SKIPPED_AT_MOST: Final = 10  # times message_size_limit: how much of a refused chunk is read for the client's sake
# Words that can be discarded, in the order of Postfix's log line; others mean nothing, so that a configuration may
# name what another version has.
KEYWORDS: Final = ("8BITMIME", "AUTH", "ETRN", "PIPELINING", "SIZE", "VERP", "VRFY", "XCLIENT", "XFORWARD", "STARTTLS",
                   "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8", "CHUNKING", "REQUIRETLS")  # fmt: skip
SILENT: Final = "SILENT-DISCARD"
_BARE_NEWLINE: Final = {
    "yes": BareNewline.NORMALIZE,
    "no": BareNewline.NO,
    "normalize": BareNewline.NORMALIZE,
    "reject": BareNewline.REJECT,
    "note": BareNewline.NOTE,
}


@dataclass(frozen=True, slots=True)
class Offer:
    """What some clients are offered, and how their sessions are read."""

    ehlo: Reply
    ehlo_with_arrival: Reply
    note: str  # for the log, at each EHLO; "": none
    session: ServerSettings  # smtpd_forbid_bare_newline in force
    trusted_session: ServerSettings  # for smtpd_forbid_bare_newline_exclusions


class Offers:
    """Makes offers, each once. Raises ConfigError from its constructor."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._forbidden = forbidden_commands(settings)
        self._made: dict[frozenset[str], Offer] = {}
        self.usual = self._without(settings[p.SMTPD_DISCARD_EHLO_KEYWORDS])

    def without(self, words: str) -> Offer:
        """Give the offer to a client that a table has: its words stand in the place of the parameter's."""
        return self._without(words.replace(",", " ").split())

    def _without(self, words: Iterable[str]) -> Offer:
        discarded = frozenset(word.upper() for word in words) & {*KEYWORDS, SILENT}
        if discarded not in self._made:
            self._made[discarded] = self._make(discarded)
        return self._made[discarded]

    def _make(self, discarded: frozenset[str]) -> Offer:
        settings, names = self._settings, [name for name in KEYWORDS if name in discarded]
        # Postfix has no such line where the status codes are not offered either.
        is_logged = names and not {SILENT, "ENHANCEDSTATUSCODES"} & discarded
        mode = _BARE_NEWLINE[settings[p.SMTPD_FORBID_BARE_NEWLINE]]
        return Offer(
            ehlo=_ehlo_reply(settings, discarded),
            ehlo_with_arrival=_ehlo_reply(settings, discarded, "XARRIVAL"),
            note=f"discarding EHLO keywords: {' '.join(names)}" if is_logged else "",
            session=_session_settings(settings, mode, discarded, self._forbidden),
            trusted_session=_session_settings(settings, BareNewline.NO, discarded, self._forbidden),
        )


def _ehlo_reply(settings: Settings, discarded: frozenset[str], *more: str) -> Reply:
    """Offer what is built, in Postfix's order, and then what else some clients may say."""
    size = settings[MESSAGE_SIZE_LIMIT]
    offered = [
        ("PIPELINING", "PIPELINING"),
        ("SIZE", f"SIZE {size}" if size else "SIZE"),
        ("VRFY", "" if settings[p.DISABLE_VRFY_COMMAND] else "VRFY"),
        ("ENHANCEDSTATUSCODES", "ENHANCEDSTATUSCODES"),
        ("8BITMIME", "8BITMIME"),
        ("DSN", "DSN"),
        ("SMTPUTF8", "SMTPUTF8" if settings[SMTPUTF8_ENABLE] else ""),
        ("CHUNKING", "CHUNKING"),
    ]
    lines = [line for keyword, line in offered if line and keyword not in discarded]
    return Reply.of_lines(250, (settings[MYHOSTNAME], *lines, *more))


def _session_settings(
    settings: Settings, mode: BareNewline, discarded: frozenset[str], forbidden: Callable[[str], bool]
) -> ServerSettings:
    return ServerSettings(
        hostname=settings[MYHOSTNAME],
        line_limit=settings[LINE_LENGTH_LIMIT],
        helo_required=settings[p.SMTPD_HELO_REQUIRED],
        vrfy=not settings[p.DISABLE_VRFY_COMMAND],
        bare_newline=mode,
        bare_newline_code=settings[p.SMTPD_FORBID_BARE_NEWLINE_REJECT_CODE],
        chunking="CHUNKING" not in discarded,
        skip_limit=settings[MESSAGE_SIZE_LIMIT] * SKIPPED_AT_MOST,
        forbid_pipelining=settings[p.SMTPD_FORBID_UNAUTH_PIPELINING],
        check_utf8=settings[SMTPUTF8_ENABLE],
        forbidden=forbidden,
        noop=frozenset(word.upper() for word in settings[p.SMTPD_NOOP_COMMANDS]),
        syntax=Syntax(
            strict_envelopes=settings[p.STRICT_RFC821_ENVELOPES],
            smtputf8=settings[SMTPUTF8_ENABLE] and "SMTPUTF8" not in discarded,
            dsn="DSN" not in discarded,
            arrival=bool(settings[p.SMTPD_AUTHORIZED_ARRIVAL_HOSTS]),
            min_user=settings[ALLOW_MIN_USER],
            null_domain=settings[RESOLVE_NULL_DOMAIN],
        ),
    )
