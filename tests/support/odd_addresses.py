"""Addresses and lists of them as they stand in headers, well-formed and not, for messages made by chance.

The names are those that the tables and settings of tests/integration/68_messages know: `mapped`, `twice`, `many`,
`loop`, `self`, root, below example.test and sub.example.test; others that nobody knows.
"""

import random
from typing import Final

USERS: Final = (
    *(b"user", b"mapped", b"twice", b"many", b"root", b"self", b"mapped+ext", b"user+a+b", b"First.Last", b"UPPER"),
    *(b'"two words"', b'"quoted"', b'"a@b"', b'"with\\"quote"', b'"dot."', b"-dash", b"a.b.c", b"owner-list", b"x=y"),
    *(b"mapped-ext", b"user%far.test", b"far.test!user", b'""', b"'single'", b"postmaster", b"MAILER-DAEMON"),
)
DOMAINS: Final = (
    *(
        b"example.test",
        b"sub.example.test",
        b"host.sub.example.test",
        b"keep.example.test",
        b"far.test",
        b"client.test",
    ),
    *(b"mail.example.test", b"localhost", b"short", b"EXAMPLE.TEST", b"far.test.", b"[192.0.2.1]", b"virtual.test"),
    *(b"other.test", b"a.b.c.far.test", b"mapped.test", b"xn--bcher-kva.test"),
)
PHRASES: Final = (
    *(
        b"",
        b"",
        b"Plain",
        b"Two Words",
        b'"Quoted, Comma"',
        b'"Esc \\" aped"',
        b"=?utf-8?Q?J=C3=BCrgen?=",
        b"Dotted. J.",
    ),
    *(b"a (comment) b", b"\xc3\xa4\xc3\xb6", b"  much   space ", b'"a" b "c"', b"O'Neil", b"[x]", b"tab\tbed"),
)
FORMS: Final = (
    b"%(phrase)b <%(address)b>",
    b"%(phrase)b <%(address)b>",
    b"%(address)b",
    b"%(address)b",
    b"%(address)b (Comment)",
    b"(before) %(address)b",
    b"<%(address)b>",
    b"%(user)b",
    b"%(user)b (just a user)",
    b"%(phrase)b <@route.test,@two.test:%(address)b>",
    b"%(user)b @ %(domain)b",
    b"%(user)b(in)@(here)%(domain)b",
    b"%(phrase)b\r\n <%(address)b>",
    b"Group: %(address)b, %(user)b;",
    b"undisclosed:;",
    b"Group:%(address)b;, %(user)b",
    b"%(address)b %(user)b",
    b"%(phrase)b %(address)b",
    b"%(phrase)b < %(address)b >",
    b"%(phrase)b <>",
    b"%(user)b@",
    b"@%(domain)b",
    b"%(user)b@%(domain)b@%(domain)b",
    b"%(user)b..dots@%(domain)b",
    b".%(user)b@%(domain)b",
    b"%(user)b@.%(domain)b",
    b"<%(address)b> trailing",
    b"%(address)b (a (nested) \\) comment)",
    b"%(user)b@%(domain)b, ",
    b",, %(address)b",
    b"%(address)b/%(user)b",
    b"%(user)b%%far.test@%(domain)b",
    b"far.test!%(user)b@%(domain)b",
    b"%(phrase)b <%(address)b> (c), %(phrase)b <%(user)b>",
)
MALFORMED: Final = (  # what stands beside these in a list is read with them, so they stand alone
    b"<%(address)b",
    b"%(address)b>",
    b"%(address)b (open",
    b'"open <%(address)b>',
    b"%(address)b;",
    b"@route.test:%(address)b",
    b"mailto:%(address)b",
    b"%(address)b; %(user)b",
)
SEPARATORS: Final = (b", ", b",", b",\r\n\t", b" , ", b",\r\n ")


def one(source: random.Random) -> bytes:
    """Give what may stand for one mailbox."""
    user, domain = source.choice(USERS), source.choice(DOMAINS).rstrip(b".")
    parts = {b"user": user, b"domain": domain, b"address": user + b"@" + domain, b"phrase": source.choice(PHRASES)}
    return (source.choice(FORMS) % parts).lstrip(b" ")


def some(source: random.Random) -> bytes:
    """Give a list, mostly short."""
    count = source.choice((1, 1, 1, 2, 3, 5, 12))
    pieces = [one(source)]
    for _ in range(count - 1):
        pieces += [source.choice(SEPARATORS), one(source)]
    return b"".join(pieces)


def path(source: random.Random) -> bytes:
    """Give a path for MAIL or RCPT, with its brackets; mostly one that a server takes."""
    user, domain = source.choice(USERS), source.choice(DOMAINS)
    plain = user if b"@" not in user and b"%" not in user and b"!" not in user else b"user"
    kind = source.random()
    if kind < 0.7:
        return b"<%b@%b>" % (user, domain)
    if kind < 0.8:
        return b"<%b>" % user
    odd = (
        b"<@route.test:%b@%b>" % (user, domain),
        b"<@a.test,@b.test:%b@%b>" % (user, domain),
        b"%b@%b" % (user, domain),
        b"<%b@%b@%b>" % (user, domain, domain),
        b"<%b%%far.test@%b>" % (plain, domain),
        b"<%b!%b>" % (domain, user.lstrip(b"-")),
        b"<%b@>" % plain,
        b'<"%b x"@%b>' % (plain.replace(b'"', b""), domain),
        b"< %b@%b >" % (user, domain),
        b"<%b@%b" % (user, domain),
        b"<(comment)%b@%b>" % (user, domain),
        b"<%b@%b.>" % (user, domain.rstrip(b".")),
    )
    return source.choice(odd)
