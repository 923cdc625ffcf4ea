"""Replies: what the server says, and the fixed ones the protocol itself has, worded as Postfix words them.

A reply never carries control characters to the wire: text comes from clients and tables, too. Replies that depend on
policy are made by the daemon. Sources: RFC 5321 4.2, RFC 3463, RFC 2034; facts (smtpd.c).
"""

import re
from functools import lru_cache
from typing import Final

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# reply-line with its code, an optional status, text (RFC 5321 4.2, RFC 2034 4)
_REPLY: Final = re.compile(
    r"([2-5][0-5][0-9])(?:[ \t]+([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![^ \t]))?[ \t]*(.*)", re.ASCII | re.DOTALL
)
CLOSING: Final = frozenset({421, 521})  # RFC 5321 3.8, RFC 7504


class Reply:
    """One reply. `wire` is computed once, so the constant ones cost nothing when they are sent."""

    __slots__ = ("closes", "code", "status", "text", "wire")

    def __init__(self, code: int, status: str, text: str, *, closes: bool = False) -> None:
        if not text.isascii() or not text.isprintable():
            text = clean(text)
        self.code = code
        self.status = status  # RFC 3463; "" where RFC 2034 has none (greeting, EHLO, 354)
        self.text = text
        self.closes = closes or code in CLOSING
        self.wire = (f"{code} {status} {text}\r\n" if status else f"{code} {text}\r\n").encode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reply) and self.wire == other.wire and self.closes == other.closes

    def __hash__(self) -> int:
        return hash(self.wire)

    def __repr__(self) -> str:
        return f"Reply({self.code}, {self.status!r}, {self.text!r}, closes={self.closes})"

    def __str__(self) -> str:
        return f"{self.code} {self.status} {self.text}" if self.status else f"{self.code} {self.text}"

    def softened(self) -> "Reply":
        """Make a permanent refusal a temporary one."""
        status = f"4{self.status[1:]}" if self.status else ""
        return Reply(self.code - 100, status, self.text, closes=self.closes)

    @classmethod
    def of_lines(cls, code: int, lines: tuple[str, ...], *, status: str = "") -> "Reply":
        """Make a reply of several lines (EHLO, HELP)."""
        reply = cls(code, status, lines[-1])
        front = f"{status} " if status else ""
        head = "".join(f"{code}-{front}{clean(line)}\r\n" for line in lines[:-1])
        reply.wire = head.encode() + reply.wire
        return reply

    @classmethod
    def parse(cls, text: str) -> "Reply | None":
        """Read "550 5.7.1 No" as policy and tables write it; None: it does not begin with a reply code."""
        match = _REPLY.fullmatch(text)
        if match is None:
            return None
        return cls(int(match[1]), match[2] or "", match[3])


def clean(text: str) -> str:
    """Replace what must not reach a client or a log."""
    return _UNPRINTABLE.sub("?", text)


OK: Final = Reply(250, "2.0.0", "Ok")
SENDER_OK: Final = Reply(250, "2.1.0", "Ok")
RECIPIENT_OK: Final = Reply(250, "2.1.5", "Ok")
START_CONTENT: Final = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
BYE: Final = Reply(221, "2.0.0", "Bye")
START_CHUNK: Final = Reply(354, "", "The octets follow their command")  # the session takes it as a word of ours:
START_CHUNK.wire = b""  # clients hear nothing before the end of a chunk (RFC 3030 2)

NOT_SMTP: Final = Reply(221, "2.7.0", "Error: I can break rules, too. Goodbye.", closes=True)
SYNCHRONIZATION: Final = Reply(554, "5.5.0", "Error: SMTP protocol synchronization", closes=True)
ACCESS_DENIED: Final = Reply(503, "5.7.0", "Error: access denied")
NOT_RECOGNIZED: Final = Reply(500, "5.5.2", "Error: command not recognized")
BAD_SYNTAX: Final = Reply(500, "5.5.2", "Error: bad syntax")
BAD_UTF8: Final = Reply(500, "5.5.2", "Error: bad UTF-8 syntax")

HELO_SYNTAX: Final = Reply(501, "", "Syntax: HELO hostname")
EHLO_SYNTAX: Final = Reply(501, "", "Syntax: EHLO hostname")
MAIL_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: MAIL FROM:<address>")
RCPT_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: RCPT TO:<address>")
DATA_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: DATA")
RSET_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: RSET")
VRFY_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: VRFY address")
VRFY_UTF8_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: VRFY address [SMTPUTF8]")
BDAT_SYNTAX: Final = Reply(521, "5.5.4", "Syntax: BDAT count [LAST]")  # where its octets end, nobody knows
NO_CHUNKING: Final = Reply(521, "5.5.1", "Error: command not implemented")  # the same
BAD_SENDER: Final = Reply(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT: Final = Reply(501, "5.1.3", "Bad recipient address syntax")
BAD_SIZE: Final = Reply(501, "5.5.4", "Bad message size syntax")
TOO_BIG_TO_COUNT: Final = Reply(552, "5.3.4", "Message size exceeds file system imposed limit")
BAD_RET: Final = Reply(501, "5.5.4", "Bad RET parameter syntax")
BAD_ENVID: Final = Reply(501, "5.5.4", "Bad ENVID parameter syntax")
BAD_NOTIFY: Final = Reply(501, "5.5.4", "Error: Bad NOTIFY parameter syntax")
BAD_ORCPT: Final = Reply(501, "5.5.4", "Error: Bad ORCPT parameter syntax")
NO_DSN: Final = Reply(501, "5.7.1", "DSN support is disabled")

HELO_FIRST: Final = Reply(503, "5.5.1", "Error: send HELO/EHLO first")
NESTED_MAIL: Final = Reply(503, "5.5.1", "Error: nested MAIL command")
NEED_MAIL: Final = Reply(503, "5.5.1", "Error: need MAIL command")
NEED_RCPT: Final = Reply(503, "5.5.1", "Error: need RCPT command")
NO_RECIPIENTS: Final = Reply(554, "5.5.1", "Error: no valid recipients")
MAIL_AFTER_BDAT: Final = Reply(503, "5.5.1", "Error: MAIL after BDAT")
RCPT_AFTER_BDAT: Final = Reply(503, "5.5.1", "Error: RCPT after BDAT")
DATA_AFTER_BDAT: Final = Reply(503, "5.5.1", "Error: DATA after BDAT")
NULL_CHUNK: Final = Reply(551, "5.7.1", "Null BDAT request")
CHUNK_TOO_LARGE: Final = Reply(552, "5.3.4", "Chunk exceeds message size limit")
VRFY_DISABLED: Final = Reply(502, "5.5.1", "VRFY command is disabled")


def unsupported(option: str) -> Reply:
    """Make the reply to an ESMTP parameter that is unknown, malformed or not offered (RFC 5321 4.1.1.11)."""
    return Reply(555, "5.5.4", f"Unsupported option: {option}")


@lru_cache(maxsize=64)  # clients send chunks of one size
def chunk_accepted(size: int) -> Reply:
    """Make the reply to a chunk that more are to follow."""
    return Reply(250, "2.0.0", f"Ok: {size} bytes")


def chunk_discarded(size: int) -> Reply:
    """Make the reply to a chunk that came after one that was refused."""
    return Reply(551, "5.0.0", f"Discarded {size} bytes after earlier error")


def closing(reply: Reply) -> Reply:
    """Make the same reply, and the end of the session."""
    return Reply(reply.code, reply.status, reply.text, closes=True)
