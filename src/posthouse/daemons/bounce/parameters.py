"""What bounce(8) reads from main.cf beside the parameters it shares with others."""

from typing import Final

from posthouse.config.parameter import Boolean, String
from posthouse.config.parameters import (
    BOUNCE_QUEUE_LIFETIME,
    DELAY_WARNING_TIME,
    DOUBLE_BOUNCE_SENDER,
    MAIL_NAME,
    MAXIMAL_QUEUE_LIFETIME,
    MYHOSTNAME,
    NOTIFY_CLASSES,
)
from posthouse.ipc.origin import INTERNAL_PARAMETERS

BOUNCE_NOTICE_RECIPIENT: Final = String(
    "bounce_notice_recipient", "postmaster", doc="Who gets copies of non-delivery notices (notify_classes: bounce)."
)
TWO_BOUNCE_NOTICE_RECIPIENT: Final = String(
    "2bounce_notice_recipient", "postmaster", doc="Who gets notices that cannot be delivered (notify_classes: 2bounce)."
)
DELAY_NOTICE_RECIPIENT: Final = String(
    "delay_notice_recipient", "postmaster", doc="Who gets copies of delay warnings (notify_classes: delay)."
)
ENABLE_THREADED_BOUNCES: Final = Boolean(
    "enable_threaded_bounces", "no", doc="Refer to the Message-ID of the returned message, so that programs thread it."
)

PARAMETERS: Final = (
    BOUNCE_QUEUE_LIFETIME,
    DELAY_WARNING_TIME,
    DOUBLE_BOUNCE_SENDER,
    MAIL_NAME,
    MAXIMAL_QUEUE_LIFETIME,
    MYHOSTNAME,
    NOTIFY_CLASSES,
    BOUNCE_NOTICE_RECIPIENT,
    TWO_BOUNCE_NOTICE_RECIPIENT,
    DELAY_NOTICE_RECIPIENT,
    ENABLE_THREADED_BOUNCES,
    *INTERNAL_PARAMETERS,
)
