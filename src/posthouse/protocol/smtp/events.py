"""What passes between an SMTP server session and its daemon: events one way, replies the other.

Plain slotted classes: they are made for every command, so they are cheap. Every event but Content and Notice is
answered with one Reply. Refused carries the reply that the protocol itself has for it; the daemon counts, logs, and
sends it (or something harsher).
"""

from dataclasses import dataclass
from enum import Enum

from posthouse.protocol.smtp.replies import Reply


@dataclass(slots=True)
class Helo:
    """HELO or EHLO; a transaction that was open is dropped when the reply is positive."""

    verb: str
    name: str  # as the client said it, control characters replaced


@dataclass(slots=True)
class Mail:
    """MAIL FROM with valid syntax."""

    sender: str  # external form; "" is the null sender
    argument: str  # the path as the client wrote it
    size: int | None = None  # RFC 1870: octets the client announces
    body: str = ""  # "7BIT", "8BITMIME" or "" (not said)
    smtputf8: bool = False
    ret: str = ""  # RFC 3461: "FULL", "HDRS" or ""
    envid: str = ""  # RFC 3461: decoded from xtext
    arrival: int = 0  # XARRIVAL, ours: when the message came to the server before this one; seconds since the epoch


@dataclass(slots=True)
class Rcpt:
    """RCPT TO with valid syntax."""

    recipient: str  # external form
    argument: str  # the path as the client wrote it
    notify: frozenset[str] = frozenset()  # RFC 3461: of NEVER SUCCESS FAILURE DELAY
    orcpt: str = ""  # RFC 3461: "type;address", decoded from xtext


@dataclass(slots=True)
class Data:
    """DATA where it may come; 354 starts the content."""


@dataclass(slots=True)
class Content:
    """A piece of message content, LF line ends. Not answered."""

    data: bytes


@dataclass(slots=True)
class EndOfContent:
    """The final dot; the reply ends the transaction, whatever it says (RFC 5321 4.1.1.4)."""

    size_bytes: int  # with CRLF line ends
    bare_lf: bool  # a line ended with LF alone (SMTP smuggling; postconf(5): smtpd_forbid_bare_newline)
    bare_cr: bool


@dataclass(slots=True)
class Bdat:
    """BDAT where it may come (RFC 3030 2). START_CHUNK takes its octets, a reply that closes ends the session.

    Any other refusal waits until the octets are read: it answers the EndOfChunk or EndOfChunks.
    """

    size: int  # octets of this chunk
    last: bool
    first: bool  # of its message
    before: int  # octets of the chunks before it


@dataclass(slots=True)
class EndOfChunk:
    """A chunk that is not the last one is complete; when it is refused, those that follow are discarded."""

    size: int
    bare_lf: bool  # looked for with smtpd_forbid_bare_newline = reject only


class EndOfChunks(EndOfContent):
    """The last chunk is complete. Like the final dot; the last line has its line end, and the size counts it."""

    __slots__ = ()


@dataclass(slots=True)
class Rset:
    """RSET."""


@dataclass(slots=True)
class Noop:
    """NOOP."""


@dataclass(slots=True)
class Quit:
    """QUIT; the session closes with the reply."""


@dataclass(slots=True)
class Help:
    """HELP."""


@dataclass(slots=True)
class Vrfy:
    """VRFY with valid syntax."""

    address: str  # external form
    argument: str  # as the client wrote it
    smtputf8: bool = False


class Reason(Enum):
    """Why the protocol refuses a command."""

    SYNTAX = "the command or an argument is malformed"
    SEQUENCE = "not allowed now"
    UNKNOWN = "no such command"
    FORBIDDEN = "not SMTP at all: another protocol speaks"
    TOO_LONG = "command line too long"
    BAD_UTF8 = "malformed UTF-8"
    PIPELINING = "commands sent before they were allowed"
    BARE_LF = "command line ends with LF alone"
    DENIED = "the client was refused when it connected"
    IGNORED = "a word that does nothing (smtpd_noop_commands): the reply is a good one"


@dataclass(slots=True)
class Refused:
    """A command that the protocol refuses, or takes no notice of; answer with `reply`."""

    reason: Reason
    verb: str  # upper case; "" when there is none
    line: str  # what the client said, or what it sent too early, cut to a length for the log; not cleaned
    reply: Reply


@dataclass(slots=True)
class Notice:
    """Improper pipelining that is let pass (smtpd_forbid_unauth_pipelining = no). Once a session; not answered."""

    verb: str
    line: str


Event = (
    Helo
    | Mail
    | Rcpt
    | Data
    | Bdat
    | Content
    | EndOfChunk
    | EndOfContent
    | Rset
    | Noop
    | Quit
    | Help
    | Vrfy
    | Refused
    | Notice
)
