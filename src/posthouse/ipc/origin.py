"""Origin: what cleanup(8) and qmgr(8) are told of a message because of where it comes from.

Whoever hands messages to cleanup reads this once, at its start. Mail from outside has the content filter and the
overrides of its service; mail that is made here passes neither, and its content is checked where
internal_mail_filter_classes says so. Sources: postconf(5), FILTER_README, facts B07.27, B12.12.
"""

from dataclasses import dataclass
from typing import Final

from posthouse.config.parameter import ConfigValueError, NameList, String
from posthouse.config.parameters import SMTPUTF8_ENABLE
from posthouse.config.settings import Settings
from posthouse.ipc.message import (
    INTERNAL_MAIL,
    NO_ADDRESS_MAPPINGS,
    NO_COPIES,
    NO_HEADER_BODY_CHECKS,
    NO_MILTERS,
    Envelope,
)
from posthouse.ipc.record import replace

NO_UNKNOWN_RECIPIENT_CHECKS: Final = "no_unknown_recipient_checks"  # smtpd(8) does that one itself
_OVERRIDES: Final = {
    NO_UNKNOWN_RECIPIENT_CHECKS: 0,
    "no_address_mappings": NO_ADDRESS_MAPPINGS | NO_COPIES,
    "no_header_body_checks": NO_HEADER_BODY_CHECKS,
    "no_milters": NO_MILTERS,
}
_CHECKS: Final = NO_HEADER_BODY_CHECKS | NO_MILTERS
SENDMAIL, SMTPD, FORWARD, BOUNCE, NOTIFY = "sendmail", "smtpd", "forward", "bounce", "notify"  # classes of mail
_ALL: Final = "all"


class Words(NameList):
    """A list of a few known words; they are the choices, in lower case."""

    def __init__(self, name: str, default: str, *, doc: str, choices: tuple[str, ...], minimum_items: int = 0) -> None:
        super().__init__(name, default, doc=doc, minimum_items=minimum_items)
        self.choices = choices

    def parse(self, text: str) -> tuple[str, ...]:
        """Split the list."""
        words = tuple(word.lower() for word in super().parse(text))
        unknown = [word for word in words if word not in self.choices]
        if unknown:
            raise ConfigValueError(f'"{unknown[0]}" is not one of: {", ".join(self.choices)}')
        return words


CONTENT_FILTER: Final = String(
    "content_filter", "", doc="transport:nexthop of an after-queue filter that all mail goes through first."
)
RECEIVE_OVERRIDE_OPTIONS: Final = Words(
    "receive_override_options",
    "",
    doc="What is left out for mail of this service: no_unknown_recipient_checks, no_address_mappings, "
    "no_header_body_checks, no_milters.",
    choices=tuple(_OVERRIDES),
)
INTERNAL_MAIL_FILTER_CLASSES: Final = Words(
    "internal_mail_filter_classes",
    "",
    doc="Which mail that is made here passes header and body checks, too: bounce, notify.",
    choices=(BOUNCE, NOTIFY),
)
SMTPUTF8_AUTODETECT_CLASSES: Final = Words(
    "smtputf8_autodetect_classes",
    "sendmail, verify",
    doc="The kinds of mail whose addresses and headers are searched for UTF-8 when nobody said SMTPUTF8: sendmail, "
    "smtpd, qmqpd, forward, bounce, notify, verify, all.",
    choices=(SENDMAIL, SMTPD, "qmqpd", FORWARD, BOUNCE, NOTIFY, "verify", _ALL),
    minimum_items=1,
)
INTERNAL_PARAMETERS: Final = (INTERNAL_MAIL_FILTER_CLASSES, SMTPUTF8_AUTODETECT_CLASSES, SMTPUTF8_ENABLE)
EXTERNAL_PARAMETERS: Final = (CONTENT_FILTER, RECEIVE_OVERRIDE_OPTIONS, SMTPUTF8_AUTODETECT_CLASSES, SMTPUTF8_ENABLE)


@dataclass(frozen=True, slots=True)
class Origin:
    """Fields of an envelope, by their names there."""

    filter: str
    overrides: int
    finds_smtputf8: bool

    @classmethod
    def of_service(cls, settings: Settings, kind: str) -> "Origin":
        """Read what is said about mail that a service takes from outside. kind: SMTPD, SENDMAIL."""
        overrides = 0
        for word in settings[RECEIVE_OVERRIDE_OPTIONS]:
            overrides |= _OVERRIDES[word]
        return cls(settings[CONTENT_FILTER].strip(), overrides, _finds_smtputf8(settings, kind))

    @classmethod
    def of_internal_mail(cls, settings: Settings, kind: str) -> "Origin":
        """Read what is said about mail that is made here. kind: BOUNCE, NOTIFY, FORWARD."""
        checked = kind in settings[INTERNAL_MAIL_FILTER_CLASSES]
        return cls("", INTERNAL_MAIL & ~_CHECKS if checked else INTERNAL_MAIL, _finds_smtputf8(settings, kind))

    def mark(self, envelope: Envelope) -> Envelope:
        """Put it into an envelope."""
        return replace(envelope, filter=self.filter, overrides=self.overrides, finds_smtputf8=self.finds_smtputf8)


def _finds_smtputf8(settings: Settings, kind: str) -> bool:
    classes = settings[SMTPUTF8_AUTODETECT_CLASSES]
    return settings[SMTPUTF8_ENABLE] and (kind in classes or _ALL in classes)
