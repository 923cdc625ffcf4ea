"""What local(8) reads from main.cf beside the parameters it shares with others."""

from typing import Final

from posthouse.config.parameter import Boolean, NameList, Raw, String
from posthouse.config.parameters import (
    ALIAS_MAPS,
    COMMAND_TIME_LIMIT,
    DEFAULT_PRIVS,
    ENABLE_ORIGINAL_RECIPIENT,
    MAIL_NAME,
    MAIL_SPOOL_DIRECTORY,
    MAILBOX_SIZE_LIMIT,
    MYDESTINATION,
    MYHOSTNAME,
    OWNER_REQUEST_SPECIAL,
    RECIPIENT_DELIMITER,
)
from posthouse.config.parameters_lock import LOCK_PARAMETERS
from posthouse.ipc.origin import INTERNAL_PARAMETERS

HOME_MAILBOX: Final = String(
    "home_mailbox", "", doc='Mailbox below the home directory; with "/" at the end a Maildir. Empty: the mail spool.'
)
FORWARD_PATH: Final = Raw(
    "forward_path",
    "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
    doc="Where a user's forwarding instructions are looked for; the first file that is there counts.",
)
MAILBOX_COMMAND: Final = Raw("mailbox_command", "", doc="Command that delivers to mailboxes in place of local(8).")
EXPORT_ENVIRONMENT: Final = NameList(
    "export_environment",
    "TZ MAIL_CONFIG LANG",
    doc="The environment variables that external commands get, and name=value to set.",
)
LUSER_RELAY: Final = Raw(
    "luser_relay",
    "",
    doc="Where mail for recipients that are no local users goes: an address, with $user, $local, $domain and others.",
)
MAILBOX_DELIVERY_LOCK: Final = NameList(
    "mailbox_delivery_lock", "fcntl, dotlock", doc="How mbox files are locked: fcntl, flock, dotlock."
)
STRICT_MAILBOX_OWNERSHIP: Final = Boolean(
    "strict_mailbox_ownership", "yes", doc="Defer mail to a mailbox that does not belong to the recipient."
)

PARAMETERS: Final = (
    *LOCK_PARAMETERS,
    ALIAS_MAPS,
    ENABLE_ORIGINAL_RECIPIENT,
    MAIL_NAME,
    DEFAULT_PRIVS,
    MAIL_SPOOL_DIRECTORY,
    MAILBOX_SIZE_LIMIT,
    MYDESTINATION,
    MYHOSTNAME,
    OWNER_REQUEST_SPECIAL,
    RECIPIENT_DELIMITER,
    HOME_MAILBOX,
    FORWARD_PATH,
    MAILBOX_COMMAND,
    EXPORT_ENVIRONMENT,
    LUSER_RELAY,
    MAILBOX_DELIVERY_LOCK,
    STRICT_MAILBOX_OWNERSHIP,
    COMMAND_TIME_LIMIT,
    *INTERNAL_PARAMETERS,
)
