"""Messages written by hand for the comparison with Postfix: one form after the other, and what chance seldom makes."""

import random
from collections.abc import Iterator
from typing import Final

from tests.support import odd_addresses, odd_messages
from tests.support.exact_client import Letter
from tests.support.message_servers import BOXES, KINDS
from tests.support.odd_messages import BODIES

HEAD: Final = (
    b"From: Sender <sender@client.test>\r\nTo: user@far.test\r\nDate: Sun, 22 Nov 2026 20:00:00 +0000\r\n"
    b"Message-ID: <given@client.test>\r\nSubject: usual\r\n"
)
USERS_AND_DOMAINS: Final = (
    (b"user", b"far.test"),
    (b'"two words"', b"short"),
    (b"far.test!user", b"far.test."),
    (b'""', b"EXAMPLE.TEST"),
    (b"user%x.test", b"[192.0.2.1]"),
)
LISTS: Final = (
    b"50% off <user>",
    b"Yahoo! News <user>, a % b, a ! b",
    b"<user> <root>",
    b"a <user> b <root> c",
    b"user; root",
    b"user; Name <root>",
    b"user; <root>; (c) x",
    b"A: user, B: root; c",
    b"A B: user;",
    b'"A B": user;',
    b"A.B: user;",
    b"A: ;",
    b"(c)",
    b"(c) user (d)",
    b"user (c) (d), (e) root (f)",
    b"<user> (c) (d)",
    b"<user(c)>",
    b"<user (c) @ (d) far.test>",
    b"Name (c) <user>",
    b"(c) Name <user>",
    b"user@(c)",
    b"user @far.test root",
    b"user\r\n @far.test",
    b"user\r\n\troot",
    b"'user'",
    b"'user' <user>",
    b"=?utf-8?Q?a=2C_b?= <user>",
    b"=?utf-8?Q?a@b?= user",
    b"=?utf-8?B?w6Q=?= =?utf-8?B?w7Y=?= <user>",
    b"\xe4\xf6 <user>",
    b"\xc3\xa4@far.test",
    b"user@\xc3\xa4.test",
    b'"\xc3\xa4 b"@short',
    b"a\\ b@short",
    b'"a\\"b" <user>',
    b"a\\b <user>",
    b"\\\\ <user>",
    b"user@[far.test",
    b"user@far]test",
    b"[user]",
    b"user@[IPv6:::1]",
    b"user@192.0.2.1",
    b"@",
    b"@@",
    b"user@@far.test",
    b"user@",
    b"%",
    b"user%",
    b"%far.test",
    b"!",
    b"far.test!",
    b"!user",
    b"a!b!user",
    b"user%a%b",
    b"a!user%b",
    b"user%a@short",
    b"user%far.test., far.test.!user",
    b"a!user@short",
    b".",
    b".user",
    b"user.",
    b"us..er",
    b"user@.",
    b"user@far..test",
    b"user@short.",
    b"user@short..",
    b"user.@short",
    b";",
    b",",
    b",,,",
    b"user,,root",
    b"user,",
    b"<>",
    b"<>, user",
    b"Name <>",
    b"<@>",
    b"<,>",
    b"@a:user",
    b"@a:user@short",
    b"<@a:user>",
    b"<@a,@b:user@short>",
    b"Name <@a:user>, root",
    b"@a,@b:user",
    b"user:root",
    b"http://far.test/",
    b"user@far.test/root@far.test",
    b"root+x, user-y, user+",
    b"x" * 260 + b" <user>",
    b"(" + b"c" * 300 + b") user",
    b"user@far.test, " * 30 + b"root",
    b"(((((((((((user)))))))))))",
    b'""',
    b'""@short',
    b'"" <user>',
    b'" " <user>',
    b'" "@short',
    b'"user"',
    b'"user"@short',
    b'"a.b"@short, "a..b"@short',
    b"user\t@\tshort",
    b"=user=@short",
    b"{user}@short, |user@short, ~user@short, /user@short",
    b"user@short(c)root@short",
    b"user@far.test;root@far.test",
    b"undisclosed recipients: ;",
    b"Undisclosed-Recipients <>",
    b"a@b (c) d@e (f)",
)
MALFORMED: Final = (
    b"A: user; B: root;",
    b"A:",
    b"A: B: user;",
    b"user@far.test\x01",
    b"us\x01er",
    b"\x7f <user>",
    b":",
    b"<a, b>",
    b"<a b>",
    b"<a; b>",
    b"<a: b>",
    b"<<user>>",
    b"<user> >",
    b"> user",
    b"<@a:@b:user>",
    b"user (open",
    b'"open <user>, root',
    b"user@far.test (open, root",
)
IN_TABLES: Final = (
    (b"mapped@example.test", (b"mapped@example.test", b"twice@example.test", b"root@example.test"), b""),
    (
        b"root@sub.example.test",
        (b"many@example.test", b"MAPPED@example.test", b"mapped@EXAMPLE.test"),
        b" NOTIFY=NEVER",
    ),
    (b"user@short.test", (b"user@virtual.test", b"x@virtual.test", b"root+x@example.test"), b" NOTIFY=SUCCESS"),
    (b"First.Last@example.test", (b"First.Last@far.test", b"self@example.test", b"UPPER@example.test"), b""),
    (
        b"mapped+ext@example.test",
        (b"mapped+ext@example.test", b"mapped-ext@example.test", b"user+a+b@example.test"),
        b"",
    ),
    (b"x@mapped.test", (b"x@mapped.test", b"x+y@mapped.test", b"a@host.sub.example.test"), b" NOTIFY=SUCCESS,FAILURE"),
    (b"mapped@example.test", (b"many@example.test",) * 3, b" NOTIFY=SUCCESS ORCPT=rfc822;told@far.test"),
    (b"root@example.test", (b"one@far.test", b"ONE@far.test", b"mapped@example.test", b"two@far.test"), b""),
    (b"twice@example.test", (b"user@far.test", b"mapped@example.test", b"copy@other.test"), b" NOTIFY=FAILURE"),
)
ROUTED: Final = (
    b"<far.test!-dash>",
    b'<"user%far.test x"@example.test>',
    b'<"a@b x"@localhost>',
    b'<"a@b"%far.test@localhost>',
)
NOWHERE: Final = (b"<user%far.test@>", b"<far.test!user@>", b'<"a@b"@>')
CHECKED_FIELDS: Final = (
    *(
        b"Subject:",
        b"X-Folded: a\r\n b",
        b"X-Long: x",
        b"X-Wide: x",
        b"Date: nonsense",
        b"X-Nul: x",
        b"Precedence: bulk",
    ),
    *(
        b"List-Id: x",
        b"Resent-Message-Id: <x>",
        b"X-Secret: x",
        b"X-Control: x",
        b"X-Cr: x",
        b"Lines: 12",
        b"Status: RO",
    ),
    *(
        b'From: "quoted" <x>',
        b"Content-Length: 1",
        b"Cc: user",
        b"Precedence: bulk\r\nList-Id: x\r\nLines: 1\r\nX-Nul: x",
    ),
    *(
        b"X-Secret: x\r\nX-Nul: x",
        b"X-Nul: x\r\nX-Secret: x",
        b"Precedence: bulk\r\nX-Control: x",
        b"Lines: 1\r\nLines: 2",
    ),
    *(
        b"Resent-Message-Id: <x>\r\nList-Id: x",
        b"Content-Type: text/plain",
        b"Content-Type: multipart/alternative; x=y",
    ),
)
CHECKED_LINES: Final = (
    *(
        b"text",
        b"From x",
        b">From x",
        b"cr",
        b"To: in@body",
        b"nul",
        b"=C3=A4=",
        b"--aa: x",
        b"end",
        b"y" * 150,
        b"a" * 3000,
    ),
)
CHECKED_TREE: Final = (
    b'Content-Type: multipart/alternative; boundary="b"\r\n\r\ntext\r\n--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n'
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nX-Number: 3\r\nSubject: x\r\nX-Secret: nested\r\nX-Number: 4\r\n\r\n"
)
SEVEN: Final = 24
_TO_SEVEN: Final = (b"<user@seven.test>",)
_EIGHT_BIT: Final = b"Content-Transfer-Encoding: 8bit\r\n"
_UTF8: Final = b"j\xc3\xbcrgen@b\xc3\xbccher.test"
_OFFERED: Final = b" SMTPUTF8 BODY=8BITMIME"
BEYOND_ASCII: Final = (
    (b"<%b>" % _UTF8, (b"<user@far.test>",), _OFFERED, b"To: user"),
    (b"<a@b.test>", (b"<%b>" % _UTF8,), _OFFERED, b"To: %b" % _UTF8),
    (
        b"<a@b.test>",
        (b"<user@b\xc3\xbccher.test>", b"<j\xc3\xbcrgen>"),
        _OFFERED,
        b"To: j\xc3\xbcrgen, \xc3\xa4 <x@b\xc3\xbc>",
    ),
    (b"<a@b.test>", (b"<user@b\xc3\xbccher.test>", b"<j\xc3\xbcrgen@example.test>"), b"", b"To: user"),
    (b"<j\xc3\xbcrgen>", (b"<user@far.test>",), b"", b"To: user"),
    (b"<a@b.test>", (b"<user@far.test>",), _OFFERED, b"Subject: \xc3\xa4"),
    (b"<a@b.test>", (b"<user@seven.test>",), _OFFERED, b"Subject: a"),
    (b"<a@xn--bcher-kva.test>", (b"<\xff@far.test>", b'<"\xc3\xa4 b"@far.test>'), _OFFERED, b"To: \xff"),
)
FIELDS_AT_ONCE: Final = 10
_DOMAINS: Final = {"virtu": b"box.test", "local": b"local.test"}
_HEAD: Final = HEAD.replace(b"\r", b"")
SUBMITTED: Final[tuple[tuple[bytes, bytes, tuple[bytes, ...], bytes], ...]] = (
    (_HEAD + b"\nbody\n", b"sender@client.test", (b"user@far.test",), b""),
    (b"\nbody\n", b"sender", (b"user",), b""),
    (b"", b"sender", (b"user@short", b"root@far.test"), b""),
    (b"no header\nat all\n", b"sender@far.test", (b"user@far.test",), b""),
    (b"Subject: x\nno end of line", b"sender@far.test", (b"user@far.test",), b"-F Full.Name"),
    (b'To: "quoted, one" <user>, Group: root;\nBcc: hidden\n\nx\n', b"", (b"user@far.test",), b"-F J\xc3\xbcrgen"),
    (b"Subject: x\r\nX-Crlf: yes\r\n\r\nbody\r\n", b"sender@far.test", (b"user@far.test",), b""),
    (b"From somebody Sun Nov 22 20:00:00 2026\nSubject: x\n\nFrom x\n", b"sender@far.test", (b"user@far.test",), b""),
    (b">From x\nSubject: x\n\n.\n..\nend\n", b"sender@far.test", (b"user@far.test",), b"-i"),
    (b"Subject: x\n\nbefore\n.\nafter\n", b"sender@far.test", (b"user@far.test",), b""),
    (b"Subject: x\n\n\xc3\xa4\xff\n", b"sender@far.test", (b"user@far.test",), b"-B 8BITMIME"),
    (b"Subject: x\n\n\xc3\xa4\n", b"sender@far.test", (b"user@far.test",), b""),
    (b"Subject: " + b"y" * 3000 + b"\n\n" + b"z" * 9000 + b"\n", b"sender@far.test", (b"user@far.test",), b""),
    (_HEAD + b"\nnotify\n", b"sender@far.test", (b"user@far.test", b"user@far.test"), b"-N failure,delay -R hdrs"),
    (_HEAD + b"\n", b"sender@far.test", (b"user@far.test,root@far.test", b"Name <x@far.test>"), b""),
    (b"Resent-To: user\n" + _HEAD + b"\n\n\n", b"@a.test:sender@far.test", (b"far.test!user", b"user%far.test"), b""),
    (b" leading blank\nSubject: x\n\nbody\n", b"sender@far.test", (b"user@far.test",), b""),
    (b"Subject: x\n\nnul\0here\n\rcr\r\n", b"sender@far.test", (b"user@far.test",), b""),
)


def of_forms() -> Iterator[Letter]:
    """Give every form of odd_addresses.py, each with some addresses."""
    for number, form in enumerate(odd_addresses.FORMS + odd_addresses.MALFORMED):
        fields = []
        for user, domain in USERS_AND_DOMAINS:
            for phrase in (b"", b"Two Words", b'"Q, C"') if b"phrase" in form else (b"",):
                parts = {b"user": user, b"domain": domain, b"address": user + b"@" + domain, b"phrase": phrase}
                fields.append(b"To: " + form % parts + b"\r\n")
        kind = "malformed.form" if form in odd_addresses.MALFORMED else "form"
        yield Letter(f"{kind}.{number}", b"".join(fields) + b"\r\nbody\r\n")


def of_lists() -> Iterator[Letter]:
    """Give every list, ten in a message."""
    for start in range(0, len(LISTS), FIELDS_AT_ONCE):
        fields = [b"Cc: %b\r\n" % text for text in LISTS[start : start + FIELDS_AT_ONCE]]
        yield Letter(f"list.{start}", HEAD + b"".join(fields) + b"\r\nbody\r\n")
    for number, text in enumerate(MALFORMED):
        yield Letter(f"malformed.list.{number}", HEAD + b"Cc: %b\r\n\r\nbody\r\n" % text)


def of_names() -> Iterator[Letter]:
    """Give every user, domain and phrase of odd_addresses.py in header and envelope."""
    for number, user in enumerate(odd_addresses.USERS):
        content = b"To: %b@far.test\r\nTo: %b\r\nTo: x <%b@short>\r\n\r\nbody\r\n" % (user, user, user)
        recipients = (b"<%b@far.test>" % user, b"<%b>" % user, b"<%b@localhost>" % user)
        yield Letter(f"user.{number}", content, b"<%b@client.test>" % user, recipients)
    for number, domain in enumerate(odd_addresses.DOMAINS):
        content = b"To: u@%b\r\nTo: x <u@%b>\r\n\r\nbody\r\n" % (domain, domain)
        yield Letter(f"domain.{number}", content, b"<u@%b>" % domain, (b"<u@%b>" % domain,))
    for number, phrase in enumerate(odd_addresses.PHRASES):
        content = b"To: %b<u>\r\nTo: %b <u>\r\nTo: u (%b)\r\n\r\nbody\r\n" % (phrase, phrase, phrase)
        yield Letter(f"phrase.{number}", content)


def of_mailboxes() -> Iterator[Letter]:
    """Give messages to mailboxes of every kind: what is there does not change what is written."""
    for number, body in enumerate([body for body in BODIES if b"\r\r" not in body][: BOXES - 1]):
        yield Letter(f"box.{number}", HEAD + b"\r\n" + body, recipients=_boxes(number))


def _boxes(number: int) -> tuple[bytes, ...]:
    """Give the recipients whose mailboxes have a number."""
    return tuple(b"<%b-%d@%b>" % (kind.encode(), number, _DOMAINS[kind[:5]]) for kind in KINDS)


def of_checks() -> Iterator[Letter]:
    """Give messages that rules of header and body checks are about, one rule at a time, and some together."""
    recipients = (b"<user@far.test>", b"<root@example.test>")
    for number, field in enumerate(CHECKED_FIELDS):
        yield Letter(f"checked.{number}", HEAD + field + b"\r\n\r\nbody\r\n", recipients=recipients)
    for number, line in enumerate(CHECKED_LINES):
        yield Letter(f"checked.body.{number}", HEAD + b"\r\nfirst\r\n" + line + b"\r\nlast\r\n", recipients=recipients)
    content = HEAD + CHECKED_TREE + b"".join(line + b"\r\n" for line in CHECKED_LINES if not line.startswith(b"="))
    yield Letter("checked.tree", content + b"--b--\r\n", recipients=recipients)


def of_odd_paths() -> Iterator[Letter]:
    """Give paths that both read, and not in the same way."""
    for number, path in enumerate(ROUTED):
        yield Letter(f"routed.{number}", HEAD + b"\r\nx\r\n", recipients=(path, b"<user@far.test>"))
        yield Letter(f"routed.sender.{number}", HEAD + b"\r\nx\r\n", path)
    for number, path in enumerate(NOWHERE):
        yield Letter(f"nowhere.{number}", HEAD + b"\r\nx\r\n", recipients=(path, b"<user@far.test>"))


def of_seven() -> Iterator[Letter]:
    """Give messages for a server that takes 7-bit only: what has a type is converted."""
    for number in range(SEVEN):
        name = f"seven.{number}"
        source = random.Random(name)
        content = odd_messages.mime_tree(source) if number % 2 else odd_messages.mime_lines(source)
        if number % 4 == 1:
            content = content.replace(b"Content-Type: text/plain", _EIGHT_BIT + b"Content-Type: text/plain")
        yield Letter(name, content, recipients=_TO_SEVEN, mail_options=b"" if number % 3 else b" BODY=8BITMIME")
    for number, body in enumerate(BODIES):
        head = HEAD + b"MIME-Version: 1.0\r\n"
        typed = head + b"Content-Type: text/plain; charset=utf-8\r\n" + _EIGHT_BIT + b"\r\n"
        yield Letter(f"seven.typed.{number}", typed + body, recipients=_TO_SEVEN, mail_options=b" BODY=8BITMIME")
        yield Letter(f"seven.plain.{number}", head + b"\r\n" + body, recipients=_TO_SEVEN)


def of_utf8() -> Iterator[Letter]:
    """Give messages with addresses beyond ASCII."""
    for number, (sender, recipients, options, field) in enumerate(BEYOND_ASCII):
        content = b"From: a@b.test\r\n" + field + b"\r\n\r\nx\r\n"
        yield Letter(f"utf8.{number}", content, sender, recipients, options)


def submitted() -> list[Letter]:
    """Give the messages that go through sendmail."""
    letters = []
    for number, (content, sender, recipients, options) in enumerate(SUBMITTED):
        letters.append(Letter(f"sendmail.{number}", content, sender, recipients, options))
    return letters


def of_tables(configuration: str) -> Iterator[Letter]:
    """Give messages with the addresses that tables know."""
    for number, (sender, recipients, options) in enumerate(IN_TABLES):
        content = b"From: %b\r\nTo: %b\r\n\r\nbody\r\n" % (sender, b", ".join(recipients))
        paths = tuple(b"<%b>" % recipient for recipient in recipients)
        yield Letter(f"tables.{configuration}.{number}", content, b"<%b>" % sender, paths, b"", options)


def by_hand(configuration: str) -> list[Letter]:
    """Give the messages that a configuration gets beside those made by chance."""
    if configuration == "local":
        return [*of_forms(), *of_lists(), *of_names(), *of_mailboxes(), *of_odd_paths(), *of_seven(), *of_utf8()]
    if configuration == "no-original":  # into mailboxes that no other message goes to
        return [*of_tables(configuration), Letter("box.last", HEAD + b"\r\nx\r\n", recipients=_boxes(BOXES - 1))]
    if configuration == "checks":
        return [*of_tables(configuration), *of_checks()]
    return list(of_tables(configuration))
