"""What cleanup does to headers; every expectation here was seen with Debian's Postfix 3.7 on the same message."""

import re

import pytest

from posthouse.daemons.cleanup.header_scan import HeaderScanner, HeaderSection
from posthouse.daemons.cleanup.mailbox import format_mailbox
from tests.support.receiver import MakeReceiver, talk

TABLES = {"canonical_maps": "inline:{ {x1@old.test = y1@new.test} {@oldest.test = @newest.test} }"}


def header_of(receiver: MakeReceiver, message: str, main: dict[str, str] | None = None) -> str:
    """Send a message and return its header without our Received:, IDs and dates made equal."""
    system = receiver({**TABLES, **(main or {})})
    body = message.replace("\n", "\r\n")
    said = talk(system, "EHLO c.test", "MAIL FROM:<s@b.test>", "RCPT TO:<alice@example.test>", "DATA", body + ".")
    assert said[-1].startswith("250 "), said
    content = system.queue.messages[0][2].decode("utf-8", "surrogateescape")
    content = re.sub(r"\AReceived: .*\n(?:\t.*\n)*", "", content)
    content = re.sub(r"<\w{10}z\w+@mx.example.test>", "<ID>", content)
    content = re.sub(r"^((?:Resent-)?Date: ).*2026.*$", r"\1NOW", content, flags=re.MULTILINE)
    return content.partition("\n\n")[0] + "\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Subject: a\n\nb\n", "Subject: a\nMessage-Id: <ID>\nDate: NOW\nFrom: s@b.test\n"),
        ("\nbody\n", "Message-Id: <ID>\nDate: NOW\nFrom: s@b.test\n"),
        ("no header\n", "Message-Id: <ID>\nDate: NOW\nFrom: s@b.test\n"),
        ("From: a@b.c\nDate: x\nMessage-ID: <1@x>\n\nb\n", "From: a@b.c\nDate: x\nMessage-ID: <1@x>\n"),
        (
            "Resent-To: z@z.z\nSubject: k\n\nb\n",
            "Resent-To: z@z.z\nSubject: k\nResent-Message-Id: <ID>\nResent-Date: NOW\nResent-From: s@b.test\n",
        ),
    ],
    ids=["all", "empty", "no-header", "none", "resent"],
)
def test_missing_headers_are_added(receiver: MakeReceiver, given: str, expected: str) -> None:
    """Message-Id, Date and From, or their Resent- forms; in that order, at the end."""
    assert header_of(receiver, given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("From: joe", "From: joe@example.test"),
        (
            'To: jane, "Bob B." <bob>, bill@host, (c) u%h, h!u, <a@b.test.>',
            'To: jane@example.test, "Bob B." <bob@example.test>, bill@host,\n\tu@h (c), u@h, <a@b.test>',
        ),
        ("Cc: grp: a, b@c.test;, d", "Cc: grp: a@example.test, b@c.test;, d@example.test"),
        ("Reply-To: <@r1.test,@r2.test:x@y.test>", "Reply-To: <x@y.test>"),
        ("To: x1@old.test, bob@oldest.test,\n  o@old.test", "To: y1@new.test, bob@newest.test, o@old.test"),
        ('To: a b c, <>, @, "open', 'To: a@example.test, b@example.test, c@example.test, <>, "",\n\topen@example.test'),
        ("To: a.b.@c, .x@y", 'To: "a.b."@c, ".x"@y'),
        ("To: a@[1.2.3.4], b@[IPv6:::1], c@d.", "To: a@[1.2.3.4], b@[IPv6:::1], c@d"),
        ('To: "a@b"', 'To: "a@b"@example.test'),
        ('To: "a@b"@c.test, "a@b"@c', 'To: "a@b"@c.test, "a@b"@c'),
        ('To: "open <joe@c.test>', 'To: "open <joe@c.test>"@example.test'),
        ("To:user", "To: user@example.test"),
        ("To: u%c.test., c.test.!u, u., .u", 'To: u@c.test, u@c.test, "u."@example.test, ".u"@example.test'),
        ("To:user,", "To: user@example.test, "),
        ("To:user,x@y.test", "To: user@example.test, x@y.test"),
        ("To:x@y.test,  z@y.test", "To:x@y.test,  z@y.test"),
        ("Subject : a  b", "Subject: a  b"),
        ("X-To: joe", "X-To: joe"),
    ],
)
def test_addresses_in_headers_are_completed(receiver: MakeReceiver, given: str, expected: str) -> None:
    """Headers of local clients; a header that needs nothing keeps its form."""
    assert header_of(receiver, f"{given}\nDate: x\nMessage-Id: <1@x>\nFrom: a@b.c\n\nb\n").startswith(expected + "\n")


def test_half_a_line_is_no_part_of_a_header() -> None:
    """A continuation line without line end is left, so that no text is cut off behind its blank."""
    section = HeaderSection()
    assert not HeaderScanner((), 1000).scan(b"To: a\n\tb", section)
    assert section.end == len(b"To: a\n")


def test_headers_of_strangers_are_left_alone(receiver: MakeReceiver) -> None:
    """Not in local_header_rewrite_clients: nothing is completed, nothing is added."""
    message = "From: joe\nTo: x1@old.test\n\nb\n"
    assert header_of(receiver, message, {"local_header_rewrite_clients": ""}) == "From: joe\nTo: x1@old.test\n"


def test_headers_of_strangers_with_a_domain_for_them(receiver: MakeReceiver) -> None:
    """remote_header_rewrite_domain completes, and headers are added, too."""
    main = {"local_header_rewrite_clients": "", "remote_header_rewrite_domain": "remote.invalid"}
    expected = "From: joe@remote.invalid\nDate: x\nMessage-Id: <ID>\n"
    assert header_of(receiver, "From: joe\nDate: x\n\nb\n", main) == expected


def test_dropped_headers(receiver: MakeReceiver) -> None:
    """Bcc would tell secrets, Content-Length and Return-Path would lie."""
    message = "Bcc: s@x.y\nFrom: a@b.c\nContent-Length: 5\nReturn-Path: <q@q>\nResent-Bcc: f\nX-Bcc: k\nDate: x\n\nb\n"
    main = {"always_add_missing_headers": "no", "local_header_rewrite_clients": ""}
    assert header_of(receiver, message, main) == "From: a@b.c\nX-Bcc: k\nDate: x\n"


def test_added_author_is_the_final_sender(receiver: MakeReceiver) -> None:
    """From: has the sender as tables leave him."""
    main = {"sender_canonical_maps": "inline:{ {s@b.test = final@c.test} }"}
    assert header_of(receiver, "Date: x\nMessage-Id: <1@x>\n\n", main).endswith("\nFrom: final@c.test\n")


def test_message_without_visible_recipients(receiver: MakeReceiver) -> None:
    """A Bcc: that is taken out is no reason to leave To: out; and a name with a colon is no name to take out."""
    main = {"undisclosed_recipients_header": "To: nobody:;", "message_drop_headers": "bcc resent-bcc subject:"}
    message = "Bcc: a@b.c\nSubject: x\nResent-Bcc: a@b.c\nResent-From: a@b.c\nResent-Date: x\nResent-Message-Id: x\n\n"
    got = header_of(receiver, message, main)
    assert got == "Subject: x\nResent-From: a@b.c\nResent-Date: x\nResent-Message-Id: x\nTo: nobody:;\n"


def test_too_many_hops(receiver: MakeReceiver) -> None:
    """A message that goes in circles is refused; our own Received: counts."""
    system = receiver({"hopcount_limit": "3"})
    start = ("EHLO c.test", "MAIL FROM:<a@b.test>", "RCPT TO:<alice@example.test>", "DATA")
    assert talk(system, *start, "Received: x\r\n\r\n.")[-1].startswith("250")
    assert talk(system, *start, "Received: x\r\nReceived: y\r\n\r\n.")[-1] == "554 5.4.0 Error: too many hops"


def test_body_text_after_the_header_gets_its_empty_line(receiver: MakeReceiver) -> None:
    """What is no header does not become part of one."""
    message = "From: a@b.c\nDate: x\nMessage-Id: <1@x>\nnot a header\nTo: x\n"
    assert header_of(receiver, message) == "From: a@b.c\nDate: x\nMessage-Id: <1@x>\n"


def test_body_text_after_the_header_can_be_noted_or_refused(receiver: MakeReceiver) -> None:
    """non_empty_end_of_header_action = add_header."""
    message = "From: a@b.c\nDate: x\nMessage-Id: <1@x>\nnot a header\n"
    got = header_of(receiver, message, {"non_empty_end_of_header_action": "add_header"})
    assert got.endswith("MIME-Error: message header was not terminated by empty line\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "a@b.c"),
        ("Joe User", "Joe User <a@b.c>"),
        ("Joe Q. User", '"Joe Q. User" <a@b.c>'),
        ('Joe (x) "U"', '"Joe (x) \\"U\\"" <a@b.c>'),
        ("Jösé", "=?utf-8?B?SsO2c8Op?= <a@b.c>"),
    ],
)
def test_full_name(name: str, expected: str) -> None:
    """sendmail -F in a From: header."""
    assert format_mailbox(name, "a@b.c") == expected
