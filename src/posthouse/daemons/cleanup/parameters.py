"""What cleanup(8) reads from main.cf and nobody else does; the shared rows are in config/parameters.py."""

from typing import Final

from posthouse.config.parameter import Boolean, Enum, Integer, NameList, Patterns, String, Tables
from posthouse.config.parameters import (
    CANONICAL_CLASSES,
    CANONICAL_MAPS,
    HEADER_SIZE_LIMIT,
    IN_FLOW_DELAY,
    MESSAGE_SIZE_LIMIT,
    MYDESTINATION,
    MYHOSTNAME,
    MYORIGIN,
    PROPAGATE_UNMATCHED_EXTENSIONS,
    QUEUE_SERVICE_NAME,
    RECIPIENT_CANONICAL_CLASSES,
    RECIPIENT_CANONICAL_MAPS,
    RECIPIENT_DELIMITER,
    SENDER_CANONICAL_CLASSES,
    SENDER_CANONICAL_MAPS,
    UNDISCLOSED_RECIPIENTS_HEADER,
    VIRTUAL_ALIAS_MAPS,
)
from posthouse.rewriting.local import REMOTE_HEADER_REWRITE_DOMAIN
from posthouse.rewriting.virtual_alias import (
    VIRTUAL_ALIAS_ADDRESS_LENGTH_LIMIT,
    VIRTUAL_ALIAS_EXPANSION_LIMIT,
    VIRTUAL_ALIAS_RECURSION_LIMIT,
)

ALWAYS_BCC: Final = String("always_bcc", "", doc="One address that gets a copy of every new message.")
SENDER_BCC_MAPS: Final = Tables("sender_bcc_maps", "", doc="Tables of addresses for copies, by envelope sender.")
RECIPIENT_BCC_MAPS: Final = Tables(
    "recipient_bcc_maps", "", doc="Tables of addresses for copies, by envelope recipient."
)
DUPLICATE_FILTER_LIMIT: Final = Integer(
    "duplicate_filter_limit", "1000", doc="How many recipients are remembered to find duplicates; 0: all.", minimum=1
)
ENABLE_ORIGINAL_RECIPIENT: Final = Boolean(
    "enable_original_recipient", "yes", doc="Keep the recipient as it was before aliases changed it."
)
HOPCOUNT_LIMIT: Final = Integer(
    "hopcount_limit", "50", doc="A message with this many Received headers goes in circles and is refused.", minimum=1
)
MASQUERADE_DOMAINS: Final = Patterns(
    "masquerade_domains", "", doc="Domains whose subdomains are cut off addresses; !domain exempts."
)
MASQUERADE_EXCEPTIONS: Final = Patterns(
    "masquerade_exceptions", "", doc="User names whose addresses are not masqueraded."
)
MASQUERADE_CLASSES: Final = NameList(
    "masquerade_classes",
    "envelope_sender, header_sender, header_recipient",
    doc="Which addresses are masqueraded: envelope_sender, envelope_recipient, header_sender, header_recipient.",
)
MESSAGE_DROP_HEADERS: Final = NameList(
    "message_drop_headers",
    "bcc, content-length, resent-bcc, return-path",
    doc="Headers that are taken out of every message.",
)
ALWAYS_ADD_MISSING_HEADERS: Final = Boolean(
    "always_add_missing_headers", "no", doc="Add Date, From and Message-Id to messages of remote clients, too."
)
CLEANUP_REPLACE_STRAY_CR_LF: Final = Boolean(
    "cleanup_replace_stray_cr_lf", "yes", doc="Replace a CR that is no part of a line end by a space."
)
DETECT_8BIT_ENCODING_HEADER: Final = Boolean(
    "detect_8bit_encoding_header", "yes", doc="Believe a Content-Transfer-Encoding header about 8-bit content."
)
NON_EMPTY_END_OF_HEADER_ACTION: Final = Enum(
    "non_empty_end_of_header_action",
    "fix_quietly",
    doc="What to do when the header ends with a line that is neither header nor empty.",
    choices=("fix_quietly", "add_header", "reject"),
)

PARAMETERS: Final = (
    ALWAYS_ADD_MISSING_HEADERS,
    ALWAYS_BCC,
    CANONICAL_CLASSES,
    CANONICAL_MAPS,
    CLEANUP_REPLACE_STRAY_CR_LF,
    DETECT_8BIT_ENCODING_HEADER,
    DUPLICATE_FILTER_LIMIT,
    ENABLE_ORIGINAL_RECIPIENT,
    HEADER_SIZE_LIMIT,
    HOPCOUNT_LIMIT,
    IN_FLOW_DELAY,
    MASQUERADE_CLASSES,
    MASQUERADE_DOMAINS,
    MASQUERADE_EXCEPTIONS,
    MESSAGE_DROP_HEADERS,
    MESSAGE_SIZE_LIMIT,
    MYDESTINATION,
    MYHOSTNAME,
    MYORIGIN,
    NON_EMPTY_END_OF_HEADER_ACTION,
    PROPAGATE_UNMATCHED_EXTENSIONS,
    QUEUE_SERVICE_NAME,
    RECIPIENT_BCC_MAPS,
    RECIPIENT_CANONICAL_CLASSES,
    RECIPIENT_CANONICAL_MAPS,
    RECIPIENT_DELIMITER,
    REMOTE_HEADER_REWRITE_DOMAIN,
    SENDER_BCC_MAPS,
    SENDER_CANONICAL_CLASSES,
    SENDER_CANONICAL_MAPS,
    UNDISCLOSED_RECIPIENTS_HEADER,
    VIRTUAL_ALIAS_ADDRESS_LENGTH_LIMIT,
    VIRTUAL_ALIAS_EXPANSION_LIMIT,
    VIRTUAL_ALIAS_MAPS,
    VIRTUAL_ALIAS_RECURSION_LIMIT,
)
