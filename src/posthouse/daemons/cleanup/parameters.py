"""What cleanup(8) reads from main.cf and nobody else does; the shared rows are in config/parameters.py."""

from typing import Final

from posthouse.config.parameter import Boolean, Enum, Integer, NameList, Patterns, String, Tables
from posthouse.config.parameters import (
    BODY_CHECKS_SIZE_LIMIT,
    CANONICAL_CLASSES,
    CANONICAL_MAPS,
    ENABLE_ORIGINAL_RECIPIENT,
    HEADER_SIZE_LIMIT,
    IN_FLOW_DELAY,
    LINE_LENGTH_LIMIT,
    MESSAGE_SIZE_LIMIT,
    MIME_BOUNDARY_LENGTH_LIMIT,
    MIME_NESTING_LIMIT,
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
    "duplicate_filter_limit", "1000", doc="How many recipients are remembered to find duplicates; 0: all.", minimum=0
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
HEADER_CHECKS: Final = Tables(
    "header_checks", "", doc="Tables that look at each header of a message; see header_checks(5)."
)
MIME_HEADER_CHECKS: Final = Tables(
    "mime_header_checks", "$header_checks", doc="As header_checks, for MIME headers, and all headers of a MIME part."
)
NESTED_HEADER_CHECKS: Final = Tables(
    "nested_header_checks", "$header_checks", doc="As header_checks, for headers of attached messages but MIME headers."
)
BODY_CHECKS: Final = Tables("body_checks", "", doc="Tables that look at each line of a body; see header_checks(5).")
DISABLE_MIME_INPUT_PROCESSING: Final = Boolean(
    "disable_mime_input_processing",
    "no",
    doc="Take all that follows the message's own header for one body, whatever its Content-Type says.",
)
FORCE_MIME_INPUT_CONVERSION: Final = Boolean(
    "force_mime_input_conversion",
    "no",
    doc="Convert 8-bit parts to quoted-printable on the way in, before checks, filters and signatures.",
)
HEADER_ADDRESS_TOKEN_LIMIT: Final = Integer(
    "header_address_token_limit",
    "10240",
    doc="How many words of addresses in one header are handled; what is beyond is dropped when it is written anew.",
    minimum=1,
)
MESSAGE_REJECT_CHARACTERS: Final = String(
    "message_reject_characters", "", doc="Characters for which a message is refused; C's escapes, such as \\0."
)
MESSAGE_STRIP_CHARACTERS: Final = String(
    "message_strip_characters", "", doc="Characters that are taken out of every message; C's escapes, such as \\0."
)
STRICT_7BIT_HEADERS: Final = Boolean("strict_7bit_headers", "no", doc="Refuse messages with 8-bit text in headers.")
STRICT_8BITMIME: Final = Boolean(
    "strict_8bitmime", "no", doc="Both strict_7bit_headers and strict_8bitmime_body, for strict neighbours."
)
STRICT_8BITMIME_BODY: Final = Boolean(
    "strict_8bitmime_body", "no", doc="Refuse messages with 8-bit text in a body that its MIME headers do not announce."
)
STRICT_MIME_ENCODING_DOMAIN: Final = Boolean(
    "strict_mime_encoding_domain",
    "no",
    doc="Refuse messages with a multipart or an attached message that is encoded as a whole.",
)

PARAMETERS: Final = (
    ALWAYS_ADD_MISSING_HEADERS,
    ALWAYS_BCC,
    BODY_CHECKS,
    BODY_CHECKS_SIZE_LIMIT,
    CANONICAL_CLASSES,
    CANONICAL_MAPS,
    CLEANUP_REPLACE_STRAY_CR_LF,
    DETECT_8BIT_ENCODING_HEADER,
    DISABLE_MIME_INPUT_PROCESSING,
    DUPLICATE_FILTER_LIMIT,
    ENABLE_ORIGINAL_RECIPIENT,
    FORCE_MIME_INPUT_CONVERSION,
    HEADER_ADDRESS_TOKEN_LIMIT,
    HEADER_CHECKS,
    HEADER_SIZE_LIMIT,
    HOPCOUNT_LIMIT,
    IN_FLOW_DELAY,
    LINE_LENGTH_LIMIT,
    MASQUERADE_CLASSES,
    MASQUERADE_DOMAINS,
    MASQUERADE_EXCEPTIONS,
    MESSAGE_DROP_HEADERS,
    MESSAGE_REJECT_CHARACTERS,
    MESSAGE_SIZE_LIMIT,
    MESSAGE_STRIP_CHARACTERS,
    MIME_BOUNDARY_LENGTH_LIMIT,
    MIME_HEADER_CHECKS,
    MIME_NESTING_LIMIT,
    MYDESTINATION,
    MYHOSTNAME,
    MYORIGIN,
    NESTED_HEADER_CHECKS,
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
    STRICT_7BIT_HEADERS,
    STRICT_8BITMIME,
    STRICT_8BITMIME_BODY,
    STRICT_MIME_ENCODING_DOMAIN,
    UNDISCLOSED_RECIPIENTS_HEADER,
    VIRTUAL_ALIAS_ADDRESS_LENGTH_LIMIT,
    VIRTUAL_ALIAS_EXPANSION_LIMIT,
    VIRTUAL_ALIAS_MAPS,
    VIRTUAL_ALIAS_RECURSION_LIMIT,
)
