"""Content checks in a whole system, beside Debian's Postfix with the same main.cf and the same messages.

Replies, what the log says of content and of recipients, what waits in the queue, and what is delivered are equal.
"""

import re
import smtplib
import time
from collections import Counter
from typing import Final

import pytest

from tests.conftest import Start
from tests.support import maildir, net
from tests.support.instance import Instance

HEAD: Final = "From: a@b.test\nDate: x\nMessage-Id: <1@x.test>\n"
MULTIPART: Final = HEAD + "Mime-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
LONG: Final = "a line that is long enough for its purpose, and says nothing\n"
HEADERS: Final = r"""
/^Subject: reject$/ REJECT
/^Subject: reject text/ REJECT go away
/^Subject: reject now/ REJECT 4.7.9 later
/^Subject: reject odd/ REJECT 2.0.0 odd
/^Subject: warn/ WARN look
/^Subject: info/ INFO look
/^Subject: discard/ DISCARD gone
/^Subject: hold/ HOLD keep it
/^Subject: filter/ FILTER smtp:[127.0.0.1]:9
/^Subject: redirect/ REDIRECT other@v.test
/^Subject: bcc/ BCC other@v.test
/^Subject: prepend/ PREPEND To: joe
/^Subject: replace/ REPLACE To: joe
/^Subject: strip/ STRIP why
/^Subject: ignore/ IGNORE
/^Subject: pass/ PASS
/^X-After: / REJECT after
/^From: canonical/ WARN as it came
/^Bcc: x/ REPLACE X-Bcc: y
/^X-Copy: (.*)$/ REPLACE X-Copied: <$1>
/^X-Twice: (.*)$/ PREPEND X-Once: $1
/^X-Long: / INFO long
/^Content-/ REJECT not here
"""
FILES: Final = {
    "headers": HEADERS,
    "mime": "/^Content-Type: image/ REPLACE Content-Type: text/plain\n/^X-Part: / PREPEND X-Pre: p\n/^X-Gone/ IGNORE\n",
    "nested": "/^To: nested/ WARN nest\n/^Subject: n/ STRIP\n",
    "body": "/^bad/ REJECT body text\n/^warn/ WARN b\n/^gone/ IGNORE\n/^old/ REPLACE new\n/^after/ PREPEND before\n"
    "/^--b/ INFO boundary\n/^hold/ HOLD\n/^lost/ DISCARD\n/^copy (.*)$/ REPLACE got $1\n",
}
MAIN: Final = {
    **{
        f"{name}_checks": f"regexp:{{directory}}/etc/{file}" for name, file in (("header", "headers"), ("body", "body"))
    },
    **{f"{name}_header_checks": f"regexp:{{directory}}/etc/{name}" for name in ("mime", "nested")},
    "body_checks_size_limit": "300",
    "strict_8bitmime": "yes",
    "strict_mime_encoding_domain": "yes",
    "mime_nesting_limit": "3",
    "message_reject_characters": r"\a",
    "message_strip_characters": r"\v",
    "header_size_limit": "500",
    "hopcount_limit": "5",
    "canonical_maps": "inline:{canonical@v.test=mapped@v.test}",
    "virtual_mailbox_domains": "v.test",
    "virtual_mailbox_maps": "static:box/",
    "virtual_mailbox_base": "{mail}",
    "virtual_uid_maps": "static:12345",
    "virtual_gid_maps": "static:12345",
    "virtual_minimum_uid": "1",
    "smtpd_peername_lookup": "no",
    "default_destination_recipient_limit": "1",
}
NESTED: Final = "".join(f"Content-Type: multipart/mixed; boundary=c{level}\n\n--c{level}\n" for level in range(6))
SUBJECTS: Final = (
    *("reject", "reject text", "reject now", "reject odd", "warn", "info", "discard", "hold", "filter", "redirect"),
    *("bcc", "prepend", "replace", "strip", "ignore", "pass", "none"),
)
TREE: Final = (
    f"{MULTIPART}pre\n--b\nContent-Type: image/x\nX-Part: 1\nX-Gone: 1\n\ngone\nold\nafter\nwarn\n"
    "--b\nContent-Type: message/rfc822\n\nTo: nested\nSubject: n\nX: y\n\nbody\n--b--\nrest\n"
)
MESSAGES: Final = (
    *(f"{HEAD}Subject: {subject}\nX-End: 1\n\nbody\n" for subject in SUBJECTS),
    f"{HEAD}Subject: pass\nX-After: 1\n\nbad\n",
    f"{HEAD}Subject: pass\nX: 1\n\nb\x07\n",
    f"{HEAD}Subject: hold\nX-After: 1\n\n",
    f"{HEAD}Subject: discard\nX-After: \xff\n\nbad\n",
    f"{HEAD}Subject: warn\n folded\n\tx\x01y\n\n",
    f"{HEAD}Subject: warn{'y' * 600}\n\n",
    "From: canonical@v.test\nBcc: x\nTo: joe\nDate: x\nMessage-Id: <1@x.test>\n\n",
    TREE,
    f"{HEAD}gone\nX-After: body now\n\nold\n",
    f"{HEAD}\nold{'x' * 3000}\nhold\n",
    f"{HEAD}\n{LONG * 4}old\n{LONG}old\n",
    f"{HEAD}\n{LONG}lost\nbad\n",
    f"{HEAD}\nbad\nold\n",
    f"{HEAD}Subject: \xff\n\nb\xff\n",
    f"{MULTIPART}--b\nContent-Type: text/plain\n\nw\xf6rld\n--b--\n",
    f"{MULTIPART}--b\nContent-Transfer-Encoding: 8bit\n\nw\xf6rld\n--b--\n",
    MULTIPART.replace("\n\n", "\nContent-Transfer-Encoding: base64\n\n") + "--b\n\nx\n--b--\n",
    f"{HEAD}{NESTED}\nx\n",
    f"{HEAD}X: 1\nSubject: a\x07b\n\n",
    f"{HEAD}\nbo\x0bdy\x07\n",
    f"{HEAD}Subject: a\x0bb\n\nbo\x0bdy\n",
    "Received: x\n" * 5 + HEAD + "\n",
    HEAD,
    "\nbody\n",
    f"{HEAD}X-Copy: a\n b\n\tc  \nX-Twice: a\n b \nSubject : warn\nX-Copy:\n d\n\ncopy  it \n copy\n",
    f"{HEAD}X-Long: {'x' * 3000}\nX-Long: a{(chr(10) + ' ' + 'y' * 90) * 10}\nTo: joe\n\nb\n",
    f"{HEAD}To: {', '.join(f'user{number}' for number in range(100))}\n\nb\n",
    f"{MULTIPART}--b\nX-Gone : 1\nX-Long: a{(chr(10) + ' ' + 'y' * 90) * 10}\n\nb\n--b--\n",
    f"{HEAD}\n\n\nwarn\n WARN\nWARN again\n",
    f"Subject: warn\n folded\n{HEAD}warn\n",
    f"{MULTIPART}--b\n\nwarn\n--b\nno header\nwarn\n--b\nX-Part: 1\nat once\n--b--\n--b\nwarn\n",
    MULTIPART.replace("mixed", "digest")
    + "--b\n\nTo: nested\n\nold\n--b\nContent-Type: text/plain\n\nTo: nested\n--b--\n",
    f"{MULTIPART}old\n{LONG * 5}old\n--b\nold\n{LONG * 5}old\n--b\nA: b\n\n{LONG * 5}old\n--b--\nold\n{LONG * 5}old\n",
    f"From x y\n>From z\n{HEAD}\nb\n",
    f" warn\n{HEAD}\nb\n",
    f"{HEAD}\nold\n{LONG * 3000}bad\n",  # through a spool file
    f"{HEAD}{'X: y' * 10}\n\n{LONG * 3000}{MULTIPART}",
)
LOCAL: Final = (
    *(f"{HEAD}Subject: {subject}\n\nbody\n" for subject in ("reject text", "warn", "discard", "prepend", "bcc")),
    f"{HEAD}Subject: \xff\n\n",
    "Received: x\n" * 6 + HEAD + "\n",
    f"{HEAD}\n{LONG * 2000}{MULTIPART}\n\xff\n",
)
WORDS: Final = "bcc|discard|filter|hold|info|pass|prepend|redirect|reject|replace|strip|warning"
CONTENT: Final = re.compile(rf"cleanup\[\d+\]: (\w+): ((?:{WORDS}): (?:header|body|content|mime-error) .*)")
STATUS: Final = re.compile(r"\[\d+\]: (\w+): (to=<[^>]*>), (?:orig_to=<[^>]*>, )?relay=.*(dsn=[\d.]+, status=\w+)")
FINISHED: Final = ("hold", "deferred")
LIMIT_S: Final = 30


def prepare(server: Instance) -> Instance:
    """Start it; its mailboxes are one user's."""
    server.mail_directory.chmod(0o777)
    server.start_and_greet()
    return server


def replies(server: Instance) -> list[str]:
    """Send all messages to two recipients; give what is said of each."""
    said = []
    with smtplib.SMTP(net.LOOPBACK, server.port, local_hostname="client.test", timeout=LIMIT_S) as client:
        client.ehlo()
        for number, message in enumerate(MESSAGES):
            client.mail(f"s{number}@x.test")
            client.rcpt("canonical@v.test")
            client.rcpt(f"r{number}@v.test")
            client.docmd("DATA")
            content = re.sub(rb"(?m)^\.", b"..", message.encode("latin1").replace(b"\n", b"\r\n"))
            client.send(content + b".\r\n")
            code, text = client.getreply()
            said.append(f"{code} {re.sub(rb'queued as .*', b'queued', text).decode()}")
    return said


def submit(server: Instance) -> None:
    """Send as a local user does: what is refused comes back."""
    for number, message in enumerate(LOCAL):
        arguments = ("-f", f"local{number}@v.test", f"l{number}@v.test")
        done = server.command("sendmail", *arguments, stdin=message.encode("latin1"))
        assert done.returncode == 0, done.stderr


def settle(server: Instance) -> list[str]:
    """Wait until nothing moves any more; give what waits."""
    submitted = rf"(?s)(?:uid=0 from=<local.*){{{len(LOCAL)}}}"
    server.wait_log(submitted, LIMIT_S)
    deadline = time.monotonic() + LIMIT_S
    while True:
        waiting = server.queue()
        if all(message["queue_name"] in FINISHED for message in waiting):
            break
        assert time.monotonic() < deadline, waiting
        time.sleep(0.1)
    return sorted(f"{message['queue_name']} {message['sender']}" for message in waiting)


def said_of_content(server: Instance) -> list[str]:
    """Give the lines of the log about content, and then those about recipients, of one message after the other."""
    log = server.log().replace("localhost[127.0.0.1]", "unknown[127.0.0.1]")
    content = [found[2] for found in CONTENT.finditer(log)]
    return content + sorted({f"{found[2]}, {found[3]}" for found in STATUS.finditer(log)})


def delivered(server: Instance) -> list[bytes]:
    """Give what came to the mailboxes; IDs, times and texts of notices are each server's own."""
    contents = []
    for content in maildir.messages(server.mail_directory):
        if b"\nContent-Type: multipart/report" in content:
            kept = maildir.field(content, "To") + b" is told"
        else:
            kept = re.sub(rb"(?m)^(Message-Id: <)\d+.*$|^(Date: )\w{3}, .*$", rb"\1\2", maildir.without_trace(content))
        contents.append(kept)
    return sorted(contents)


@pytest.mark.root
def test_content_is_checked_as_postfix_does(posthouse: Start, postfix_peer: Start) -> None:
    """Every action and every limit, from the network and from a local user."""
    ours, theirs = (prepare(kind(started=False, main=MAIN, files=FILES)) for kind in (posthouse, postfix_peer))
    answered = replies(ours)
    assert dict(enumerate(answered)) == dict(enumerate(replies(theirs)))
    for server in (ours, theirs):
        submit(server)
    assert settle(ours) == settle(theirs)
    assert said_of_content(ours) == said_of_content(theirs)
    got, wanted = Counter(delivered(ours)), Counter(delivered(theirs))
    assert (got - wanted, wanted - got) == (Counter(), Counter())
    assert len({reply.split()[0] for reply in answered}) == 4
