"""Messages made by chance, each from its number alone: headers in all states, MIME trees, odd bodies, odd envelopes."""

import random
from collections.abc import Callable
from typing import Final

from tests.support import mime_messages, odd_addresses
from tests.support.exact_client import Letter

ADDRESS_FIELDS: Final = (
    *(b"From", b"To", b"Cc", b"Sender", b"Reply-To", b"Bcc", b"Errors-To", b"Return-Path", b"Apparently-To"),
    *(b"Resent-From", b"Resent-To", b"Resent-Cc", b"Resent-Bcc", b"Resent-Sender", b"Resent-Reply-To"),
    *(b"Return-Receipt-To", b"Disposition-Notification-To", b"Mail-Followup-To", b"FROM", b"to", b"X-To"),
)
OTHER_FIELDS: Final = (
    b"Subject: plain",
    b"Subject: =?utf-8?B?w6TDtsO8?= =?iso-8859-1?Q?=E4_x?=",
    b"Subject: \xc3\xa4\xc3\xb6\xfc raw",
    b"Subject:",
    b"Subject: ",
    b"Subject:no blank",
    b"Subject : blank before the colon",
    b"Subject\t: tab before the colon",
    b"X-Empty:",
    b"X-Folded: one\r\n two\r\n\tthree\r\n   ",
    b"X-Folded-Empty:\r\n \r\n\t\r\n x",
    b"X-Long: " + b"long " * 400,
    b"X-Wide: " + b"w" * 1200,
    b"Date: Sun, 22 Nov 2026 20:00:00 +0000",
    b"date: nonsense",
    b"Message-ID: <given@client.test>",
    b"Message-Id:<folded.\r\n id@client.test>",
    b"Message-Id: two <a@b> <c@d>",
    b"Resent-Date: Sun, 22 Nov 2026 21:00:00 +0000",
    b"Resent-Message-Id: <resent@client.test>",
    b"Received: from a by b; Sun, 22 Nov 2026 19:00:00 +0000",
    b"Received: (nothing)\r\n\tmore",
    b"Content-Length: 17",
    b"Content-Transfer-Encoding: 8bit",
    b"Content-Transfer-Encoding: base64",
    b"Content-Type: text/plain; charset=utf-8",
    b"MIME-Version: 1.0",
    b"Status: RO",
    b"X-Secret: x",
    b"x-under_score: 1",
    b"X-Nul: a\0b",
    b"X-Cr: a\rb",
    b"X-Control: \x01\x7f",
    b"Delivered-To: loop@far.test",
    b"X-Original-To: x",
    b"Lines: 3",
    b"List-Id: <list.example.test>",
    b"Precedence: bulk",
    b"1234: numbers",
    b"!#$%&'*: marks",
)
BREAKS: Final = (
    *(b"not a header", b"From sender@client.test Sun Nov 22 20:00:00 2026", b">From me", b" continued at once"),
    *(b": no name", b"two words: x", b"\xc3\xa4-name: x", b"-- ", b"\tTab", b"no-colon"),
)
BODIES: Final = (
    *(b"", b"\r\n", b"text\r\n", b"no end of line", b"\r\n\r\n\r\n", b".\r\n..\r\n.x\r\n", b"From here\r\n>From\r\n"),
    *(b"\xc3\xa4 8 bit\r\n\xff\xfe\r\n", b"nul\0here\r\n", b"cr\rhere\r\nand\r\r\nthere\r\n", b"lf only\nhere\r\n"),
    *(b"x" * 998 + b"\r\n" + b"y" * 1500 + b"\r\n", b"z" * 5000, b"  blanks \t\r\n\t\r\n", b"To: in@body\r\n"),
    *(b"--boundary\r\n", b"=C3=A4=\r\n", b"\xc3\xa4" * 1200 + b"\r\n", b"end\r\n\r\n", b"\x01\x1b[31m\r\n", b" \r\n"),
)
DEFAULT_FIELDS: Final = (
    b"From: Sender <sender@client.test>",
    b"To: user@far.test",
    b"Date: Sun, 22 Nov 2026 20:00:00 +0000",
    b"Message-ID: <given@client.test>",
    b"Subject: usual",
)


def address_field(source: random.Random) -> bytes:
    """Give a header with addresses."""
    colon = source.choice((b": ", b": ", b":", b" : ", b":\r\n\t", b":  "))
    value = source.choice((b"", b" ")) if source.random() < 0.05 else odd_addresses.some(source)
    return source.choice(ADDRESS_FIELDS) + colon + value


def headers(source: random.Random) -> bytes:
    """Headers in any state: usual ones left out or doubled, odd ones between, maybe a line that is none."""
    fields = [field for field in DEFAULT_FIELDS if source.random() < 0.6]
    fields += [address_field(source) for _ in range(source.randrange(4))]
    fields += [source.choice(OTHER_FIELDS) for _ in range(source.randrange(4))]
    source.shuffle(fields)
    if source.random() < 0.1:
        fields.insert(source.randrange(len(fields) + 1), source.choice(BREAKS))
    lines = b"".join(field + b"\r\n" for field in fields)
    return lines + (b"" if source.random() < 0.05 else b"\r\n") + source.choice(BODIES)


def addresses(source: random.Random) -> bytes:
    """Nothing but headers with addresses behind the usual ones."""
    fields = [*DEFAULT_FIELDS[2:], *(address_field(source) for _ in range(source.randrange(1, 7)))]
    return b"".join(field + b"\r\n" for field in fields) + b"\r\nbody\r\n"


def mime_lines(source: random.Random) -> bytes:
    """Lines that mean something to a MIME parser, in any order."""
    return mime_messages.lines(source).replace(b"\n", b"\r\n").replace(b"\r\r\n", b"\r\n")


def mime_tree(source: random.Random) -> bytes:
    """A well-formed tree, some of its text 8-bit."""
    text = mime_messages.Tree(source).text.replace(b"\n", b"\r\n")
    return text.replace(b"text\r\n", b"t\xc3\xa4xt\r\n", source.randrange(3))


def bodies(source: random.Random) -> bytes:
    """The usual headers and some odd lines."""
    head = b"".join(field + b"\r\n" for field in DEFAULT_FIELDS)
    return head + b"\r\n" + b"".join(source.choice(BODIES) for _ in range(source.randrange(1, 5)))


FAMILIES: Final[dict[str, Callable[[random.Random], bytes]]] = {
    "headers": headers,
    "addresses": addresses,
    "mime-lines": mime_lines,
    "mime-tree": mime_tree,
    "bodies": bodies,
}


def make(seed: str, families: tuple[str, ...]) -> Letter:
    """Make the message of a seed; the seed is its name."""
    source = random.Random(seed)
    content = FAMILIES[source.choice(families)](source)
    sender = b"<>" if source.random() < 0.1 else odd_addresses.path(source)
    count = source.choice((1, 1, 1, 2, 3, 8))
    recipients = tuple(odd_addresses.path(source) for _ in range(count))
    if source.random() < 0.2:
        recipients += recipients[:1]
    options = source.choice((b"", b"", b" BODY=8BITMIME", b" BODY=7BIT", b" RET=HDRS"))
    notify = source.choice((b"", b"", b"", b" NOTIFY=NEVER", b" NOTIFY=SUCCESS,FAILURE", b" NOTIFY=DELAY"))
    return Letter(seed, content, sender, recipients, options, notify)
