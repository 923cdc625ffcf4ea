"""What qmgr(8) reads from main.cf beside the parameters it shares with others."""

from typing import Final

from posthouse.config.parameter import Integer, NameList, String, Time
from posthouse.config.parameters import DOUBLE_BOUNCE_SENDER, QUEUE_PARAMETERS

QMGR_MESSAGE_ACTIVE_LIMIT: Final = Integer(
    "qmgr_message_active_limit",
    "20000",
    doc="How many messages may be in the active queue, and so in memory.",
    minimum=1,
)
TRANSPORT_RETRY_TIME: Final = Time(
    "transport_retry_time", "60s", doc="How long a transport that cannot be reached is left alone.", minimum_s=1
)
DEFER_TRANSPORTS: Final = NameList(
    "defer_transports", "", doc="Transports whose mail is deferred until a flush is asked for."
)
QMGR_CONTENT_MEMORY: Final = Integer(
    "qmgr_content_memory",
    "67108864",
    doc="Bytes of message content that the queue manager keeps in memory; beyond it content is read from the queue.",
)
DEFAULT_FILTER_NEXTHOP: Final = String(
    "default_filter_nexthop", "", doc="The next hop of a content filter that names none; empty: the recipient's domain."
)

PARAMETERS: Final = (
    DOUBLE_BOUNCE_SENDER,
    DEFAULT_FILTER_NEXTHOP,
    QMGR_MESSAGE_ACTIVE_LIMIT,
    TRANSPORT_RETRY_TIME,
    DEFER_TRANSPORTS,
    QMGR_CONTENT_MEMORY,
    *QUEUE_PARAMETERS,
)
