"""The arguments of MAIL, RCPT and VRFY: what is valid means what the RFCs say, and there is one meaning for each text.

Sources: RFC 5321 4.1.2; RFC 1870; RFC 6152; RFC 3461 4; RFC 6531 3.4.
"""

import random
import string
from collections.abc import Callable
from typing import Final

from posthouse.protocol.smtp.events import Mail, Rcpt, Vrfy
from posthouse.protocol.smtp.grammar import Syntax, parse_mail, parse_rcpt, parse_vrfy
from posthouse.protocol.smtp.replies import Reply
from tests.fuzz.mutate import damaged
from tests.fuzz.smtp_inputs import PARAMETERS, SEED, mail, path, rcpt

ATEXT: Final = string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~"
LABEL: Final = string.ascii_letters + string.digits
PRINTABLE: Final = string.ascii_letters + string.digits + '+= @;,<>"\\'
QUOTED: Final = (" ", "@", "..", ",", "<", ">", "\\\\", '\\"')
BODIES: Final = ("7BIT", "8BITMIME")
RETS: Final = ("FULL", "HDRS")
NOTIFIES: Final = ("SUCCESS", "FAILURE", "DELAY")
ALL: Final = Syntax(arrival=True)
READERS: Final[dict[bytes, Callable[[str, Syntax], Mail | Rcpt | Vrfy | Reply]]] = {
    b"MAIL": parse_mail, b"RCPT": parse_rcpt, b"VRFY": parse_vrfy,
}  # fmt: skip


def word(source: random.Random, letters: str, most: int) -> str:
    """Give a word."""
    return "".join(source.choices(letters, k=source.randrange(1, most)))


def mailbox(source: random.Random) -> str:
    """Give an address as it must be taken, in the form in which it is told."""
    dots = ".".join(word(source, ATEXT, 9) for _ in range(source.choice((1, 1, 2, 3))))
    quoted = f'"{word(source, LABEL, 5)}{source.choice(QUOTED)}{word(source, LABEL, 5)}"'
    names = [word(source, LABEL, 9) for _ in range(source.choice((1, 2, 3)))]
    domain = ".".join([*names, word(source, string.ascii_letters, 9)])
    literal = "[" + ".".join(str(source.randrange(1, 255)) for _ in range(4)) + "]"
    local = dots if source.random() < 0.8 else quoted
    return local + "@" + (domain if source.random() < 0.9 else literal)


def xtext(text: str) -> str:
    """Encode (RFC 3461 4)."""
    return "".join(each if each in LABEL else f"+{ord(each):02X}" for each in text)


def any_case(source: random.Random, text: str) -> str:
    """Give a keyword in any case."""
    return "".join(source.choice((each.lower(), each.upper())) for each in text)


def valid_mail(source: random.Random) -> tuple[str, Mail]:
    """Give the argument of MAIL, and what it means."""
    sender = mailbox(source) if source.random() < 0.8 else ""
    size, body, ret = source.randrange(10 ** source.randrange(1, 18)), source.choice(BODIES), source.choice(RETS)
    envid, arrival = word(source, PRINTABLE, 30), source.randrange(1, 10**9)
    parameters: list[tuple[str, str, object]] = [
        (f"SIZE={size}", "size", size), (f"BODY={any_case(source, body)}", "body", body),
        ("SMTPUTF8", "smtputf8", True),
        (f"RET={any_case(source, ret)}", "ret", ret), (f"ENVID={xtext(envid)}", "envid", envid),
        (f"XARRIVAL={arrival}", "arrival", arrival), ("AUTH=<>", "", None),
    ]  # fmt: skip
    chosen = source.sample(parameters, source.randrange(len(parameters) + 1))
    meant = Mail(sender, f"<{sender}>", **{name: value for _, name, value in chosen if name})  # type: ignore[arg-type]
    return _line(source, "FROM:", sender, [text for text, _, _ in chosen]), meant


def valid_rcpt(source: random.Random) -> tuple[str, Rcpt]:
    """Give the argument of RCPT, and what it means."""
    recipient = mailbox(source)
    notify = source.sample(NOTIFIES, source.randrange(4)) or ["NEVER"]
    original = word(source, PRINTABLE, 30)
    words, meant = [], Rcpt(recipient, f"<{recipient}>")
    if source.random() < 0.5:
        words.append("NOTIFY=" + ",".join(any_case(source, each) for each in notify))
        meant.notify = frozenset(notify)
    if source.random() < 0.5:
        words.append(f"ORCPT=rfc822;{xtext(original)}")
        meant.orcpt = f"rfc822;{original}"
    return _line(source, "TO:", recipient, words), meant


def _line(source: random.Random, word: str, address: str, parameters: list[str]) -> str:
    blank = "" if source.random() < 0.9 else " "
    out = f"{any_case(source, word)}{blank}<{address}>"
    for each in parameters:
        keyword, equals, value = each.partition("=")
        out += source.choice((" ", " ", " ", "  ", "\t")) + any_case(source, keyword) + equals + value
    return out


def check_valid(data: bytes) -> None:
    """What is valid means what it says."""
    source = random.Random(data)
    text, sender = valid_mail(source)
    assert parse_mail(text, ALL) == sender, text
    assert parse_mail(text, Syntax(strict_envelopes=True, arrival=True)) == sender, text
    text, recipient = valid_rcpt(source)
    assert parse_rcpt(text, ALL) == recipient, text
    without = Syntax(smtputf8=False, dsn=False)
    refused = parse_rcpt(text, without)
    assert isinstance(refused, Reply) == bool(recipient.notify or recipient.orcpt)


def argument(source: random.Random) -> bytes:
    """Give a command, with mistakes."""
    seeds = (mail(source), rcpt(source), b"VRFY " + path(source), mail(source) + b" " + source.choice(PARAMETERS))
    return source.randbytes(SEED) + damaged(source, seeds)


def check_one_meaning(data: bytes) -> None:
    """A blank in front changes nothing, though it takes another way; what is told can be said again."""
    source = random.Random(data[:SEED])
    verb, _, octets = data[SEED:].partition(b" ")
    read = READERS.get(verb.upper(), parse_mail)
    text = octets.decode("utf-8", "surrogateescape")
    syntax = Syntax(*(source.random() < 0.5 for _ in range(5)))
    event = read(text, syntax)
    assert read(" " + text, syntax) == event
    if isinstance(event, Mail | Rcpt):
        assert text.endswith("\\") or read(text + " ", syntax) == event
        address, prefix = (event.sender, "FROM") if isinstance(event, Mail) else (event.recipient, "TO")
        if "@" in address:
            again = read(f"{prefix}:<{address}>", syntax)
            assert isinstance(again, Mail | Rcpt), f"{address!r} cannot be said again: {again}"
            assert (again.sender if isinstance(again, Mail) else again.recipient) == address
