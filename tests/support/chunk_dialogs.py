"""What clients say with BDAT, good and bad: dialogs to be had with two servers, which must answer the same.

A dialog goes to a listener with settings of its own (SERVICES) and has a mailbox of its own. `row`: the two are known
to differ, and this line of docs/compatibility.md says how.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.support import net
from tests.support.mailboxes import DOMAIN

LIMIT: Final = 10_000  # message_size_limit
SILENCE_S: Final = 10
CLOSED: Final = b"closed"

COMMON: Final[Mapping[str, str]] = {
    "message_size_limit": str(LIMIT),
    "mynetworks": "192.0.2.0/24",
    "smtpd_client_port_logging": "yes",
    "smtpd_error_sleep_time": "0",
    "smtpd_soft_error_limit": "100",
    "smtpd_hard_error_limit": "100",
    "smtpd_forbid_unauth_pipelining": "yes",
    "smtpd_forbid_bare_newline": "normalize",
    "smtpd_forbid_bare_newline_exclusions": "",
}
SERVICES: Final[Mapping[str, Mapping[str, str]]] = {
    "plain": {},
    "reject": {"smtpd_forbid_bare_newline": "reject"},
    "no": {"smtpd_forbid_bare_newline": "no"},
    "discard": {"smtpd_discard_ehlo_keywords": "chunking"},
    "data": {"smtpd_data_restrictions": "reject"},
    "later": {"smtpd_data_restrictions": "defer"},
    "end": {"smtpd_end_of_data_restrictions": "reject"},
    "errors": {"smtpd_hard_error_limit": "3"},
    "unlimited": {"message_size_limit": "0"},
    "hold": {"smtpd_data_restrictions": "check_sender_access inline:{s@client.test=DISCARD}"},
    "short": {"smtpd_timeout": "1s"},
    "spoilt": {},  # Postfix 3.7 dies of it
}

EHLO: Final = b"EHLO client.test\r\n"
MAIL: Final = b"MAIL FROM:<s@client.test>\r\n"
RCPT: Final = b"RCPT TO:<%s>\r\n"
OPEN: Final = (EHLO, MAIL, RCPT)
HEAD: Final = b"Subject: x\r\n\r\n"
Step = bytes | tuple[bytes, int]  # what is sent at once, and how many replies it gets


@dataclass(frozen=True, slots=True)
class ChunkDialog:
    """One connection."""

    name: str
    steps: Sequence[Step]
    service: str = "plain"
    row: str = ""
    same_log: bool = True


def chunk(data: bytes, last: str = "") -> bytes:
    """Write a chunk."""
    return b"BDAT %d%s\r\n%s" % (len(data), last.encode(), data)


def last(data: bytes = b"") -> bytes:
    """Write the last chunk."""
    return chunk(data, " LAST")


BYE: Final = b"QUIT\r\n"
NOOP: Final = b"NOOP\r\n"
DATA: Final = b"DATA\r\n"
BIG: Final = chunk(b"x" * (LIMIT + 1))
SIZES: Final = "size of a message by BDAT"
STATE: Final = "`DATA` behind a refused last chunk"

DIALOGS: Final = (
    ChunkDialog("message", [*OPEN, chunk(HEAD + b"x"), last(b"y\r\nz\r\n"), BYE]),
    ChunkDialog("one-chunk", [*OPEN, last(HEAD + b"text\r\n"), MAIL, RCPT, last(HEAD + b"again\r\n"), BYE]),
    ChunkDialog("no-last-line-end", [*OPEN, last(HEAD + b"end"), BYE]),
    ChunkDialog("last-is-cr", [*OPEN, last(HEAD + b"end\r"), BYE]),
    ChunkDialog("empty", [*OPEN, last(), NOOP, BYE]),
    ChunkDialog("empty-last", [*OPEN, chunk(HEAD + b"x\r\n"), last(), BYE]),
    ChunkDialog("cr-lf-apart", [*OPEN, chunk(HEAD + b"a\r"), last(b"\nb\r\n"), BYE]),
    ChunkDialog("dots", [*OPEN, last(HEAD + b".\r\n..\r\n.x\r\n\r\n.\r\nQUIT\r\n"), BYE]),
    ChunkDialog("dots-bare", [*OPEN, last(HEAD + b"x\n.\ny\n..\n.z\n.\n"), BYE]),
    ChunkDialog("bare", [*OPEN, last(HEAD + b"a\rb\nc\n\nd\r\n"), BYE]),
    ChunkDialog("octets", [*OPEN, last(HEAD + bytes(range(1, 10)) + bytes(range(14, 256)) + b"\r\n"), BYE]),
    ChunkDialog("nul", [*OPEN, last(HEAD + b"a\0b\r\n"), BYE]),
    ChunkDialog("long-line", [*OPEN, chunk(HEAD + b"y" * 4000), last(b"z" * 3000), BYE], row=SIZES),
    ChunkDialog("words", [*OPEN, b"bdat 0001 last\r\nx", MAIL, RCPT, b"BDAT\t1 \t LaSt  \r\nx", NOOP, BYE]),
    ChunkDialog("blank-in-front", [*OPEN, b" BDAT 1 LAST\r\nx", BYE]),
    ChunkDialog("zeros", [*OPEN, b"BDAT " + b"0" * 100 + b"1 LAST\r\nx", BYE]),
    ChunkDialog("pipelined", [EHLO, (MAIL + RCPT + chunk(HEAD) + chunk(b"a") + last(b"b\r\n") + NOOP, 6), BYE]),
    ChunkDialog("two-at-once", [EHLO, ((MAIL + RCPT + last(HEAD + b"x\r\n")) * 2 + BYE, 7)]),
    ChunkDialog("no-mail", [EHLO, last(b"QUIT\r\n"), NOOP, BYE]),
    ChunkDialog("no-mail-more", [EHLO, chunk(b"QUIT\r\n"), chunk(b"a"), b"BDAT 0\r\n", last(b"a"), MAIL, BYE]),
    ChunkDialog("no-mail-others", [EHLO, chunk(BYE), MAIL, RCPT, DATA, NOOP, last(), DATA, MAIL, BYE]),
    ChunkDialog("no-mail-rset", [EHLO, chunk(b"x"), b"RSET\r\n", MAIL, RCPT, last(HEAD + b"x\r\n"), BYE]),
    ChunkDialog("no-recipient", [EHLO, MAIL, chunk(b"a"), RCPT, MAIL, DATA, b"BDAT 0\r\n", last(b"a"), RCPT, BYE]),
    ChunkDialog("no-recipient-last", [EHLO, MAIL, last(b"a"), RCPT, NOOP, BYE]),
    ChunkDialog("refused-recipient", [EHLO, MAIL, b"RCPT TO:<x@far.test>\r\n", last(b"a"), RCPT, BYE]),
    ChunkDialog("null", [*OPEN, b"BDAT 0\r\n", chunk(b"x"), DATA, RCPT, MAIL, NOOP, b"BDAT 0\r\n", last(), BYE]),
    ChunkDialog("null-between", [*OPEN, chunk(b"a"), b"BDAT 0\r\n", chunk(b"b"), last(b"c"), NOOP, BYE]),
    ChunkDialog("null-alone", [EHLO, b"BDAT 0\r\n", MAIL, last(), MAIL, BYE]),
    ChunkDialog("others-between", [*OPEN, chunk(HEAD), DATA, RCPT, MAIL, NOOP, b"XYZZY\r\n", last(b"b\r\n"), BYE]),
    ChunkDialog("rset-between", [*OPEN, chunk(b"a"), b"RSET\r\n", DATA, MAIL, RCPT, last(HEAD + b"x\r\n"), BYE]),
    ChunkDialog("ehlo-between", [*OPEN, chunk(b"a"), EHLO, last(b"a"), MAIL, RCPT, last(HEAD + b"x\r\n"), BYE]),
    ChunkDialog("quit-between", [*OPEN, chunk(HEAD + b"a\r\n"), BYE]),
    ChunkDialog("after-last", [*OPEN, last(HEAD + b"a\r\n"), last(b"b"), NOOP, BYE]),
    ChunkDialog("binarymime", [EHLO, b"MAIL FROM:<s@client.test> BODY=BINARYMIME\r\n", BYE]),
    ChunkDialog("size-at-mail", [EHLO, b"MAIL FROM:<s@client.test> SIZE=10001\r\n", RCPT, last(b"a"), BYE]),
    *(
        ChunkDialog(f"syntax-{number}", [*OPEN, b"BDAT%s\r\n" % words, NOOP])
        for number, words in enumerate(
            (b"", b" ", b" x", b" -1", b" +1", b" 0x1", b" <1>", b' "1"', b" 1 2", b" 1 LAST 2", b" 1LAST", b" LAST 1")
        )
    ),
    ChunkDialog("syntax-first", [EHLO, b"BDAT x\r\n", NOOP]),
    ChunkDialog("syntax-between", [*OPEN, chunk(b"a"), b"BDAT 9223372036854775808 LAST\r\n", NOOP]),
    ChunkDialog("too-large", [*OPEN, BIG, chunk(b"abcde"), RCPT, DATA, MAIL, NOOP, last(b"x"), NOOP, BYE]),
    ChunkDialog("too-large-last", [*OPEN, last(b"x" * (LIMIT + 1)), RCPT, MAIL, RCPT, last(HEAD + b"x\r\n"), BYE]),
    ChunkDialog("too-large-sum", [*OPEN, chunk(b"x" * 4000 + b"\r\n"), chunk(b"y" * 5999), chunk(b"z"), last(), BYE]),
    ChunkDialog("too-large-rset", [*OPEN, BIG, b"RSET\r\n", last(b"x"), MAIL, RCPT, last(HEAD + b"x\r\n"), BYE]),
    ChunkDialog("too-large-ehlo", [*OPEN, BIG, EHLO, last(b"x"), MAIL, RCPT, last(HEAD + b"x\r\n"), BYE]),
    ChunkDialog("reject", [*OPEN, chunk(HEAD + b"x\ny\r\n"), chunk(b"a"), last(b"b"), NOOP, BYE], "reject"),
    ChunkDialog("reject-last", [*OPEN, last(HEAD + b"x\ny\r\n"), NOOP, BYE], "reject"),
    ChunkDialog("reject-none", [*OPEN, chunk(HEAD + b"x\r"), last(b"\ny\rz"), NOOP, BYE], "reject"),
    ChunkDialog("reject-command", [*OPEN, b"BDAT 3 LAST\nx\r\n"], "reject", same_log=False),
    ChunkDialog("reject-skipped", [EHLO, last(b"\n"), NOOP, BYE], "reject"),
    ChunkDialog("no", [*OPEN, chunk(HEAD + b"x\ny\n.\n"), last(b".\r\nz\n"), NOOP, BYE], "no"),
    ChunkDialog("no-command", [*OPEN, b"BDAT 17 LAST\n" + HEAD + b"a\r\n", BYE], "no"),
    ChunkDialog("discard", [EHLO, MAIL, RCPT, chunk(NOOP), NOOP], "discard"),
    ChunkDialog("discard-syntax", [EHLO, b"BDAT\r\n", NOOP], "discard"),
    ChunkDialog("data", [*OPEN, chunk(b"a"), chunk(b"b"), last(b"c"), NOOP, BYE], "data"),
    ChunkDialog("data-last", [*OPEN, last(b"a"), NOOP, BYE], "data"),
    ChunkDialog("data-null", [*OPEN, b"BDAT 0\r\n", NOOP, BYE], "data"),
    ChunkDialog("data-large", [*OPEN, BIG, NOOP, BYE], "data"),
    ChunkDialog("later", [*OPEN, chunk(b"a"), last(b"c"), NOOP, BYE], "later"),
    ChunkDialog("end", [*OPEN, chunk(b"a"), last(b"c"), NOOP, BYE], "end"),
    ChunkDialog("errors", [*OPEN, b"BDAT 0\r\n", chunk(b"a"), (chunk(b"b"), 2), NOOP], "errors"),
    ChunkDialog("unlimited", [*OPEN, chunk(HEAD), last(b"x" * 1500), BYE], "unlimited"),
    ChunkDialog("discarded", [*OPEN, chunk(HEAD), last(b"x"), BYE], "hold"),
    ChunkDialog("short", [*OPEN, chunk(b"a"), b"BDAT 5\r\nab", b""], "short", same_log=False),
    ChunkDialog("short-skipped", [EHLO, b"BDAT 5\r\nab", b""], "short"),
    ChunkDialog("helo", [b"HELO client.test\r\n", MAIL, RCPT, last(b"a"), NOOP]),
    ChunkDialog("sent-ahead", [*OPEN, (chunk(b"a") + DATA + b"x\r\n", 2), NOOP]),
    ChunkDialog("lost-inside", [*OPEN, (b"BDAT 10\r\nabc", 0)]),
    ChunkDialog("lost-between", [*OPEN, chunk(b"abc\r\n12345")]),
    ChunkDialog("lost-skipping", [EHLO, (b"BDAT 10\r\nabc", 0)]),
    ChunkDialog("lost-after", [*OPEN, last(HEAD + b"x\r\n")]),
    ChunkDialog("spoilt-data", [*OPEN, b"BDAT 0\r\n", last(), DATA], "spoilt", row=STATE),
    ChunkDialog("end-data", [*OPEN, last(b"c"), DATA], "end", row=STATE),
    ChunkDialog("sum-of-lf", [*OPEN, chunk(b"x\n" * 1500), chunk(b"y" * 5501), last(), BYE], row=SIZES),
    ChunkDialog("sum-of-line", [*OPEN, chunk(b"x" * 400), chunk(b"y" * 9601), last(), BYE], row=SIZES),
    ChunkDialog("far-too-large", [EHLO, (b"BDAT 199999\r\n", 0), b"x" * 199_999, BYE],
                row="`BDAT` of far too many octets"),
    ChunkDialog("mailbox-line", [*OPEN, last(b"From x\r\n" + HEAD + b"x\r\n"), BYE],
                row="first line of content by BDAT"),
    ChunkDialog("continued", [*OPEN, last(b" x\r\n" + HEAD + b"x\r\n"), BYE], row="first line of content by BDAT"),
)  # fmt: skip


@dataclass(slots=True)
class Had:
    """A dialog that was had: the replies, and the client's port."""

    replies: list[bytes]
    port: int


def have(dialog: ChunkDialog, port: int) -> Had:
    """Have a dialog; stops where the server closes."""
    recipient = f"{dialog.name}@{DOMAIN}".encode()
    with net.connect_from_new_port(port, SILENCE_S) as sock, sock.makefile("rb") as stream:
        had = Had([], sock.getsockname()[1])
        _reply(stream.readline)
        for step in dialog.steps:
            data, replies = step if isinstance(step, tuple) else (step, 1)
            try:
                sock.sendall(data % recipient if data is RCPT else data.replace(RCPT, RCPT % recipient))
                had.replies += [_reply(stream.readline) for _ in range(replies)]
            except ConnectionError:
                had.replies.append(CLOSED)
            if had.replies and had.replies[-1] == CLOSED:
                break
    return had


def _reply(read_line: Callable[[], bytes]) -> bytes:
    """Read a reply: its last line, without the queue ID."""
    while (line := read_line())[3:4] == b"-":
        pass
    return re.sub(rb"queued as \w+", b"queued as ID", line.rstrip(b"\r\n")) or CLOSED
