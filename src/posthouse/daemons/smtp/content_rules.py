"""ContentRules: what main.cf wants done to content and addresses on their way out, read once."""

from dataclasses import dataclass
from typing import Final, TypeVar

from posthouse.config.parameter import Parameter
from posthouse.config.parameters import (
    HEADER_SIZE_LIMIT,
    LINE_LENGTH_LIMIT,
    MIME_BOUNDARY_LENGTH_LIMIT,
    MIME_NESTING_LIMIT,
    PROPAGATE_UNMATCHED_EXTENSIONS,
)
from posthouse.config.settings import Settings
from posthouse.daemons.smtp import parameters as row
from posthouse.daemons.smtp.parameters import lmtp_row
from posthouse.filters.actions import EDITS
from posthouse.filters.content_checks import FLAGS, ContentChecks, Tables
from posthouse.protocol.message.mime import ALL_LINES
from posthouse.protocol.message.mime_events import Limits
from posthouse.protocol.smtp.features import Features
from posthouse.rewriting.classes import LocalDomains, search_rules
from posthouse.rewriting.generic import GenericMaps
from posthouse.rewriting.local import read_origin
from posthouse.tables.open import Opener, open_maps

T = TypeVar("T")

SEVEN_BIT: Final = "7bit"  # as the envelope says it


@dataclass(frozen=True, slots=True)
class ContentRules:
    """checks, generic: None where there are no tables."""

    checks: ContentChecks | None
    generic: GenericMaps | None
    downgrades: bool  # not disable_mime_output_conversion
    limits: Limits
    body_lines: int  # octets of a part that body checks look at: no body_checks_size_limit here, as with Postfix

    @property
    def always(self) -> bool:
        """Whether all content is looked at."""
        return self.checks is not None or self.generic is not None

    def must_downgrade(self, features: Features, encoding: str) -> bool:
        """Whether 8-bit parts have to become 7-bit ones for a server. encoding: as the envelope has it.

        Who offers SMTPUTF8 takes 8-bit content, whether it says so or not (RFC 6531 3.1).
        """
        takes_8bit = features.eight_bit_mime or features.smtputf8
        return self.downgrades and not takes_8bit and encoding != SEVEN_BIT


def read_content_rules(settings: Settings, opener: Opener) -> ContentRules:
    """Read the settings of this process and open its tables. Raises ConfigError."""
    lmtp = settings.process_name == "lmtp"

    def get(parameter: Parameter[T]) -> T:
        return settings[lmtp_row(parameter) if lmtp else parameter]

    body_checks = open_maps(get(row.SMTP_BODY_CHECKS), opener, FLAGS)
    tables = Tables(
        header_checks=open_maps(get(row.SMTP_HEADER_CHECKS), opener, FLAGS),
        mime_header_checks=open_maps(get(row.SMTP_MIME_HEADER_CHECKS), opener, FLAGS),
        nested_header_checks=open_maps(get(row.SMTP_NESTED_HEADER_CHECKS), opener, FLAGS),
        body_checks=body_checks,
    )
    checks = ContentChecks(tables, prefix="lmtp_" if lmtp else "smtp_", allowed=EDITS) if any(tables) else None
    names = get(row.SMTP_GENERIC_MAPS)
    return ContentRules(
        checks=checks,
        generic=_read_generic(names, settings, opener) if names else None,
        downgrades=not settings[row.DISABLE_MIME_OUTPUT_CONVERSION],
        limits=Limits(
            settings[MIME_NESTING_LIMIT],
            settings[HEADER_SIZE_LIMIT],
            settings[MIME_BOUNDARY_LENGTH_LIMIT],
            settings[LINE_LENGTH_LIMIT],
        ),
        body_lines=ALL_LINES if body_checks else 0,
    )


def _read_generic(names: tuple[str, ...], settings: Settings, opener: Opener) -> GenericMaps:
    return GenericMaps(
        open_maps(names, opener),
        search_rules(settings, LocalDomains(settings, opener)),
        read_origin(settings),
        propagate="generic" in settings[PROPAGATE_UNMATCHED_EXTENSIONS],
    )
