"""SMTP sessions, good and bad, to be held with two servers (sessions.py). Those about BDAT are in chunk_dialogs.py."""

from collections.abc import Iterator
from typing import Final

from tests.support.sessions import SERVICES, Session, Step

EHLO: Final = b"EHLO client.test\r\n"
HELO: Final = b"HELO client.test\r\n"
MAIL: Final = b"MAIL FROM:<s@client.test>\r\n"
RCPT: Final = b"RCPT TO:<a@here.test>\r\n"
FAR: Final = b"RCPT TO:<a@far.test>\r\n"
DATA: Final = b"DATA\r\n"
TEXT: Final = b"Subject: x\r\n\r\nx\r\n.\r\n"
NOOP: Final = b"NOOP\r\n"
RSET: Final = b"RSET\r\n"
VRFY: Final = b"VRFY a@here.test\r\n"
BYE: Final = b"QUIT\r\n"
BAD: Final = b"XYZZY\r\n"
OPEN: Final = (EHLO, MAIL, RCPT)

# What differs, and begins so in docs/compatibility.md.
HELP: Final = "`HELP`"
PATHS: Final = "repeated MAIL parameters"
NULS: Final = "a NUL in a command"
TOO_LONG: Final = "a command line longer than `line_length_limit`"
BAD_ADDRESS: Final = "log line of a bad address"
VRFY_EARLY: Final = "`VRFY` before HELO"
AFTER_END: Final = "`RCPT` behind a message that `smtpd_end_of_data_restrictions` refuse"
LATE_HELO: Final = "log line of a HELO that is refused within a transaction"
NOTES: Final = "disconnect line after a bare LF"


def lines(*commands: bytes) -> Iterator[bytes]:
    """Make commands of texts."""
    return (command + b"\r\n" for command in commands)


def ways_to_send_ahead(*, refused_at_data: bool) -> Iterator[tuple[str, list[Step]]]:
    """Give sessions where it is let pass; the first one is proper."""
    yield "group", [EHLO, (MAIL + RCPT + DATA, 3), (TEXT + BYE, 2)]
    yield "data", [*OPEN, (DATA + NOOP, 2 if refused_at_data else 1)]
    yield "ehlo", [(EHLO + MAIL, 2), RCPT, DATA]
    yield "noop", [EHLO, (NOOP + MAIL, 2), RCPT, DATA]
    yield "helo-mail", [HELO, (MAIL + RCPT, 2), DATA]


DENIED: Final[tuple[list[Step], ...]] = (
    [*OPEN, DATA, BAD, NOOP, VRFY, b"\r\n", b"GET /\r\n"], [EHLO, NOOP, BYE], [], [BAD], [HELO, (MAIL + RCPT, 2)],
)  # fmt: skip
AHEAD: Final = (
    Session("ehlo", [(EHLO + NOOP, 1), NOOP, BYE]),
    Session("helo", [(HELO + NOOP, 1), NOOP, BYE]),
    Session("helo-mail", [HELO, (MAIL + RCPT, 1), BYE]),
    Session("helo-rcpt", [HELO, MAIL, (RCPT + DATA, 1), BYE]),
    Session("helo-data", [HELO, MAIL, RCPT, (DATA + TEXT, 1), BYE]),
    Session("helo-quit", [HELO, (BYE + NOOP, 1)]),
    Session("helo-rset", [HELO, (RSET + NOOP, 1), BYE]),
    Session("none-mail", [(MAIL + RCPT, 1), BYE]),
    Session("none-noop", [(NOOP + NOOP, 1), BYE]),
    Session("none-unknown", [(BAD + BAD, 2), (BAD + NOOP, 2), BYE]),
    Session("none-empty", [(b"\r\n\r\n", 2), BYE]),
    Session("ehlo-then-helo", [EHLO, HELO, (MAIL + RCPT, 2), BYE]),
    Session("helo-ehlo", [HELO, EHLO, (MAIL + RCPT, 2), BYE]),
    Session("group", [EHLO, (MAIL + RCPT + DATA, 3), (TEXT + BYE, 2)]),
    Session("data", [*OPEN, (DATA + TEXT, 1), BYE]),
    Session("noop", [EHLO, (NOOP + MAIL, 1), BYE]),
    Session("vrfy", [EHLO, (VRFY + MAIL, 1), BYE]),
    Session("rset", [EHLO, (RSET + MAIL, 2), BYE]),
    Session("quit", [EHLO, (BYE + MAIL, 1)]),
    Session("unknown", [EHLO, (BAD + BAD + NOOP, 3), BYE]),
    Session("data-refused", [EHLO, (DATA + MAIL, 1), BYE]),
    Session("syntax-ahead", [EHLO, (b"NOOP\r\nx\0\x7f\xc3\xa9\t\\\r\n" + b"y" * 200 + b"\r\n", 1), BYE]),
    *(
        Session(f"{name}-{service}", steps, service)
        for service in (
            "noted", "data", "end", "rcpt", "late", "late-helo", "late-mail", "helo", "mail", "warn", "soft"
        )
        for name, steps in ways_to_send_ahead(refused_at_data=service in ("data", "soft"))
    ),
    Session("data-forbidden", [*OPEN, (DATA + NOOP, 1)], "forbidden-data"),
    Session("group-forbidden", [EHLO, (MAIL + RCPT + DATA, 3), (TEXT + BYE, 2)], "forbidden-data"),
    Session("again-noted", [EHLO, (NOOP + NOOP + NOOP, 3), (NOOP + NOOP, 2), BYE], "noted"),
    Session("again-data", [EHLO, (NOOP + MAIL, 2), RCPT, DATA, RCPT, RSET, MAIL, RCPT, DATA, BYE], "data"),
    Session("ehlo-again-data", [(EHLO + MAIL, 2), RCPT, EHLO, MAIL, RCPT, DATA, BYE], "data"),
    Session("chunk-data", [EHLO, (NOOP + MAIL, 2), RCPT, b"BDAT 1 LAST\r\nx", BYE], "data"),
    Session("content-data", [EHLO, (MAIL + RCPT + DATA, 3), (TEXT + MAIL + RCPT + DATA, 4), TEXT, BYE], "data"),
)  # fmt: skip
KEYWORDS: Final = (
    *(Session(f"ehlo-{one}", [EHLO, EHLO, HELO, BYE], one) for one in SERVICES if one[:3] in ("dis", "map")),
    *(
        Session(f"uses-{one}", [*lines(
            b"EHLO x", b"MAIL FROM:<s@client.test> SIZE=1 BODY=8BITMIME", b"RSET",
            b"MAIL FROM:<s@client.test> RET=HDRS", b"RSET", b"MAIL FROM:<s@client.test> SMTPUTF8", b"RSET",
            b"VRFY a@here.test", b"MAIL FROM:<s@client.test>",
            b"RCPT TO:<a@here.test> NOTIFY=NEVER", b"RCPT TO:<a@here.test>", b"BDAT 0 LAST")], one)
        for one in ("plain", "discard", "discard-all", "map", "map-other", "map-both", "map-empty")
    ),
    Session("none-discard", [MAIL, RCPT, *lines(b"BDAT 0 LAST")], "discard"),
    Session("none-dsn", [*lines(b"MAIL FROM:<s@client.test> RET=HDRS"), BYE], "discard"),
    Session("together-no-pipelining", [EHLO, (MAIL + RCPT, 2), BYE], "discard-all"),
)  # fmt: skip
ORDERS: Final = (
    Session("good", [*OPEN, DATA, TEXT, BYE]),
    Session("helo", [HELO, MAIL, RCPT, DATA, TEXT, BYE]),
    Session("none", [MAIL, RCPT, DATA, TEXT, BYE]),
    Session("two", [*OPEN, DATA, TEXT, MAIL, RCPT, RCPT, DATA, TEXT, BYE]),
    Session("quit", [BYE]),
    Session("lost", [EHLO]),
    Session("lost-mail", [EHLO, MAIL]),
    Session("lost-data", [*OPEN, DATA, (b"abc\r\n", 0)]),
    Session("lost-text", [*OPEN, DATA, TEXT]),
    Session("lost-unknown", [EHLO, BAD]),
    Session("lost-empty", [EHLO, b"\r\n"]),
    Session("lost-line", [EHLO, (b"NOO", 0)]),
    Session("nothing", []),
    Session("bad-orders", [EHLO, RCPT, DATA, MAIL, DATA, MAIL, RCPT, MAIL, DATA, TEXT, DATA, BYE]),
    Session("rset", [EHLO, RSET, MAIL, RSET, RCPT, MAIL, RCPT, RSET, DATA, MAIL, RCPT, DATA, TEXT, RSET, BYE]),
    Session("ehlo-between", [EHLO, MAIL, EHLO, RCPT, MAIL, RCPT, HELO, DATA, MAIL, RCPT, DATA, TEXT, BYE]),
    Session("refused-recipient", [EHLO, MAIL, FAR, DATA, RCPT, FAR, DATA, TEXT, BYE]),
    Session("refused-between", [*OPEN, FAR, BAD, DATA, TEXT, BYE]),
    Session("other-words", [EHLO, *lines(
            b"NOOP x y", b"EXPN a", b"EXPN", b"TURN", b"SEND FROM:<a>", b"SOML FROM:<a>", b"SAML FROM:<a>",
            b"XCLIENT A=b", b"XFORWARD A=b", b"STARTTLS", b"STARTTLS x", b"AUTH", b"AUTH PLAIN", b"AUTH PLAIN AAA="),
            BYE]),
    Session("help", [*lines(b"HELP", b"HELP MAIL"), BYE], row=HELP),
    *(Session(f"word-{n}", [EHLO, one + b"\r\n", NOOP, BYE]) for n, one in enumerate((
        b"XCLIENT", b"XCLIENT NAME=x", b"XFORWARD", b"XFORWARD NAME=x", b"STARTTLS", b"STARTTLS x", b"AUTH", b"AUTH X",
        b"NOOP a b c", b"RSET x", b"QUIT x", b"DATA x", b"EXPN", b"EXPN a", b"BDAT", b"TURN", b"MAIL", b"RCPT",
        b"VRFY"))),
    Session("vrfy", [EHLO, *lines(b"VRFY", b"VRFY a", b"VRFY a@here.test", b"VRFY <a@here.test>", b"VRFY a@far.test",
            b"VRFY a b", b"VRFY <>", b"VRFY <a@here.test> SMTPUTF8", b"VRFY a@here.test x", b'VRFY "a b"@here.test',
            b"VRFY @", b"VRFY postmaster", b"VRFY a@"), BYE]),
    Session("vrfy-mail", [EHLO, MAIL, VRFY, RCPT, VRFY, DATA, TEXT, VRFY, BYE]),
    Session("vrfy-none", [VRFY, BYE]),
    Session("vrfy-quiet", [EHLO, VRFY, b"VRFY\r\n", BYE], "quiet"),
    Session("vrfy-needed", [VRFY, RSET, NOOP, RCPT, DATA, MAIL, HELO, MAIL, BYE], "helo-needed", row=VRFY_EARLY),
    *(Session(f"helo-{n}", [one + b"\r\n", NOOP, MAIL, FAR, BYE]) for n, one in enumerate((
        b"HELO", b"EHLO", b"HELO ", b"EHLO  ", b"HELO a b", b"EHLO a b  c", b"EHLO <x>", b"EHLO (x)", b'EHLO "x y"',
        b"EHLO [127.0.0.1]", b"EHLO [IPv6:::1]", b"EHLO x;y@z\\", b"EHLO \xc3\xa9.test", b"EHLO x\x01\x7fy", b"HELO\tx",
        b"EHLO x\ty", b"ehlo X", b"eHlO x", b"EHLO " + b"x" * 300, b"EHLO x ", b"  EHLO x", b"EHLO x\ty"))),
    *(Session(f"helo-denied-{n}", [one, MAIL, RCPT, NOOP, BYE], "helo-denied")
      for n, one in enumerate((EHLO, HELO, NOOP))),
    Session("helo-strict", [*lines(b"HELO x_", b"MAIL FROM:<a@client.test>", b"EHLO x", b"EHLO x.test"), MAIL,
            *lines(b"EHLO ."), RCPT, BYE], "helo-strict"),
    Session("helo-strict-late", [*lines(b"HELO x.test"), MAIL, RCPT, *lines(b"HELO -"), BYE], "helo-strict",
            row=LATE_HELO),
    *(
        Session(f"{one}-{n}", steps, one)
        for one in ("denied", "deferred", "away", "gone", "map-denied")
        for n, steps in enumerate(DENIED)
    ),
    Session("mail-denied", [EHLO, MAIL, RCPT, DATA, b"MAIL FROM:<>\r\n", BYE], "mail-denied"),
    Session("data-denied", [*OPEN, DATA, NOOP, DATA, RCPT, RSET, BYE], "data-denied"),
    Session("end-denied", [*OPEN, DATA, TEXT, BYE], "end-denied"),
    Session("end-denied-more", [*OPEN, DATA, TEXT, RCPT, BYE], "end-denied", row=AFTER_END),
    Session("too-large", [*OPEN, DATA, (b"x" * 900 + b"\r\n") * 3 + b".\r\n", NOOP, BYE], "small"),
    Session("size", [EHLO, *lines(b"MAIL FROM:<a@client.test> SIZE=2001", b"MAIL FROM:<a@client.test> SIZE=2000"), BYE],
            "small"),
    Session("timeout", [EHLO, (b"", 1)], "timeout"),
    Session("timeout-data", [*OPEN, DATA, (b"x\r\n", 1)], "timeout"),
    Session("timeout-connect", [(b"", 1)], "timeout"),
    Session("timeout-line", [EHLO, (b"MAI", 1)], "timeout"),
)  # fmt: skip
MAILS: Final = (
    b"MAIL", b"MAIL ", b"MAIL FROM", b"MAIL FROM:", b"MAIL FROM: ", b"MAIL TO:<a@client.test>", b"MAIL FROM:<>",
    b"MAIL FROM:<> ", b"MAIL FROM: <a@client.test>", b"MAIL FROM:a@client.test", b"mail from:<a@client.test>",
    b"Mail From:<a@client.test>", b"MAIL  FROM:<a@client.test>", b"MAIL\tFROM:<a@client.test>",
    b"MAIL FROM :<a@client.test>", b"MAIL FROM : <a@client.test>", b"MAIL FROM:<a@client.test> <b@client.test>",
    b"MAIL FROM:<a@client.test", b"MAIL FROM:a@client.test>", b"MAIL FROM:<a b@client.test>", b"MAIL FROM:<a>",
    b"MAIL FROM:<a@>", b"MAIL FROM:<@client.test>", b"MAIL FROM:<a@b@client.test>", b'MAIL FROM:<"a b"@client.test>',
    b"MAIL FROM:<a@[127.0.0.1]>", b"MAIL FROM:<a@[1.2.3]>", b"MAIL FROM:<a@client..test>",
    b"MAIL FROM:<.a@client.test>",
    b"MAIL FROM:<-a@client.test>", b"MAIL FROM:<a@-client.test>", b"MAIL FROM:<a@client_x.test>",
    b"MAIL FROM:<a@client.test>x", b"MAIL FROM:<a@client.test> x", b"MAIL FROM:<a@client.test> SIZE",
    b"MAIL FROM:<a@client.test> SIZE=", b"MAIL FROM:<a@client.test> SIZE=x", b"MAIL FROM:<a@client.test> SIZE=-1",
    b"MAIL FROM:<a@client.test> size=1", b"MAIL FROM:<a@client.test> SIZE=99999999999999999999",
    b"MAIL FROM:<a@client.test> SIZE=99999999999", b"MAIL FROM:<a@client.test> BODY=7BIT",
    b"MAIL FROM:<a@client.test> BODY=x", b"MAIL FROM:<a@client.test> BODY", b"MAIL FROM:<a@client.test> RET=FULL",
    b"MAIL FROM:<a@client.test> RET=x", b"MAIL FROM:<a@client.test> ENVID=x+2B", b"MAIL FROM:<a@client.test> ENVID=+",
    b"MAIL FROM:<a@client.test> ENVID=", b"MAIL FROM:<a@client.test> AUTH=<>", b"MAIL FROM:<a@client.test> XVERP",
    b"MAIL FROM:<a@client.test> XVERP=+=", b"MAIL FROM:<a@client.test> SMTPUTF8", b"MAIL FROM:<\xc3\xa9@client.test>",
    b"MAIL FROM:<\xc3\xa9@client.test> SMTPUTF8", b"MAIL FROM:<a@\xc3\xa9.test>", b"MAIL FROM:<\xff@client.test>",
    b"MAIL FROM:<a@client.test> REQUIRETLS", b"MAIL FROM:<a@client.test> MT-PRIORITY=1",
    b"MAIL FROM:<a@client.test> NOTIFY=NEVER", b"MAIL FROM:(c)<a@client.test>", b"MAIL FROM:<a@client.test>(c)",
    b"MAIL FROM:Name <a@client.test>", b"MAIL FROM:<a@client.test>\t", b"MAIL FROM:<a\0b@client.test>",
    b"MAIL FROM:<%s@client.test>" % (b"a" * 300), b"MAIL FROM:<a@%s.test>" % (b"a" * 300),
)  # fmt: skip
RCPTS: Final = (
    b"RCPT", b"RCPT TO", b"RCPT TO:", b"RCPT TO:<>", b"RCPT FROM:<a@here.test>", b"RCPT TO: <a@here.test>",
    b"RCPT TO:a@here.test", b"rcpt to:<a@here.test>", b"RCPT  TO:<a@here.test>", b"RCPT TO :<a@here.test>",
    b"RCPT TO:<a@here.test> x", b"RCPT TO:<a@here.test> NOTIFY=NEVER", b"RCPT TO:<a@here.test> NOTIFY=SUCCESS,FAILURE",
    b"RCPT TO:<a@here.test> NOTIFY=NEVER,DELAY", b"RCPT TO:<a@here.test> NOTIFY=x", b"RCPT TO:<a@here.test> NOTIFY=",
    b"RCPT TO:<a@here.test> ORCPT=rfc822;x", b"RCPT TO:<a@here.test> ORCPT=x", b"RCPT TO:<a@here.test> ORCPT=rfc822;+",
    b"RCPT TO:<a@here.test> SIZE=1", b"RCPT TO:<a>", b"RCPT TO:<postmaster>", b"RCPT TO:<PostMaster>", b"RCPT TO:<a@>",
    b"RCPT TO:<@here.test:a@here.test>", b"RCPT TO:<a@here.test> <b@here.test>", b"RCPT TO:<a@[127.0.0.1]>",
    b"RCPT TO:<a%far.test@here.test>", b"RCPT TO:<far.test!a@here.test>", b"RCPT TO:<a@far.test>",
    b"RCPT TO:<@here.test>",
    b'RCPT TO:<"a@far.test"@here.test>', b"RCPT TO:<a@HERE.test>", b"RCPT TO:<a@here.test.>",
    b"RCPT TO:<a..b@here.test>",
    b"RCPT TO:<-a@here.test>", b"RCPT TO:<a@mail.example.test>", b"RCPT TO:<a@here.test>x", b"RCPT TO:<a@here.test",
    b"RCPT TO:<\xc3\xa9@here.test>", b"RCPT TO:<a@here.test> SMTPUTF8",
)  # fmt: skip
WORDS: Final = (
    b"", b" ", b"\t", b"  \t ", b"NOOP ", b" NOOP", b"\tNOOP", b"noop", b"NoOp", b"NOOP\tx", b"NOOPx", b"N OOP",
    b"NOOP\0",
    b"\0NOOP", b"NOO\0P", b"\0", b"\xff", b"NOOP \xff", b"NOOP \xc3\xa9", b"\xc3\xa9", b"Subject: x", b"Subject:x",
    b"x:",
    b":x", b"MAIL:", b"From: <a@b>", b"GET / HTTP/1.1", b"get /", b"CONNECT x:25 HTTP/1.0", b"POST /", b"PUT /", b"123",
    b".", b"..", b"<NOOP>", b"@", b"\\", b"\x80NOOP", b"\r", b"\rNOOP", b"NOOP\r", b"NO\rOP", b"NOOP\x0b", b"\x0cNOOP",
    b"NOOP \x01", b"QUIT ", b" QUIT", b"quit", b"QUIT\t", b"A" * 100, b"A" * 2046, b"A" * 2047, b"A" * 2048,
    b"A" * 2049,
    b"A" * 3000, b"NOOP " + b"A" * 2100, b"SSH-2.0-x", b"\x16\x03\x01\x02", b"USER x", b"LHLO x", b"HELO-x", b"EHLO-x",
    b"DATA\t", b"DATA ", b"RSET ", b"MAIL FROM:<" + b"a" * 2100 + b">",
)  # fmt: skip
DIFFERENT: Final = {
    b"MAIL FROM:<@client.test>": PATHS, b"RCPT TO:<@here.test>": PATHS, b"MAIL FROM:<a@client.test": BAD_ADDRESS,
    b"RCPT TO:<a@here.test": BAD_ADDRESS, MAILS[-1]: BAD_ADDRESS, b"MAIL FROM:<a\0b@client.test>": NULS,
    b"NOOP\0": NULS, b"\0NOOP": NULS, b"\0": NULS, WORDS[-1]: TOO_LONG, b"NOOP " + b"A" * 2100: TOO_LONG,
    b"A" * 2048: TOO_LONG, b"A" * 2049: TOO_LONG, b"A" * 3000: TOO_LONG,
}  # fmt: skip
SPELLINGS: Final = (
    *(Session(f"mail-{n}", [EHLO, one + b"\r\n", RCPT, BYE], row=DIFFERENT.get(one, ""))
      for n, one in enumerate(MAILS)),
    *(Session(f"strict-mail-{n}", [EHLO, MAILS[n] + b"\r\n", BYE], "strict") for n in (8, 9, 15, 16, 59, 60, 61)),
    *(Session(f"strict-utf8-mail-{n}", [EHLO, MAILS[n] + b"\r\n", BYE], "strict-utf8") for n in (52, 53, 54, 55, 56)),
    *(Session(f"no-utf8-mail-{n}", [EHLO, MAILS[n] + b"\r\n", BYE], "no-utf8", row=BAD_ADDRESS if n == 55 else "")
      for n in (52, 53, 54, 55)),
    *(Session(f"rcpt-{n}", [EHLO, MAIL, one + b"\r\n", DATA], row=DIFFERENT.get(one, ""))
      for n, one in enumerate(RCPTS)),
    *(Session(f"word-{n}", [EHLO, one + b"\r\n", NOOP, BYE], row=DIFFERENT.get(one, ""))
      for n, one in enumerate(WORDS)),
    *(Session(f"first-{n}", [WORDS[n] + b"\r\n", BYE]) for n in (0, 4, 8, 16, 20, 26, 30)),
    *(Session(f"short-{n}", [EHLO, b"NOOP " + b"x" * n + b"\r\n", NOOP, BYE], "short", row=TOO_LONG if n > 506 else "")
      for n in range(504, 511)),
    *(Session(f"own-{n}", [EHLO, one + b"\r\n", NOOP, BYE], "words") for n, one in
      enumerate((b"XNOP", b"xnop a", b"EXPN", b"GET /", b"BOGUS", b"bogus x", b"x: y", b"123"))),
    Session("bare-lf", [b"EHLO x\n", b"NOOP\n", b"MAIL FROM:<a@client.test>\n", b"\n", BYE]),
    Session("bare-lf-content", [*OPEN, DATA, b"x\ny\r\n.\r\n", BYE]),
    Session("no-utf8-words", [*lines(b"EHLO \xff", b"NOOP \xff", b"\xff"), BYE], "no-utf8"),
)  # fmt: skip
LIMITS: Final = (
    Session("errors", [EHLO, BAD, BAD, (BAD, 2), NOOP], "errors"),
    Session("errors-kinds", [RCPT, b"\r\n", (b"NOOP \xff\r\n", 2)], "errors"),
    Session("errors-reset", [*OPEN, BAD, BAD, DATA, TEXT, BAD, BAD, (BAD, 2)], "errors"),
    Session("errors-rset", [EHLO, BAD, BAD, RSET, (BAD, 2)], "errors"),
    Session("errors-helo", [EHLO, b"HELO\r\n", b"EHLO\r\n", (b"VRFY\r\n", 2)], "errors"),
    Session("errors-rcpt", [EHLO, MAIL, FAR, FAR, (FAR, 2)], "errors"),
    Session("errors-quit", [EHLO, BAD, BAD, BYE], "errors"),
    Session("errors-together", [EHLO, (BAD + BAD + BAD + BAD, 4)], "errors"),
    Session("errors-data", [*OPEN, BAD, BAD, RCPT, DATA, TEXT, BYE], "errors"),
    Session("soft", [EHLO, BAD, BAD, BAD, BAD, NOOP, BYE], "soft-errors"),
    Session("junk", [*[NOOP] * 5, (NOOP, 2), NOOP], "junk"),
    Session("junk-kinds", [EHLO, HELO, RSET, NOOP, VRFY, (VRFY, 2), NOOP], "junk"),
    Session("junk-bad", [b"HELO\r\n", b"EHLO\r\n", (b"VRFY\r\n", 2), NOOP], "junk"),
    Session("junk-own", [*[b"XNOP\r\n"] * 5, (b"XNOP\r\n", 2), NOOP], "junk"),
    Session("junk-reset", [*[NOOP] * 3, EHLO, MAIL, RCPT, DATA, TEXT, *[NOOP] * 5, (NOOP, 2)], "junk"),
    Session("junk-help", [EHLO, NOOP, *[b"BDAT 0\r\n"] * 2, BYE], "junk"),
    Session("few", [EHLO, MAIL, *[RCPT] * 6, (RCPT, 2)], "few"),
    Session("few-data", [EHLO, MAIL, *[RCPT] * 4, DATA, TEXT, MAIL, *[RCPT] * 4, RSET, MAIL, *[RCPT] * 4, BYE], "few"),
    Session("few-bad", [EHLO, MAIL, RCPT, RCPT, FAR, b"RCPT TO:x y\r\n", FAR, FAR, BYE], "few"),
)  # fmt: skip
SESSIONS: Final = tuple(
    Session(f"{group}/{one.name}", one.steps, one.service, one.row)
    for group, sessions in (
        ("ahead", AHEAD), ("keywords", KEYWORDS), ("orders", ORDERS), ("spelling", SPELLINGS), ("limits", LIMITS)
    )
    for one in sessions
)  # fmt: skip
