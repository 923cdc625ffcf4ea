"""What SMTP clients and servers say: by the grammar, nearly by it, and damaged."""

import itertools
import random
import re
from functools import cache
from pathlib import Path
from typing import Final

from tests.dialogs.dialog import octets, read_dialog
from tests.fuzz.mutate import damaged

DIALOGS: Final = Path(__file__).resolve().parent.parent / "dialogs"
SEED: Final = 8  # octets in front of each input: what settings, decisions and cuts follow from
ENDS: Final = (b"\r\n",) * 12 + (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\x00\r\n", b"\x85", b"\xe2\x80\xa8", b"\x0b", b"")
LOCAL: Final = (
    b"a", b"alice", b"bob", b"fail", b"a.b", b"a+b", b'"a b"', b'"a\\"b"', b'"a  b"', b"-x", "jürgen".encode()
)  # fmt: skip
DOMAIN: Final = (
    b"example.test", b"ext.test", b"[127.0.0.1]", b"[IPv6:::1]", b"x", b"-x", "bücher.test".encode(), b"a..b"
)  # fmt: skip
ODD: Final = (
    b"", b"<", b">", b"@", b"<>", b"<@>", b"<a b>", b"<a>b", b'"', b'"<>', b"\\", b"(c)", b"<a@b,c@d>", b"<@r:a@b>",
    b"a@b", b"< a@b >", b"<a@b.>", b"<\x01@b>", b"<\xff@b>", b"postmaster", b"<postmaster>", b"<|/bin/sh@x>",
    b"<" * 20, b"(" * 90, b"<a@" + b"x." * 200 + b"y>", b"a" * 1500, "\u017f@\u0131".encode(), "<a@b\u00a0c>".encode(),
    b"<a@b>\x00",
)  # fmt: skip
PARAMETERS: Final = (
    b"SIZE=1", b"SIZE=99999", b"size=0", b"SIZE=", b"SIZE=-1", b"SIZE=" + b"9" * 30, b"BODY=8BITMIME", b"BODY=7bit",
    b"BODY=x", b"SMTPUTF8", b"SMTPUTF8=x", b"RET=FULL", b"ret=hdrs", b"RET=x", b"ENVID=a+2Bb", b"ENVID=+",
    b"ENVID=+0A", b"AUTH=<>", b"NOTIFY=NEVER", b"NOTIFY=SUCCESS,FAILURE", b"NOTIFY=never,delay", b"NOTIFY=", b"NOTIFY",
    b"ORCPT=rfc822;a@b", b"ORCPT=utf-8;\\x{FC}", b"ORCPT=rfc822;+0D+0A", b"ORCPT=;", b"XARRIVAL=1700000000", b"X=Y",
    b"=", "\u017fIZE=1".encode(), b"SIZE=1\xc2\xa0RET=FULL", b"SIZE=1\x1cRET=FULL", b"SIZE=1\x00",
)  # fmt: skip
FOR_MAIL: Final = (
    b"SIZE=1", b"SIZE=900", b"BODY=8BITMIME", b"BODY=7bit", b"SMTPUTF8", b"RET=HDRS", b"ENVID=a+2Bb", b"AUTH=<>"
)  # fmt: skip
FOR_RCPT: Final = (b"NOTIFY=NEVER", b"NOTIFY=success,DELAY", b"ORCPT=rfc822;a+2Bb@c")
TEXTS: Final = (
    b"Subject: x", b"", b".", b"..", b".x", b"...", b"From me", b">From me", b">>From " + b"me " * 900, b" x", b"\tx",
    b"x" * 998, b"x" * 3000, b"\x00", b"\xff\xfe", b"\xc3\xa4", b"a\rb", b"\r", b"\x1a", b"QUIT",
    b"MAIL FROM:<e@ext.test>", b"Received: x", b"y: " + b"z" * 200,
)  # fmt: skip
TWINS: Final = (("S", "\u017f"), ("I", "\u0131"), ("K", "\u212a"))  # of which one's upper case is the other's
ALIKE: Final = (
    "DATA",
    "RSET",
    "QUIT",
    "NOOP",
    "ehlo x",
    "MAIL FROM:<a@b>",
    "BDAT 1 LAST",
    "VRFY a",
    "HELP",
    "SMTPUTF8",
)
SMUGGLED: Final = b"MAIL FROM:<e@ext.test>\r\nRCPT TO:<alice@example.test>\r\n"
HELLOS: Final = (b"EHLO ", b"HELO ", b"ehlo ")
NAMES: Final = (b"c.test", b"[1.2.3.4]", b"a;b", b"x" * 300, b"\xff")
LASTS: Final = (b"", b"", b" LAST", b" last", b"  LAST ", b" LAS")
OTHERS: Final = (
    b"GET / HTTP/1.0", b"CONNECT x:25", b"Host: x", b"Subject: x", b"STARTTLS", b"AUTH PLAIN x", b"ETRN x", b"EXPN x",
    b"XNOP", b"LHLO x", b".", b"\x16\x03\x01", b"SSH-2.0-x", b"", b" ", b"\t", b"\x00", b"\xff", b"DATA\x00",
    b"DATA x", b"RSET x", b"QUIT x", b"NOOP x", b"HELP x", b"VRFY", b"EHLO", b"HELO", b"EHLO \x01", b"MAIL", b"RCPT",
    b"MAIL FROM:", b"MAIL FROM:<>", b"MAILFROM:<>", b"  DATA", b"\tRSET", b"DATA\t", b"DATA\v", b"DATA\f", b"\x85DATA",
    "\u00a0DATA".encode(), b"XCLIENT ADDR=1.2.3.4",
)  # fmt: skip


def message(source: random.Random) -> bytes:
    """Give content as it stands behind DATA, mostly well-formed, with all forms of an end."""
    lines = [source.choice(TEXTS) for _ in range(source.choice((0, 1, 2, 3, 8)))]
    if source.random() < 0.1:
        return b"".join(line + source.choice(ENDS) for line in lines) + b"\r\n.\r\n"
    wire = b"".join((b"." + line if line[:1] == b"." and source.random() < 0.8 else line) + b"\r\n" for line in lines)
    if source.random() < 0.5:
        smuggled = source.choice(ENDS) + b"." + source.choice(ENDS) + SMUGGLED
        at = source.randrange(len(wire) + 1)
        wire = wire[:at] + smuggled + wire[at:]
    return wire + (b"x\r\n.\r\n" if wire and not wire.endswith(b"\n") else b".\r\n")


def path(source: random.Random, domain: bytes = b"example.test") -> bytes:
    """Give an address as it stands in a command."""
    if source.random() < 0.9:
        return b"<" + source.choice(LOCAL[:4]) + b"@" + domain + b">"
    if source.random() < 0.4:
        return source.choice(ODD)
    return b"<" + source.choice(LOCAL) + b"@" + source.choice(DOMAIN) + b">"


def mail(source: random.Random) -> bytes:
    """Give MAIL."""
    command = b"MAIL FROM:"
    if source.random() < 0.05:
        command = source.choice((b"mail from: ", b"MAIL\tFROM:", b" MAIL FROM:\t"))
    return command + path(source, b"ext.test") + parameters(source, FOR_MAIL)


def rcpt(source: random.Random) -> bytes:
    """Give RCPT."""
    command = b"RCPT TO:"
    if source.random() < 0.05:
        command = source.choice((b"rcpt to: ", b"RCPT\tTO:", b" RCPT TO:\t"))
    return command + path(source) + parameters(source, FOR_RCPT)


def parameters(source: random.Random, good: tuple[bytes, ...]) -> bytes:
    """Give parameters of MAIL or RCPT, often none."""
    if source.random() < 0.05:
        return b"".join(b" " + source.choice(PARAMETERS) for _ in range(source.choice((1, 1, 2, 3))))
    return b"".join(b" " + each for each in source.sample(good, source.choice((0, 0, 0, 0, 1, 1, 2))))


def command(source: random.Random) -> bytes:
    """Give any command, or what is none, without its end."""
    kind = source.randrange(12)
    if kind == 0:
        return source.choice(OTHERS)
    if kind == 1:
        letter, other = source.choice(TWINS)
        return source.choice(ALIKE).upper().replace(letter, other).encode()
    if kind == 2:
        return source.choice(HELLOS) + source.choice(NAMES)
    if kind == 3:
        return source.choice((b"VRFY ", b"vrfy ")) + path(source) + source.choice((b"", b" SMTPUTF8", b" x"))
    if kind < 6:
        return mail(source)
    if kind < 9:
        return rcpt(source)
    return source.choice((b"RSET", b"NOOP", b"HELP", b"DATA", b"DATA", b"QUIT", b"NOOP"))


def chunk(source: random.Random) -> bytes:
    """Give BDAT with octets, a few of them wrong in number."""
    data = message(source) if source.random() < 0.8 else source.randbytes(source.randrange(40))
    if source.random() < 0.05:
        data *= source.randrange(1, 400)
    size = b"%d" % len(data)
    if source.random() < 0.1:
        near = b"%d" % (len(data) + 3), b"%d" % (len(data) // 2)
        size = source.choice((b"0", b"-1", b"x", b"9" * 18, b"9" * 30, b"1_0", b"00", *near))
    return b"BDAT " + size + source.choice(LASTS) + _end(source) + data


def _end(source: random.Random) -> bytes:
    return b"\r\n" if source.random() < 0.99 else source.choice(ENDS)


def transaction(source: random.Random) -> bytes:
    """Give a whole transaction as good clients have it."""
    out = mail(source) + _end(source)
    for _ in range(source.choice((1, 1, 1, 2, 3, 7))):
        out += rcpt(source) + _end(source)
    if source.random() < 0.6:
        return out + b"DATA" + _end(source) + message(source)
    return out + b"".join(chunk(source) for _ in range(source.choice((1, 1, 2, 3, 9))))


def stream(source: random.Random) -> bytes:
    """Give all that a client says."""
    out = [b"EHLO c.test" + _end(source)] if source.random() < 0.9 else []
    for _ in range(source.choice((1, 1, 2, 3, 5, 12))):
        if source.random() < 0.75:
            out.append(transaction(source))
        elif source.random() < 0.15:
            out.append(chunk(source))
        else:
            out.append(command(source) + _end(source))
    if source.random() < 0.03:
        out.insert(
            source.randrange(len(out) + 1), source.choice((b"x", b"NOOP ", b"\xff")) * source.randrange(60, 3000)
        )
    return b"".join(out) + (b"QUIT\r\n" if source.random() < 0.3 else b"")


@cache
def dialogs() -> tuple[bytes, ...]:
    """Give what the clients of tests/dialogs say."""
    said = []
    for file in sorted(DIALOGS.glob("*.dialog")):
        steps = [step for step in read_dialog(file).steps if step.kind in "Cc"]
        said.append(b"".join(octets(step.text) + (b"\r\n" if step.kind == "C" else b"") for step in steps))
    return tuple(each for each in said if len(each) < 20_000)


def spoken(source: random.Random) -> bytes:
    """Give a seed, and what a client says by the grammar, or nearly."""
    return source.randbytes(SEED) + stream(source)


def mangled(source: random.Random) -> bytes:
    """Give a seed, and a dialog of tests/dialogs or something by the grammar, with mistakes."""
    seeds = (source.choice(dialogs()), stream(source), source.choice(dialogs()))
    data = damaged(source, seeds)
    while source.random() < 0.4:
        data = damaged(source, (data, *seeds))
    return source.randbytes(SEED) + data


CODES: Final = (
    220, 221, 250, 250, 250, 250, 251, 252, 354, 354, 421, 450, 451, 452, 500, 501, 502, 503, 530, 550, 552, 554, 555
)  # fmt: skip
REPLY_TEXTS: Final = (
    b"Ok", b"2.0.0 Ok", b"2.1.5 Ok", b"5.1.1 No", b"4.2.2 Full", b"2.0.0", b"9.9.9 x", b"5.1.1No", b"", b" ", b"\x00",
    b"\xff\xfe", b"\xe2\x80\xa8", b"mx.test ESMTP", b"PIPELINING", b"SIZE 1000", b"SIZE -1", b"8BITMIME", b"DSN",
    b"SMTPUTF8", b"STARTTLS", b"CHUNKING", b"XARRIVAL", b"x" * 600, b"a\rb", b"250 Ok", "\u017fIZE 5".encode(),
    b"SIZE " + b"9" * 40,
)  # fmt: skip
BROKEN: Final = (
    b"", b"2", b"25", b"25x Ok", b"250x", b"2500 Ok", b"199 x", b"600 x", b"999 x", b" 250 Ok", b"-250 Ok",
    b"\xff\xff\xff x", b"250" + b"y" * 3000, "٢٥٠ Ok".encode(), b"HTTP/1.1 400 Bad", b"250-", b"250\t",
    b"\x16\x03\x01\x02\x00",
)  # fmt: skip


def reply(source: random.Random, code: int | None = None) -> bytes:
    """Give one reply, mostly well-formed."""
    kind = source.random()
    if kind < 0.02:
        return source.choice(BROKEN) + b"\r\n"
    code = source.choice(CODES) if code is None else code
    count = source.choice((1, 1, 1, 1, 1, 1, 2, 3, 6)) if kind < 0.995 else 1100
    lines = [
        b"%d%s%s" % (code, b" " if number == count - 1 else b"-", source.choice(REPLY_TEXTS)) for number in range(count)
    ]
    if kind > 0.985 and count > 1:
        lines[0] = b"%d-x" % source.choice(CODES)
    if kind < 0.03:
        lines[-1] = b"%d" % code
    return b"".join(line + (b"\r\n" if source.random() < 0.98 else source.choice((b"\n", b"\r\r\n"))) for line in lines)


def server_stream(source: random.Random) -> bytes:
    """Give a seed, and replies: those that a session awaits, or any."""
    usual = [220, 250, 250, 250, 250, 354, 250, 250, 250, 250, 354, 250, 221]
    awaited = source.random() < 0.7
    count = source.randrange(1, 30)
    codes = [usual[at % len(usual)] if awaited and source.random() < 0.9 else None for at in range(count)]
    out = b"".join(reply(source, code) for code in codes)
    if source.random() < 0.15:
        out = damaged(source, (out,))
    return source.randbytes(SEED) + out


def cut(source: random.Random, data: bytes) -> list[bytes]:
    """Cut data as a network may, often where it hurts."""
    if not data:
        return []
    if source.random() < 0.5:
        at = {match.start() + source.randrange(4) for match in re.finditer(rb"[\r\n.]", data) if source.random() < 0.4}
    else:
        at = {source.randrange(len(data)) for _ in range(source.choice((1, 2, 5, 20)))}
    places = sorted({0, len(data), *(place for place in at if place < len(data))})
    return [data[start:end] for start, end in itertools.pairwise(places)]
