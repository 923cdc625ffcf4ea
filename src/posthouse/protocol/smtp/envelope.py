"""The envelope a client sends: MAIL and RCPT with the parameters that the server understands.

A parameter that the server did not offer is left out. Sources: RFC 5321 4.1.1.2 and 4.1.1.3, RFC 1870, RFC 6152,
RFC 6531, RFC 3461, RFC 6533.
"""

import re
from dataclasses import dataclass
from typing import Final

from posthouse.protocol import utf8_xtext
from posthouse.protocol.smtp.features import Features
from posthouse.protocol.status import encode_xtext

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_NOTIFY_ORDER: Final = ("NEVER", "SUCCESS", "FAILURE", "DELAY")


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT command."""

    address: str  # external form
    notify: frozenset[str] = frozenset()
    orcpt: str = ""  # "type;address", decoded


@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail transaction."""

    sender: str  # external form; "" is the null sender
    recipients: tuple[Recipient, ...]
    size_bytes: int = 0  # with CRLF line ends; 0: not known
    body: str = ""  # what is said of the content's octets: "7BIT", "8BITMIME"; "": nothing
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""  # decoded
    arrival: int = 0  # when it came to us, seconds since the epoch; 0: not to be said


def is_sendable(address: str) -> bool:
    """Whether an address can stand in a command at all: no control character ends the line early."""
    return _CONTROLS.search(address) is None


def format_mail(envelope: Envelope, features: Features) -> bytes:
    """Write the MAIL command."""
    keywords = features.keywords
    command = f"MAIL FROM:<{envelope.sender}>"
    if envelope.size_bytes and "SIZE" in keywords:
        command += f" SIZE={envelope.size_bytes}"
    if envelope.body and "8BITMIME" in keywords:
        command += f" BODY={envelope.body}"
    if envelope.arrival and "XARRIVAL" in keywords:  # ours: a Posthouse that trusts us keeps the message's age
        command += f" XARRIVAL={envelope.arrival}"
    if "DSN" in keywords:
        if envelope.envid:
            command += f" ENVID={encode_xtext(_octets(envelope.envid))}"
        if envelope.ret:
            command += f" RET={envelope.ret}"
    if envelope.smtputf8 and "SMTPUTF8" in keywords:
        command += " SMTPUTF8"
    return _octets(command) + b"\r\n"


def format_rcpt(recipient: Recipient, features: Features) -> bytes:
    """Write a RCPT command."""
    command = f"RCPT TO:<{recipient.address}>"
    if "DSN" in features.keywords:
        if ";" in recipient.orcpt:
            command += f" ORCPT={_orcpt(recipient.orcpt)}"
        if recipient.notify:
            command += " NOTIFY=" + ",".join(name for name in _NOTIFY_ORDER if name in recipient.notify)
    return _octets(command) + b"\r\n"


def _orcpt(original: str) -> str:
    """Write an original recipient: in xtext (RFC 3461 4.2), or of type utf-8 in utf-8-addr-xtext (RFC 6533 3)."""
    kind, _, address = original.partition(";")
    if kind.lower() == "utf-8":
        try:
            return f"{kind};{utf8_xtext.encode(address, '+=')}"
        except ValueError:  # it is none
            kind = "rfc822"
    return f"{kind};{encode_xtext(_octets(address))}"


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
