"""What the MIME parser says about a message (events), what it found wrong (problems), and what bounds it (limits)."""

from enum import Enum
from typing import Final, NamedTuple


class Part(Enum):
    """Where a header stands."""

    MAIN = "main"  # the message's own header
    MULTIPART = "multipart"  # the header of a part
    NESTED = "nested"  # the header of an attached message


class Problem(Enum):
    """What may be wrong with a message: a name, words for the log, and for a refusal; Postfix's (facts B07.13-15)."""

    EIGHT_BIT_HEADER = "8bit_header", "improper use of 8-bit data in message header"
    EIGHT_BIT_BODY = "8bit_body", "improper use of 8-bit data in message body"
    ENCODING_DOMAIN = "encoding_domain", "invalid message/* or multipart/* encoding domain"
    HEADER_TOO_LONG = "header_too_long", "message header length exceeds safety limit"
    NESTING = "nesting", "MIME nesting exceeds safety limit"
    NON_EMPTY_END = (
        "non_empty_end_of_header",
        "primary header was terminated with non-empty line",
        "non-empty end-of-header",
    )

    def __init__(self, short: str, words: str, summary: str = "") -> None:
        self.short = short
        self.words = words
        self.summary = summary or words


class Limits(NamedTuple):
    """Bounds, in octets but for the first. Source: postconf(5), parameters of these names."""

    nesting: int = 100  # multiparts within each other: mime_nesting_limit
    header_size: int = 102_400  # one header with its continuation lines: header_size_limit
    boundary: int = 2048  # what of a boundary is compared: mime_boundary_length_limit
    line_length: int = 2048  # longer lines come in pieces: line_length_limit


DEFAULT_LIMITS: Final = Limits()


class HeaderField(NamedTuple):
    """One header with its continuation lines, joined by LF, without the last LF, without blanks before the colon."""

    part: Part
    name: bytes  # lower case
    data: bytes
    offset: int  # as Postfix counts: see MimeParser


class HeadersEnd(NamedTuple):
    """The message's own header ends; once in each message."""


class BodyLine(NamedTuple):
    """A line without its LF, or a piece of a long one: then it is not complete and goes on with the next event."""

    data: bytes
    offset: int  # in its segment: from the last header or closed multipart on
    complete: bool


class BodyChunk(NamedTuple):
    """Octets of a body as they are, with their line ends; where one ends says nothing."""

    data: bytes


class Found(NamedTuple):
    """A problem, the first of its kind in the message. text: at most 100 octets of what it was found in."""

    problem: Problem
    text: bytes


class MessageEnd(NamedTuple):
    """The message is over; the last event."""


Event = HeaderField | HeadersEnd | BodyLine | BodyChunk | Found | MessageEnd
