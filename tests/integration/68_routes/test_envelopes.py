"""What becomes of a recipient between RCPT TO and its delivery: Debian's Postfix and ours under the same main.cf.

Standard form, canonical tables, masquerading, copies, virtual aliases and the resolver, one after the other, by way of
a running server; agents that deliver nothing log where each recipient ended.
"""

import re
import smtplib
from collections.abc import Sequence
from typing import Final

from tests.conftest import Start
from tests.support import net
from tests.support.instance import Instance
from tests.support.route_cases import BASE

DELIVERY: Final = r" {queue_id}: (to=.*?), relay=.*dsn=(.*), status=(.*)$"
MAIN: Final = {
    **BASE,
    "default_transport": "discard:default",
    "relay_transport": "discard:relay",
    "local_transport": "discard:local",
    "virtual_transport": "discard:virtual",
    "smtpd_reject_unlisted_recipient": "no",
    "virtual_mailbox_maps": "",
    "virtual_mailbox_base": "/nowhere",
    "virtual_alias_domains": "alias.test, all.test",
    "masquerade_domains": "a.example.test !c.b.test b.test example.test",
    "masquerade_exceptions": 'root, "x y"',
    "masquerade_classes": "envelope_sender, envelope_recipient",
    "sender_canonical_maps": "inline:{{s@s.test=t@t.test}}",
    "sender_bcc_maps": "inline:{{t@t.test=of.sender@s.test}}",
    "recipient_bcc_maps": "inline:{{bcc@far.test=copy}, {@copied.test=copy+d@x.test}}",
    "recipient_canonical_maps": "inline:{{c=cc}, {c+x@far.test=cx}, {d@far.test=@moved.test},"
    ' {"e f"@far.test="g h"@x.test}, {@new.test=@x.test}, {q@far.test="q"@r.test},'
    " {m@far.test=m1@x.test, m2@x.test}, {n@far.test=N N <n@x.test>},"
    " {loop@far.test=loop2@far.test}, {loop2@far.test=loop@far.test}, {@cat.test=one}, {p%z=pz@x.test}}",
    "canonical_maps": "inline:{{cc@example.test=third}, {root=admin+ext}, {@sub.example.test=@example.test}}",
    "virtual_alias_maps": "inline:{{a=aa}, {a@far.test=b@far.test, v@far.test}, {b@far.test=b@far.test, w@far.test},"
    ' {list=u1 u2+y, u3@x.test}, {"k l"@far.test="m n"@x.test}, {@all.test=@x.test}, {@one.test=single@x.test},'
    ' {none@far.test=,}, {self@far.test=self}, {quotes@far.test="q"@r.test, "<x>"@y.test}, {owner-l=ol},'
    " {comment@far.test=v (c) w}, {group@far.test=g:x@x.test, y@y.test;}, {route@far.test=<@a,@b:u@z.test>},"
    ' {copy=copy2@x.test}, {open@far.test="unclosed}}',
}
RECIPIENTS: Final = (
    *("a", "A", "a+x", "a@far.test", "a+x@far.test", "A+X@FAR.Test", "b+y@far.test", "list", "list+z", "u@all.test"),
    *("u+v@all.test", '"u v"@all.test', "u+e@one.test", "none@far.test", "self@far.test", "self+q@far.test"),
    *("quotes@far.test", '"quotes"@far.test', "owner-l", "owner-l+x", "comment@far.test", "group@far.test"),
    *("route@far.test", "open@far.test", "u@alias.test", '"k l"@far.test', '"k l+z"@far.test'),
    *("c", "c+x", "c+x@far.test", "d@far.test", '"e f"@far.test', "u+v@new.test", '"u v"@new.test', "q@far.test"),
    *("m@far.test", "n@far.test", "loop@far.test", "u@cat.test", "p%z", "p%z@example.test", "root+a"),
    *("u@sub.example.test", "root@h.a.example.test", "u@h.a.example.test", "u@h.example.test", "u@c.b.test"),
    *("u@x.c.b.test", "u@d.b.test", '"x y"@d.b.test', "u@b.test", "u@B.Test", "u@H.B.Test"),
    *("bcc@far.test", "bcc+x@far.test", "u@copied.test", "host!u", "u%h", "u@h", '"u@x.test"@example.test'),
    *("u (c)@far.test", "u\\@v@far.test", "a..b@far.test", "@a,@b:u@far.test", "postmaster", "-x@far.test"),
)


def _ends(server: Instance, recipients: Sequence[str]) -> dict[str, object]:
    """Send a message to each; give the reply that refused it, or where it ended."""
    found: dict[str, object] = {}
    accepted = {}
    with smtplib.SMTP(net.LOOPBACK, server.port, timeout=30) as client:
        client.ehlo("client.test")
        for recipient in recipients:
            client.docmd("RSET")
            client.docmd("MAIL FROM:<s@s.test>")
            reply = client.docmd(f"RCPT TO:<{recipient}>")
            if reply[0] == 250:
                reply = client.data(b"Subject: x\r\n\r\n")
            if reply[0] == 250:
                accepted[recipient] = reply[1].decode().rpartition(" ")[2]
            else:
                found[recipient] = reply
    for recipient, queue_id in accepted.items():
        server.wait_log(f"{queue_id}: removed", 30)
        found[recipient] = sorted(re.findall(DELIVERY.format(queue_id=queue_id), server.log(), re.MULTILINE))
    return found


def test_recipients_end_where_they_end_with_postfix(posthouse: Start, postfix_peer: Start) -> None:
    """Address, original address, status and agent of each, copies included."""
    theirs = _ends(postfix_peer(main=MAIN), RECIPIENTS)
    ours = _ends(posthouse(main=MAIN), RECIPIENTS)
    assert [(name, theirs[name], ours[name]) for name in RECIPIENTS if ours[name] != theirs[name]] == []
    assert sum(isinstance(end, list) for end in ours.values()) > len(RECIPIENTS) - 6
