"""What smtp(8) makes of content on its way out is what Debian's Postfix makes of it, octet for octet.

Postfix gets each message once and sends it to eight servers, by transports with settings of their own. The first one
changes nothing: what came out there is what our smtp(8), with the settings of the other ones, gets to deliver.
"""

import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final, NamedTuple

import pytest

from posthouse.daemons.smtp.agent import start
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import SENT, Envelope
from tests.conftest import Start
from tests.support import mime_messages
from tests.support.agent import AgentHarness
from tests.support.exact_client import Letter, send_all
from tests.support.exact_sink import Delivery, ExactSink
from tests.support.instance import DEFAULT_MAIN, Instance

SEVEN: Final = ("PIPELINING", "DSN", "SIZE 0")
EIGHT: Final = (*SEVEN, "8BITMIME")
LIMIT_S: Final = 60


class Way(NamedTuple):
    """A transport, and what its server offers."""

    features: tuple[str, ...]
    main: dict[str, str]


CHECKS: Final = {
    "smtp_header_checks": "pcre:{directory}/etc/header",
    "smtp_mime_header_checks": "pcre:{directory}/etc/mime",
    "smtp_nested_header_checks": "pcre:{directory}/etc/nested",
    "smtp_body_checks": "pcre:{directory}/etc/body",
}
GENERIC: Final = {"smtp_generic_maps": "texthash:{directory}/etc/generic", "recipient_delimiter": "+"}
SHARED: Final = {key: DEFAULT_MAIN[key] for key in ("mydomain", "myorigin", "mydestination")}
SHARED["myhostname"] = DEFAULT_MAIN["myhostname"]
WAYS: Final = {
    "same": Way(EIGHT, {"smtp_line_length_limit": "0"}),
    "seven": Way(SEVEN, {}),
    "utf8": Way((*SEVEN, "SMTPUTF8"), {}),
    "off": Way(SEVEN, {"disable_mime_output_conversion": "yes"}),
    "short": Way(EIGHT, {"smtp_line_length_limit": "20"}),
    "checks": Way(EIGHT, CHECKS),
    "generic": Way(EIGHT, GENERIC),
    "extension": Way(EIGHT, {**GENERIC, "propagate_unmatched_extensions": "canonical, generic"}),
    "all": Way(SEVEN, {**CHECKS, **GENERIC, "smtp_line_length_limit": "60"}),
}
FILES: Final = {
    "header": "/^Subject: .*warn/ WARN a subject\n/^Subject: .*info/ INFO\n/^X-Strip:/ STRIP odd\n/^X-Ignore/ IGNORE\n"
    "/^X-A *: *(.*)/ REPLACE X-B: $1 changed\n/^To:.*user/ PREPEND X-Before: to\n/^Message-Id/ REJECT no\n"
    "/^From: local/ REPLACE From: local@here.test\n/^c:/ FILTER a:b\n",
    "mime": "/^Content-Type: text\\/plain/ PREPEND X-Part: text\n/^Content-Description/ STRIP\n"
    "/^X-Mult/ REPLACE X-M: y\n",
    "nested": "/^Subject/ REPLACE Subject: nested\n/^To/ IGNORE\n/^From/ WARN nested from\n",
    "body": "/^strip/ STRIP\n/^ignore/ IGNORE\n/^replace (.*)/ REPLACE $1 replaced\n/^before/ PREPEND line before\n"
    "/^warn/ WARN a line\n/^hold/ HOLD\n/^text$/ INFO\n",
    "generic": "local@here.test outside@far.test\nuser@generic.test user@mapped.test\nbare bare@mapped.test\n"
    "@whole.test @mapped.test\nlist@here.test one@far.test, two@far.test\nodd@here.test no address\n"
    'quoted@here.test "a b"@far.test\n',
}

PLAIN: Final = b"From: local@here.test\nTo: user@generic.test\nSubject: %b\n"
EIGHT_BIT: Final = b"Mime-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
MULTIPART: Final = b'Mime-Version: 1.0\nContent-Type: multipart/mixed; boundary="x y"\n'
MESSAGES: Final = {
    "plain": PLAIN % b"plain warn" + b"\n.\n..two\ntext\n",
    "unlabelled": PLAIN % b"8-bit without a word" + b"\n\xc3\xa4 text \xff\n",
    "labelled": PLAIN % b"labelled"
    + EIGHT_BIT
    + b"\ntext = \xc3\xa4 \n\t\ntrailing \n.dot\n"
    + b"\xe4" * 100
    + b"\nend",
    "ascii": PLAIN % b"labelled, but ascii" + EIGHT_BIT + b"\na = b\n\x01 control\n",
    "binary": PLAIN % b"binary" + EIGHT_BIT.replace(b"8bit", b"BINARY (c)") + b"\n\x00\x80\xff\r\n\n\n",
    "long": PLAIN % (b"long " + b"l" * 1500) + b"\n" + b"b" * 998 + b"\n" + b"c" * 999 + b"\n" + b"d" * 5000 + b"\n",
    "long8": PLAIN % b"long, 8-bit" + EIGHT_BIT + b"\n" + b"\xc3\xa4b c" * 1000 + b"\n" + b"=" * 72 + b"\n",
    "edges": PLAIN % b"edges" + b"\n" + b"".join(b"%0*d\n" % (n, 0) for n in (18, 19, 20, 21, 38, 39, 40, 41, 59, 60)),
    "dots": PLAIN % b"dots" + b"\n" + b"." * 70 + b"\n" + b" " * 70 + b"\n" + (b"x" * 19 + b".") * 4 + b"\n",
    "multipart": PLAIN % b"parts"
    + MULTIPART
    + b"Content-Transfer-Encoding: 8bit\n\nprologue \xe4\n--x y\n"
    + EIGHT_BIT
    + b"X-Mult: \xe4\n\n\xc3\xa4 eight\n--x y\nContent-Type: text/plain\nContent-Description: d\n\nseven\n--x y\n"
    + b"Content-Type: application/x\nContent-Transfer-Encoding: base64\n\nAAAA\n--x y--\nepilogue \xe4\n",
    "attached": PLAIN % b"attached"
    + b"Mime-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n"
    + PLAIN % b"inner \xe4 warn"
    + EIGHT_BIT
    + b"\n\xc3\xa4 inside\nstrip\n",
    "digest": PLAIN % b"digest"
    + MULTIPART.replace(b"mixed", b"digest")
    + b"\n--x y\n\n"
    + PLAIN % b"one"
    + EIGHT_BIT
    + b"\n\xe4 one\n--x y\n\n"
    + PLAIN % b"two info"
    + b"\ntwo\n--x y--\n",
    "partial": PLAIN % b"partial" + b"Content-Type: message/partial; id=a\nContent-Transfer-Encoding: 8bit\n\n\xe4\n",
    "global": PLAIN % b"global" + b"Content-Type: message/global\nContent-Transfer-Encoding: 8bit\n\nX: \xe4\n\n\xe4\n",
    "says7": PLAIN % b"says 7bit" + MULTIPART + b"Content-Transfer-Encoding: 7bit\n\n--x y\n" + EIGHT_BIT + b"\n\xe4\n",
    "edited": PLAIN % b"info"
    + b"X-Strip: 1\nX-Ignore: 2\nX-A: 3\nX-A : 4\n folded\nc: d\n\n"
    + b"strip\nignore\nreplace this\nbefore\nwarn \xe4\nhold\n",
    "addresses": b"From: Random (c) <local@here.test>\nSender: other@here.test\nTo: bare@example.test,\n"
    b' a b <user@generic.test>,\n\t"q, r" <user+ext@generic.test>, any+e@whole.test,'
    b" local@here.test, <@route.test:local@here.test>\n"
    b"Cc: list@here.test, odd@here.test, quoted@here.test, LOCAL@HERE.test\nReply-To: <>, nobody@else.test\n"
    b"Resent-To: local+x@here.test\nX-To: local@here.test\nErrors-To: local@here.test\n"
    b"Disposition-Notification-To: local@here.test\nSubject: addresses\n\nlocal@here.test\n",
    "folded": b"From: local@here.test\nTo: "
    + b",\n ".join(b"name number %d <user%d@whole.test>" % (n, n) for n in range(9))
    + b"\nSubject: folded\n\ntext\n",
    "empty": b"",
    "nobody": PLAIN % b"no body",
    "late": PLAIN % b"late" + EIGHT_BIT + b"\n" + b"ascii line\n" * 9000 + b"\xe4 at last\ntext\n",
}


def letters() -> Iterator[Letter]:
    """Give all messages, some of them sent as 8BITMIME, and some made by chance."""
    recipients = tuple(f"<user+tag@{way}.test>".encode() for way in WAYS)
    bodies = {"unlabelled": b" BODY=8BITMIME", "attached": b" BODY=8BITMIME", "says7": b" BODY=7BIT"}
    made = {f"tree{n}": mime_messages.Tree(random.Random(n)).text for n in range(10)}
    made |= {f"lines{n}": mime_messages.lines(random.Random(n)) for n in range(40)}
    for name, content in {**MESSAGES, **made}.items():
        wire = re.sub(rb"\r*\n", b"\r\n", content)
        yield Letter(name, wire, b"<local@here.test>", recipients, bodies.get(name, b""))


def by_name(sink: ExactSink) -> dict[str, Delivery]:
    """Give what a server got, by message."""
    return {delivery.envid.decode(): delivery for delivery in sink.taken}


def shown(delivery: Delivery) -> tuple[bytes, tuple[bytes, ...], bytes]:
    """Leave out what says nothing of content and addresses."""
    return re.sub(rb" (SIZE|ENVID|BODY)=\S+", b"", delivery.mail), delivery.recipients, delivery.content


def checked(log: str) -> Counter[str]:
    """Give what checks and maps said, without queue IDs."""
    found = re.findall(
        r"(?:[0-9A-Za-z]+: (?:\w+: (?:header|body) .*)|warning: (?:multi-valued|unsupported) .*)$", log, re.MULTILINE
    )
    return Counter(re.sub(r"^(?!warning)[0-9A-Za-z]+: ", "", line) for line in found)


class Case(NamedTuple):
    """Postfix with everything delivered, and where."""

    peer: Instance
    sinks: dict[str, ExactSink]


@pytest.fixture
def postfix(postfix_peer: Start) -> Iterator[Case]:
    """Have Postfix deliver all messages."""
    with ExitStack() as stack:
        sinks = {name: stack.enter_context(ExactSink(way.features)) for name, way in WAYS.items()}
        services = []
        for name, way in WAYS.items():
            settings = "".join(f"\n  -o {{ {key} = {value} }}" for key, value in way.main.items())
            services.append(f"{name} unix - - n - - smtp{settings}")
        transport = "".join(f"{name}.test {name}:[127.0.0.1]:{sink.port}\n" for name, sink in sinks.items())
        peer = postfix_peer(
            main={"transport_maps": "texthash:{directory}/etc/transport", "local_header_rewrite_clients": ""},
            master=services,
            files={**FILES, "transport": transport},
        )
        replies = send_all(peer.port, letters())
        assert {reply[-1][:3] for reply in replies.values()} == {"250"}
        peer.wait_queue_empty(LIMIT_S)
        yield Case(peer, sinks)


def deliver(agent: AgentHarness, sink: ExactSink, way: str, given: dict[str, Delivery]) -> None:
    """Have our smtp(8) deliver what Postfix's delivered without changing it."""
    encodings = {b"7BIT": "7bit", b"8BITMIME": "8bit"}
    numbers = []
    for name, delivery in given.items():
        body = re.search(rb" BODY=(\w+)", delivery.mail)
        encoding = encodings[body[1]] if body else ""
        envelope = Envelope("3TestQueueId", "local@here.test", time.time(), encoding=encoding, dsn_envid=name)
        content = delivery.content.replace(b"\r\n", b"\n")
        rcpt = DeliverTo(1, f"user+tag@{way}.test")
        numbers.append(
            agent.request(f"[127.0.0.1]:{sink.port}", [rcpt], content, envelope=envelope, large=len(content) > 65536)
        )
    for number in numbers:
        assert agent.wait(number, LIMIT_S).results[0].outcome == SENT


def test_content_goes_out_as_postfix_sends_it(postfix: Case) -> None:
    """Conversion to 7 bits, long lines, checks, generic maps, each alone and all together; and what is logged."""
    given = by_name(postfix.sinks["same"])
    differences: list[tuple[str, str, object, object]] = []
    logs: Counter[str] = Counter()
    assert len(given) == len(list(letters()))
    for name, way in WAYS.items():
        main = {**SHARED, **{key: postfix.peer.fill(value) for key, value in way.main.items()}}
        with ExactSink(way.features) as sink, AgentHarness(start, main) as agent:
            deliver(agent, sink, name, given)
            logs += checked("\n".join(agent.log.lines))
            ours, theirs = by_name(sink), by_name(postfix.sinks[name])
        differences += [
            (name, letter, theirs[letter], ours[letter])
            for letter in given
            if shown(ours[letter]) != shown(theirs[letter])
        ]
    for one in differences[:4]:
        print(*one, sep="\n")
    assert not differences
    assert logs == checked(postfix.peer.log())
