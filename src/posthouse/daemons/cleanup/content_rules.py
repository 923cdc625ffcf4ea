"""ContentRules: what main.cf wants to be looked at in the content of messages, and what is done where that is found.

Most messages are not looked at at all: `applies` says so before anything is set up for one. Sources: header_checks(5),
postconf(5); facts B07.13 to B07.19.
"""

import re
from typing import Final

from posthouse.config.parameters import (
    BODY_CHECKS_SIZE_LIMIT,
    HEADER_SIZE_LIMIT,
    LINE_LENGTH_LIMIT,
    MIME_BOUNDARY_LENGTH_LIMIT,
    MIME_NESTING_LIMIT,
)
from posthouse.config.settings import Settings
from posthouse.daemons.cleanup.parameters import (
    BODY_CHECKS,
    CLEANUP_REPLACE_STRAY_CR_LF,
    DETECT_8BIT_ENCODING_HEADER,
    DISABLE_MIME_INPUT_PROCESSING,
    FORCE_MIME_INPUT_CONVERSION,
    HEADER_CHECKS,
    MESSAGE_REJECT_CHARACTERS,
    MESSAGE_STRIP_CHARACTERS,
    MIME_HEADER_CHECKS,
    NESTED_HEADER_CHECKS,
    NON_EMPTY_END_OF_HEADER_ACTION,
    STRICT_7BIT_HEADERS,
    STRICT_8BITMIME,
    STRICT_8BITMIME_BODY,
    STRICT_MIME_ENCODING_DOMAIN,
)
from posthouse.filters.content_checks import FLAGS, ContentChecks, Tables
from posthouse.ipc.message import NO_HEADER_BODY_CHECKS, Envelope
from posthouse.protocol.message.mime import ALL_LINES, MimeParser
from posthouse.protocol.message.mime_events import Limits, Problem
from posthouse.protocol.text import unescape
from posthouse.tables.open import Opener, open_maps

_TABLES: Final = (HEADER_CHECKS, MIME_HEADER_CHECKS, NESTED_HEADER_CHECKS, BODY_CHECKS)


class ContentRules:
    """One for the life of a process. refused: problems for which a message is not taken."""

    def __init__(self, settings: Settings, opener: Opener) -> None:
        """Open the tables. Raises ConfigError."""
        maps = [open_maps(settings[parameter], opener, FLAGS) for parameter in _TABLES]
        self.checks = ContentChecks(Tables(*maps))
        self.header_size = settings[HEADER_SIZE_LIMIT]
        self.detects_encoding = settings[DETECT_8BIT_ENCODING_HEADER]
        self.replaces_cr = settings[CLEANUP_REPLACE_STRAY_CR_LF]
        self.rejected = _any_of(settings[MESSAGE_REJECT_CHARACTERS])
        self.stripped = _octets(settings[MESSAGE_STRIP_CHARACTERS])
        self._structured = not settings[DISABLE_MIME_INPUT_PROCESSING]
        self._converts = settings[FORCE_MIME_INPUT_CONVERSION] and self._structured
        self._body_lines = (settings[BODY_CHECKS_SIZE_LIMIT] or ALL_LINES) if settings[BODY_CHECKS] else 0
        self._limits = Limits(
            nesting=settings[MIME_NESTING_LIMIT],
            header_size=self.header_size,
            boundary=settings[MIME_BOUNDARY_LENGTH_LIMIT],
            line_length=settings[LINE_LENGTH_LIMIT],
        )
        self.refused = _refused(settings, has_tables=any(maps)) if self._structured else set()
        if settings[NON_EMPTY_END_OF_HEADER_ACTION] == "reject":
            self.refused.add(Problem.NON_EMPTY_END)
        self._filters = any(maps) or bool(self.refused or self.rejected or self.stripped)

    def filters(self, envelope: Envelope) -> bool:
        """Whether a message can be refused or changed for what is in it."""
        return self._filters and not envelope.overrides & NO_HEADER_BODY_CHECKS

    def applies(self, envelope: Envelope) -> bool:
        """Whether the content of a message must be taken apart."""
        return self._converts or self.filters(envelope)

    def parser(self) -> MimeParser:
        """Make what takes one message apart."""
        return MimeParser(
            self._limits, body_lines=self._body_lines, downgrade=self._converts, structured=self._structured
        )


def _refused(settings: Settings, *, has_tables: bool) -> set[Problem]:
    strict = settings[STRICT_8BITMIME]
    wanted = {
        Problem.EIGHT_BIT_HEADER: strict or settings[STRICT_7BIT_HEADERS],
        Problem.EIGHT_BIT_BODY: strict or settings[STRICT_8BITMIME_BODY],
        Problem.ENCODING_DOMAIN: settings[STRICT_MIME_ENCODING_DOMAIN],
    }
    refused = {problem for problem, is_wanted in wanted.items() if is_wanted}
    return refused | {Problem.NESTING} if refused or has_tables else refused


def _octets(text: str) -> bytes:
    """Read a set of characters (postconf(5), message_reject_characters); no line has a line end in it."""
    return unescape(text.encode("utf-8", "surrogateescape")).replace(b"\n", b"")


def _any_of(text: str) -> re.Pattern[bytes] | None:
    octets = _octets(text)
    return re.compile(b"[" + re.escape(octets) + b"]") if octets else None
