"""Where a conversation of the SMTP server may stand, and what may follow what: the tables of server.py.

Sources: RFC 5321 4.1.4, RFC 3030; facts B04.*, and what Debian's Postfix answers (tests/support/chunk_dialogs.py).
"""

from enum import Enum
from typing import Final

from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.replies import Reply


class State(Enum):
    """Where the conversation stands (RFC 5321 4.1.4)."""

    CONNECTED = "no greeting sent yet"
    DENIED = "the client was refused when it connected; it can only leave"
    NEW = "no HELO or EHLO yet"
    GREETED = "no mail transaction open"
    MAIL = "sender accepted, no recipient yet"
    RCPT = "at least one recipient accepted"
    DATA = "receiving message content"
    CHUNK = "receiving the octets of a BDAT command"
    CHUNKS = "at least one chunk accepted, the last one is to come"
    FAILED = "a chunk was refused: those that follow are discarded"
    STRAY = "a chunk came without a transaction: those that follow are discarded"
    CLOSED = "nothing more will be read"

    __hash__ = object.__hash__  # TRANSITIONS is looked up for each command; Enum's own hash is written in Python


# A verb answered with 2xx or 3xx moves the session from the row's state to the one named. "." is the end of content;
# it ends the transaction whatever the reply (RFC 5321 4.1.1.4). HELO and EHLO drop an open transaction (4.1.4). What
# NEW is after a transaction without HELO, GREETED is with one: _home() says which. "+" is the end of a chunk that is
# not the last one. BDAT where no row has it is refused when its octets are read; what it moves then, _skip() says.
_C, _Q, _N, _G, _M, _R, _D, _B, _K, _F, _S, _X = State
_BETWEEN: Final = {"EHLO": _G, "HELO": _G, "RSET": _G, "QUIT": _X}  # chunks, good or bad
TRANSITIONS: Final[dict[State, dict[str, State]]] = {
    _C: {},
    _Q: {"QUIT": _X},
    _N: {"EHLO": _G, "HELO": _G, "RSET": _N, "NOOP": _N, "HELP": _N, "VRFY": _N, "QUIT": _X, "MAIL": _M},
    _G: {"EHLO": _G, "HELO": _G, "RSET": _G, "NOOP": _G, "HELP": _G, "VRFY": _G, "QUIT": _X, "MAIL": _M},
    _M: {"EHLO": _G, "HELO": _G, "RSET": _G, "NOOP": _M, "HELP": _M, "VRFY": _M, "QUIT": _X, "RCPT": _R},
    _R: {
        "EHLO": _G,
        "HELO": _G,
        "RSET": _G,
        "NOOP": _R,
        "HELP": _R,
        "VRFY": _R,
        "QUIT": _X,
        "RCPT": _R,
        "DATA": _D,
        "BDAT": _B,
    },
    _D: {".": _G},
    _B: {"+": _K, ".": _G},
    _K: _BETWEEN | {"NOOP": _K, "HELP": _K, "VRFY": _K, "BDAT": _B},
    _F: _BETWEEN | {"NOOP": _F, "HELP": _F, "VRFY": _F},
    _S: _BETWEEN | {"NOOP": _S, "HELP": _S, "VRFY": _S},
    _X: {},
}
VERBS: Final = frozenset(verb for row in TRANSITIONS.values() for verb in row) - {".", "+"}
SEQUENCE_REPLIES: Final[dict[tuple[State, str], Reply]] = {
    (_M, "MAIL"): replies.NESTED_MAIL,
    (_R, "MAIL"): replies.NESTED_MAIL,
    (_N, "RCPT"): replies.NEED_MAIL,
    (_G, "RCPT"): replies.NEED_MAIL,
    (_N, "DATA"): replies.NEED_RCPT,
    (_G, "DATA"): replies.NEED_RCPT,
    (_M, "DATA"): replies.NO_RECIPIENTS,
    (_K, "MAIL"): replies.NESTED_MAIL,
    (_F, "MAIL"): replies.NESTED_MAIL,
    (_S, "MAIL"): replies.MAIL_AFTER_BDAT,
    (_K, "RCPT"): replies.RCPT_AFTER_BDAT,
    (_F, "RCPT"): replies.RCPT_AFTER_BDAT,
    (_S, "RCPT"): replies.NEED_MAIL,
    (_K, "DATA"): replies.DATA_AFTER_BDAT,
    (_F, "DATA"): replies.DATA_AFTER_BDAT,
    (_S, "DATA"): replies.DATA_AFTER_BDAT,
    (_N, "BDAT"): replies.NEED_RCPT,
    (_G, "BDAT"): replies.NEED_RCPT,
    (_M, "BDAT"): replies.NO_RECIPIENTS,
}
TRANSACTION: Final = frozenset({State.MAIL, State.RCPT, State.DATA, State.CHUNK, State.CHUNKS, State.FAILED})
