"""Filters, redirects, copies, discards, overrides: the same settings and dialogs, the same deliveries as from Postfix.

One server for all cases. A message is known by its sender; each transport is discard(8) under a name of its own, which
logs the next hop: so the log tells which way each recipient went.
"""

import re
import smtplib
from collections.abc import Iterable
from typing import Final, NamedTuple

import pytest

from tests.conftest import Start
from tests.support import net
from tests.support.instance import Instance

TABLE: Final = """\
hold@dest.test HOLD
drop@dest.test DISCARD
one@dest.test FILTER one:1
two@dest.test FILTER two:2
bare@dest.test FILTER one:
wrong@dest.test FILTER one
away@dest.test REDIRECT target@dest.test
both@dest.test BCC team@dest.test
held@dest.test HOLD
"""
AT_END: Final = """\
endfilter@s.test FILTER two:end
endboth@s.test FILTER two:end
endbcc@s.test BCC copy@dest.test
endaway@s.test REDIRECT target@dest.test
enddrop@s.test DISCARD
"""
HEADERS: Final = """\
/^X-F: (.*)/ FILTER $1
/^X-R: (.*)/ REDIRECT $1
/^X-B: (.*)/ BCC $1
/^X-J: (.*)/ REJECT $1
"""
ALIASES: Final = "team@dest.test m1@dest.test m2@dest.test\nsingle@dest.test m3@dest.test\n"
RESTRICTIONS: Final = (
    "check_recipient_access texthash:{directory}/etc/table, check_recipient_access inline:{{held@dest.test=REJECT}},"
    " reject_unauth_destination"
)


class Case(NamedTuple):
    """A message: its sender's name, recipients at dest.test, a header, and "to<original text" of each delivery."""

    name: str
    recipients: tuple[str, ...]
    header: str
    expected: tuple[str, ...]


CASES: Final = (
    Case("plain", ("p",), "", ("p main",)),
    Case("filter", ("one", "p"), "", ("one 1", "p 1")),
    Case("last", ("one", "two"), "", ("one 2", "two 2")),
    Case("domain", ("bare", "p"), "", ("bare dest.test", "p dest.test")),
    Case("wrong", ("wrong",), "", ("wrong main",)),
    Case("check", ("two",), "X-F: one:check", ("two check",)),
    Case("redirect", ("p", "away", "one", "both"), "", ("target<",)),
    Case("redirectcheck", ("away",), "X-R: other@dest.test", ("other<away final",)),
    Case("copies", ("both", "p"), "X-B: copy@dest.test",
         ("both main", "copy main", "m1<team main", "m2<team main", "p main")),
    Case("endfilter", ("one",), "", ("one end",)),
    Case("endboth", ("p",), "X-F: one:check", ("p check",)),
    Case("endbcc", ("p",), "", ("copy main", "p main")),
    Case("endaway", ("p",), "", ("target<p final",)),
)  # fmt: skip
LOGGED: Final = (
    r"NOQUEUE: filter: RCPT from \S+: <one@dest.test>: Recipient address triggers FILTER one:1; from=<filter@s.test>",
    r" triggers FILTER one:1; from=<filter@s.test> to=<one@dest.test> proto=ESMTP helo=<c.test>$",
    r": filter: RCPT from \S+: <two@dest.test>: Recipient address triggers FILTER two:2; from=<last@s.test> ",
    r": warning: access table \S+ entry \"wrong@dest.test\" requires transport:destination$",
    r": redirect: RCPT from \S+: <away@dest.test>: Recipient address triggers REDIRECT target@dest.test; ",
    r": bcc: RCPT from \S+: <both@dest.test>: Recipient address triggers BCC team@dest.test; ",
    r": filter: END-OF-MESSAGE from \S+: <endfilter@s.test>: Sender address triggers FILTER two:end; ",
    r": discard: RCPT from \S+: <drop@dest.test>: Recipient address triggers DISCARD action; from=<dropped@s.test> ",
    r": discard: END-OF-MESSAGE from \S+: <enddrop@s.test>: Sender address triggers DISCARD action; ",
    r": hold: RCPT from \S+: <held@dest.test>: Recipient address triggers HOLD action; from=<kept@s.test> ",
)


def options() -> dict[str, object]:
    """Make what the server is started with; its second listener stands behind a filter."""
    other = net.free_port()
    words = "no_unknown_recipient_checks,no_address_mappings,no_header_body_checks"
    behind = f"127.0.0.1:{other} inet n - n - - smtpd -o content_filter= -o receive_override_options={words}"
    behind += " -o smtpd_recipient_restrictions=reject_unauth_destination -o smtpd_end_of_data_restrictions="
    main = {
        "content_filter": "scan:main",
        "relay_domains": "dest.test",
        "relay_recipient_maps": "texthash:{directory}/etc/known",
        "transport_maps": "inline:{{asks@dest.test=retry:4.0.0 kept}, dest.test=discard:final}",
        "smtpd_recipient_restrictions": RESTRICTIONS,
        "smtpd_end_of_data_restrictions": "check_sender_access texthash:{directory}/etc/at_end",
        "header_checks": "regexp:{directory}/etc/headers",
        "virtual_alias_maps": "texthash:{directory}/etc/aliases",
    }
    table = f"{TABLE}round@dest.test FILTER smtp:[{net.LOOPBACK}]:{other}\n"
    names = {recipient for case in CASES for recipient in case.recipients} | {"hold", "drop", "held", "round"}
    files = {"table": table, "at_end": AT_END, "headers": HEADERS, "aliases": ALIASES,
             "known": "".join(f"{name}@dest.test 1\n" for name in sorted(names))}  # fmt: skip
    pickup = "pickup unix n - n 60 1 pickup -o content_filter=scan:local"  # the last entry of a name counts
    transports = [pickup, *(f"{name} unix - - n - - discard" for name in ("scan", "one", "two"))]
    return {"main": main, "master": [*transports, behind], "files": files, "port": other}


def send(port: int, name: str, recipients: Iterable[str], header: str = "", rcpt: str = "") -> tuple[int, bytes]:
    """Send a message; the answer to it."""
    with smtplib.SMTP(net.LOOPBACK, port, local_hostname="c.test", timeout=30) as client:
        client.ehlo()
        client.mail(name if "@" in name else f"{name}@s.test")
        for recipient in recipients:
            client.rcpt(f"{recipient}@dest.test", [rcpt] if rcpt else [])
        return client.data(
            f"From: x@s.test\r\n{header}\r\n\r\nbody\r\n" if header else "From: x@s.test\r\n\r\nbody\r\n"
        )


def deliveries(server: Instance, name: str) -> list[str]:
    """Wait until a sender's message is gone; what became of its recipients."""
    found = server.wait_log(rf"qmgr\[\d+\]: (\S+): from=<{name}@\S+>, size=")
    server.wait_log(rf"{found[1]}: removed$")
    line = rf"{found[1]}: to=<(\w+)@dest.test>,(?: orig_to=<(\w+)@dest.test>,)? .* status=\w+ \((.*)\)$"
    seen = re.findall(line, server.log(), re.MULTILINE)
    return sorted(f"{to}{'<' * bool(original)}{original} {text}" for to, original, text in seen)


def run_cases(server: Instance, behind: int) -> None:
    """Send everything, then look."""
    for case in CASES:
        assert send(server.port, case.name, case.recipients, case.header)[0] == 250, case.name
    for name, recipient in (("dropped", "drop"), ("enddrop", "p")):
        assert b"Ok: queued as" in send(server.port, name, [recipient, "p"])[1]
    assert send(behind, "behind", ["nobody", "team"], "X-J: not seen")[0] == 250
    assert send(server.port, "round", ["round"])[0] == 250
    for name, recipients in (("kept", ["held", "one"]), ("again", ["hold", "one"])):
        assert send(server.port, name, recipients)[0] == 250
    for case in CASES:
        seen = deliveries(server, case.name)
        wanted = list(case.expected)
        if wanted == ["target<"]:  # which of them is the original is not said anywhere
            assert [each.partition("<")[0] for each in seen] == ["target"], seen
        else:
            assert seen == wanted, case.name
    assert deliveries(server, "behind") == ["nobody final", "team final"]
    server.wait_log(
        r": to=<round@dest.test>, relay=127.0.0.1\[127.0.0.1\]:\d+, .* status=sent \(250 2.0.0 Ok: queued as "
    )
    server.wait_log(r": to=<round@dest.test>, relay=none, .* status=sent \(final\)$")
    for pattern in LOGGED:
        server.wait_log(pattern)
    assert "from=<dropped@s.test>, size=" not in server.log()
    assert "from=<enddrop@s.test>, size=" not in server.log()


def run_held(server: Instance) -> None:
    """A filter outlives a restart; a message that is requeued asks for content_filter again."""
    held = {str(message["sender"]): str(message["queue_id"]) for message in server.queue()}
    assert held.keys() == {"kept@s.test", "again@s.test"}
    assert b"content_filter: one:1" in server.command("postcat", "-eq", held["kept@s.test"]).stdout
    server.stop()
    server.start_and_greet()
    server.command("postsuper", "-H", held["kept@s.test"])
    server.command("postsuper", "-r", held["again@s.test"])
    server.command("postqueue", "-f")
    assert deliveries(server, "kept") == ["one 1"]
    assert deliveries(server, "again") == ["hold local", "one local"]


def run_notices(server: Instance) -> None:
    """Reports: aliases that were expanded, and local mail that is refused."""
    send(server.port, "asks@dest.test", ["team", "single"], rcpt="NOTIFY=SUCCESS,FAILURE")
    server.wait_log(r"sender delivery status notification: (\S+)$")
    content = b"X-J: go away\n\nbody\n"
    assert (
        server.command("sendmail", "-f", "asks@dest.test", "p@dest.test", "team@dest.test", stdin=content).returncode
        == 0
    )
    server.wait_log(r"reject: header X-J: go away from local; from=<asks@dest.test> to=<\S+>: 5.7.1 go away$")
    for to in ("p@dest.test>,", "m1@dest.test>, orig_to=<team@dest.test>,", "m2@dest.test>, orig_to=<team@dest.test>,"):
        server.wait_log(rf": to=<{to} relay=none, .* dsn=5.7.1, status=bounced \(go away\)$")
    server.wait_log(r"sender non-delivery notification: (\S+)$")
    server.wait_log(r"(status=deferred \(kept\)[\s\S]*){2}")
    notices = [server.command("postcat", "-bq", str(message["queue_id"])).stdout for message in server.queue()]
    [report] = [notice for notice in notices if b"Action: expanded" in notice]
    assert re.findall(rb"Final-Recipient: rfc822; (\w+)@dest.test", report) == [b"team", b"single"]
    [returned] = [notice for notice in notices if b"Action: failed" in notice]
    assert b"X-J: go away" in returned
    assert b"\nbody\n" not in returned


def run_all(start: Start) -> None:
    """Run everything against a server."""
    chosen = options()
    behind = chosen.pop("port")
    server = start(**chosen)
    assert isinstance(behind, int)
    run_cases(server, behind)
    run_held(server)
    run_notices(server)


def test_mail_goes_where_tables_say(posthouse: Start) -> None:
    """Every action of access tables and header checks, content_filter, and what the overrides leave out."""
    run_all(posthouse)


@pytest.mark.root
def test_these_are_the_ways_of_postfix(postfix_peer: Start) -> None:
    """Debian's Postfix passes the same test."""
    run_all(postfix_peer)
