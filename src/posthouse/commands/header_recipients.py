"""Recipients for sendmail -t: the addresses of To, Cc and Bcc, or of their Resent- forms when there are any."""

from posthouse.protocol.message.headers import split_headers
from posthouse.protocol.message.tokens import parse_addresses


def header_recipients(content: bytes) -> list[str]:
    """Addresses in the header of a message, in order; Resent- headers win (RFC 5322 3.6.6)."""
    plain: list[str] = []
    resent: list[str] = []
    for header in split_headers(content):
        name = header.name.lower()
        if name in (b"to", b"cc", b"bcc"):
            plain += parse_addresses(header.value)
        elif name in (b"resent-to", b"resent-cc", b"resent-bcc"):
            resent += parse_addresses(header.value)
    return resent or plain
