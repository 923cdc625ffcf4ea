"""What virtual(8) reads from main.cf beside the parameters it shares with others."""

from typing import Final

from posthouse.config.parameter import Integer, NameList, Size, String, Tables
from posthouse.config.parameters import (
    ENABLE_ORIGINAL_RECIPIENT,
    IPC_TIMEOUT,
    MYHOSTNAME,
    PROXYMAP_SERVICE_NAME,
    RECIPIENT_DELIMITER,
    VIRTUAL_MAILBOX_MAPS,
)
from posthouse.config.parameters_lock import LOCK_PARAMETERS

VIRTUAL_MAILBOX_BASE: Final = String(
    "virtual_mailbox_base",
    "",
    doc="The directory that every mailbox path of virtual_mailbox_maps is below; must be set for virtual(8).",
)
VIRTUAL_UID_MAPS: Final = Tables("virtual_uid_maps", "", doc="Tables of numeric user IDs, by recipient address.")
VIRTUAL_GID_MAPS: Final = Tables("virtual_gid_maps", "", doc="Tables of numeric group IDs, by recipient address.")
VIRTUAL_MINIMUM_UID: Final = Integer(
    "virtual_minimum_uid", "100", doc="The smallest user ID that virtual_uid_maps may give.", minimum=1
)
VIRTUAL_MAILBOX_LIMIT: Final = Size(
    "virtual_mailbox_limit", "51200000", doc="Largest size of an mbox file; 0: no limit."
)
VIRTUAL_MAILBOX_LOCK: Final = NameList(
    "virtual_mailbox_lock", "fcntl, dotlock", doc="How mbox files are locked: fcntl, flock, dotlock."
)

PARAMETERS: Final = (
    *LOCK_PARAMETERS,
    IPC_TIMEOUT,
    ENABLE_ORIGINAL_RECIPIENT,
    MYHOSTNAME,
    PROXYMAP_SERVICE_NAME,
    RECIPIENT_DELIMITER,
    VIRTUAL_MAILBOX_MAPS,
    VIRTUAL_MAILBOX_BASE,
    VIRTUAL_UID_MAPS,
    VIRTUAL_GID_MAPS,
    VIRTUAL_MINIMUM_UID,
    VIRTUAL_MAILBOX_LIMIT,
    VIRTUAL_MAILBOX_LOCK,
)
