"""What governor(8) reads from main.cf beside the parameters it shares with others."""

from typing import Final

from posthouse.config.parameter import Enum, String, Time
from posthouse.config.parameters import (
    DOUBLE_BOUNCE_SENDER,
    MAIL_NAME,
    MAIL_SPOOL_DIRECTORY,
    MESSAGE_SIZE_LIMIT,
    MYHOSTNAME,
    QUEUE_MINFREE,
    QUEUE_RESERVE,
    SERVICE_THROTTLE_TIME,
)
from posthouse.config.webhook import Webhook
from posthouse.ipc.origin import INTERNAL_PARAMETERS

CERTIFICATE_PARAMETERS: Final = (
    "smtpd_tls_cert_file",
    "smtpd_tls_eccert_file",
    "smtpd_tls_dcert_file",
    "smtpd_tls_chain_files",
    "smtp_tls_cert_file",
    "smtp_tls_chain_files",
)
RESOURCE_NOTICE_RECIPIENT: Final = String(
    "resource_notice_recipient",
    "postmaster",
    doc="Who is told when something becomes scarce; empty: nobody (ours, not Postfix's).",
)
RESOURCE_NOTICE_WEBHOOK: Final = Webhook(
    "resource_notice_webhook",
    "",
    doc="http://host:port/path that gets the same as JSON by POST; empty: none (ours, not Postfix's).",
)
RESOURCE_WARNING_TIME: Final = Time(
    "resource_warning_time",
    "6h",
    doc="Warn when a disk will be full within this time at the present rate (ours, not Postfix's).",
)
RESOURCE_CONTROL: Final = Enum(
    "resource_control",
    "enforce",
    doc="enforce: take the steps of docs/reliability.md when something is scarce. warn: only say so (ours).",
    choices=("enforce", "warn"),
)

PARAMETERS: Final = (
    DOUBLE_BOUNCE_SENDER,
    MAIL_NAME,
    MAIL_SPOOL_DIRECTORY,
    MESSAGE_SIZE_LIMIT,
    MYHOSTNAME,
    QUEUE_MINFREE,
    QUEUE_RESERVE,
    RESOURCE_NOTICE_RECIPIENT,
    RESOURCE_NOTICE_WEBHOOK,
    RESOURCE_WARNING_TIME,
    RESOURCE_CONTROL,
    SERVICE_THROTTLE_TIME,
    *INTERNAL_PARAMETERS,
)
