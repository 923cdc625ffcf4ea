"""Recipients for sendmail -t: the addresses of To, Cc and Bcc, or of their Resent- forms when there are any."""

from typing import Final

from posthouse.protocol.address import quote_routed_address
from posthouse.protocol.message.headers import split_header
from posthouse.protocol.message.tokens import parse_addresses

PLAIN: Final = frozenset((b"to", b"cc", b"bcc"))
RESENT: Final = frozenset((b"resent-to", b"resent-cc", b"resent-bcc"))
HEADER_SIZE: Final = 1024 * 1024  # bytes; a larger header names no recipients beyond this


def header_recipients(content: bytes) -> list[str]:
    """Addresses in the header of a message, in order; Resent- headers win (RFC 5322 3.6.6)."""
    plain: list[str] = []
    resent: list[str] = []
    for field in split_header(content, HEADER_SIZE).fields:
        if field.name in PLAIN:
            plain += read_addresses(field.value.decode("utf-8", "surrogateescape"))
        elif field.name in RESENT:
            resent += read_addresses(field.value.decode("utf-8", "surrogateescape"))
    return resent or plain


def read_addresses(text: str) -> list[str]:
    """Addresses of a list in the form of an envelope, with quotes where they are needed."""
    return [quote_routed_address(address) for address in parse_addresses(text)]
