"""What access tables ask for besides yes and no: HOLD, FILTER, BCC ...; and what services leave out."""

import pytest

from posthouse.ipc.message import NOTIFY_NEVER
from tests.support.receiver import MakeReceiver, Receiver, talk

TABLE = (
    "inline:{ {hold@example.test = HOLD} {filter@example.test = FILTER scan:one} {last@example.test = FILTER scan:two}"
    " {bare@example.test = FILTER scan} {away@example.test = REDIRECT else@example.test}"
    " {nobody@example.test = REDIRECT x}"
    " {seen@example.test = BCC copy@example.test} {drop@example.test = DISCARD} {head@example.test = PREPEND X-A: 1}"
    " {text@example.test = PREPEND nothing} {both@example.test = HOLD} }"
)
MAIN = {
    "local_recipient_maps": "",
    "smtpd_recipient_restrictions": f"check_recipient_access {TABLE},"
    " check_recipient_access inline:{both@example.test=REJECT}, reject_unauth_destination",
    "smtpd_end_of_data_restrictions": "check_sender_access inline:{ {late@b.test = FILTER scan:late}"
    " {gone@b.test = DISCARD} {more@b.test = BCC copy@example.test} {head@b.test = PREPEND X-B: 2} }",
    "content_filter": "scan:all",
    "virtual_alias_maps": "inline:{ {copy@example.test = c1@example.test, c2@example.test} }",
}


def send(system: Receiver, *recipients: str, sender: str = "s@b.test", options: str = "") -> list[str]:
    """Send a message to all; the replies from RCPT on."""
    rcpt = [f"RCPT TO:<{recipient}@example.test>" for recipient in recipients]
    return talk(system, "EHLO c.test", f"MAIL FROM:<{sender}>{options}", *rcpt, "DATA", "a: b\r\n\r\n.")[3:]


@pytest.fixture
def system(receiver: MakeReceiver) -> Receiver:
    """Run one with the table."""
    return receiver(MAIN)


def test_the_last_filter_counts(system: Receiver) -> None:
    """Above content_filter; one without a colon is a mistake that is logged, and content_filter stays."""
    for recipients in (("other",), ("filter", "other"), ("filter", "last"), ("bare",)):
        assert send(system, *recipients)[-1].startswith("250 ")
    send(system, "filter", sender="late@b.test")
    filters = [envelope.filter for envelope, _, _ in system.queue.messages]
    assert filters == ["scan:all", "scan:one", "scan:two", "scan:all", "scan:late"]
    logged = "".join(system.system.log.lines)
    assert "filter: RCPT from unknown[127.0.0.1]: <filter@example.test>: Recipient address triggers FILTER" in logged
    assert 'entry "bare@example.test" requires transport:destination' in logged


def test_a_redirect_leaves_one_recipient_and_no_filter(system: Receiver) -> None:
    """Virtual aliases do not apply to it, and the first recipient is its original (access(5))."""
    send(system, "other", "away", "seen", "filter")
    send(system, "nobody")
    (one, to, _), (two, left, _) = system.queue.messages
    assert [(each.address, each.original) for each in to] == [("else@example.test", "other@example.test")]
    assert (one.filter, one.redirect) == ("", "else@example.test")
    assert ([each.address for each in left], two.redirect) == (["nobody@example.test"], "")


def test_copies_pass_virtual_aliases_and_nobody_is_told(system: Receiver) -> None:
    """BCC adds up, in smtpd_end_of_data_restrictions too."""
    send(system, "seen", sender="more@b.test")
    [(envelope, to, _)] = system.queue.messages
    got = [(each.address, each.original, each.notify) for each in to]
    copies = [(f"c{n}@example.test", "copy@example.test", NOTIFY_NEVER) for n in (1, 2)]
    assert got == [("seen@example.test", "", 0), *copies]
    assert envelope.bcc == ()


def test_what_is_discarded_is_answered_as_queued(system: Receiver) -> None:
    """Nothing is stored; the log has one line for it."""
    assert "Ok: queued as" in send(system, "drop", "drop", "other")[-1]
    assert "Ok: queued as" in send(system, "other", sender="gone@b.test")[-1]
    assert system.queue.messages == []
    logged = "".join(system.system.log.lines)
    assert logged.count("discard: RCPT from") == 1
    assert logged.count("discard: END-OF-MESSAGE from") == 1


def test_checks_of_a_large_message_have_the_last_word(receiver: MakeReceiver) -> None:
    """They saw its header before smtpd_end_of_data_restrictions were asked; their FILTER counts all the same."""
    system = receiver({**MAIN, "header_checks": "regexp:{ {/^X-F:/ FILTER scan:check} }"})
    for field, wanted in (("X-F: 1", "scan:check"), ("X-G: 1", "scan:late")):
        text = f"{field}\r\n\r\n" + "line\r\n" * 30_000
        said = talk(
            system, "EHLO c.test", "MAIL FROM:<late@b.test>", "RCPT TO:<filter@example.test>", "DATA", f"{text}."
        )
        assert said[-1].startswith("250 "), system.system.log.lines
        assert system.queue.messages[-1][0].filter == wanted


def test_an_action_outlives_the_refusal_of_its_recipient(system: Receiver) -> None:
    """As in Postfix: the message that the others get is held. It ends with the transaction."""
    assert send(system, "both", "hold", "other")[0].startswith("554 ")
    send(system, "other")
    assert [bool(envelope.hold) for envelope, _, _ in system.queue.messages] == [True, False]
    assert "".join(system.system.log.lines).count("hold: RCPT from") == 1


def test_vrfy_changes_no_message(system: Receiver) -> None:
    """It asks the same tables."""
    said = talk(system, "EHLO c.test", "MAIL FROM:<s@b.test>", "VRFY hold@example.test", "RCPT TO:<other@example.test>",
                "DATA", "a: b\r\n\r\n.")  # fmt: skip
    assert said[-1].startswith("250 ")
    assert system.queue.messages[0][0].hold == ""


def test_header_lines_stand_above_ours(system: Receiver) -> None:
    """In the order they came; what is no header, or comes after the content, is a mistake that is logged."""
    send(system, "head", "text", "head", sender="head@b.test")
    assert system.queue.messages[0][2].startswith(b"X-A: 1\nX-A: 1\nReceived: ")
    assert b"nothing" not in system.queue.messages[0][2]
    assert b"X-B" not in system.queue.messages[0][2]
    logged = "".join(system.system.log.lines)
    assert 'entry "text@example.test" requires header: text' in logged
    assert "PREPEND must be used before smtpd_end_of_data_restrictions" in logged


def test_before_mail_an_action_has_no_message(receiver: MakeReceiver) -> None:
    """With smtpd_delay_reject = no the client's list is asked once for all messages: that is logged."""
    table = "check_client_access inline:{127.0.0.1=HOLD}"
    system = receiver({**MAIN, "smtpd_delay_reject": "no", "smtpd_client_restrictions": table})
    send(system, "other")
    assert system.queue.messages[0][0].hold == ""
    assert "HOLD has no effect" in "".join(system.system.log.lines)


def test_overrides_leave_out_tables_and_checks(receiver: MakeReceiver) -> None:
    """receive_override_options: the address is completed, and nothing more."""
    words = "no_unknown_recipient_checks, no_address_mappings, no_header_body_checks, no_milters"
    tables = {
        "local_recipient_maps": "inline:{known=1}",
        "canonical_maps": "inline:{s@b.test=t@c.test, copy@example.test=x@c.test}",
        "always_bcc": "all@example.test",
        "header_checks": "static:REJECT",
        "smtpd_recipient_restrictions": "reject_unlisted_recipient, reject_unauth_destination",
    }
    system = receiver({**MAIN, **tables, "receive_override_options": words})
    said = talk(system, "EHLO c.test", "MAIL FROM:<s@b.test>", "RCPT TO:<copy>", "DATA", "From: s@b.test\r\n\r\n.")
    assert said[-1].startswith("250 ")
    [(envelope, to, content)] = system.queue.messages
    assert (envelope.sender, [each.address for each in to]) == ("s@b.test", ["copy@example.test"])
    assert b"\nFrom: s@b.test\n" in content


@pytest.mark.parametrize(("strict", "local_part"), [("no", "250"), ("yes", "553")])
def test_utf8_addresses_without_smtputf8(receiver: MakeReceiver, strict: str, local_part: str) -> None:
    """A domain needs the option, a local part with strict_smtputf8 only. VRFY has its own, and ends no transaction."""
    system = receiver({**MAIN, "strict_smtputf8": strict})
    said = talk(
        system,
        "EHLO c.test",
        "MAIL FROM:<\u00fc@b.test>",
        "RSET",
        "MAIL FROM:<s@\u00fc.test>",
        "MAIL FROM:<s@b.test>",
        "RCPT TO:<\u00fc@example.test>",
        "RCPT TO:<s@\u00fc.test>",
        "VRFY \u00fc@example.test",
        "VRFY \u00fc@example.test SMTPUTF8",
        "RCPT TO:<a@example.test>",
    )
    vrfy = "252" if strict == "no" else "553"
    assert [line[:3] for line in said[2:]] == [local_part, "250", "501", "250", local_part, "501", vrfy, "252", "250"]
    assert strict == "no" or said[2] == "553 5.6.7 Must declare SMTPUTF8 to send unicode address"


@pytest.mark.parametrize(("classes", "found"), [("sendmail", False), ("smtpd", True), ("all", True)])
def test_utf8_is_looked_for_where_wanted(receiver: MakeReceiver, classes: str, found: bool) -> None:
    """smtputf8_autodetect_classes: an address or a header."""
    system = receiver({**MAIN, "smtputf8_autodetect_classes": classes})
    talk(system, "EHLO c.test", "MAIL FROM:<\u00fc@b.test>", "RCPT TO:<a@example.test>", "DATA", "a: b\r\n\r\n.")
    for text in ("a: \u00fc\r\n\r\n", "a: b\r\n\r\n\u00fc\r\n"):
        talk(system, "EHLO c.test", "MAIL FROM:<s@b.test>", "RCPT TO:<a@example.test>", "DATA", f"{text}.")
    assert [envelope.smtputf8 for envelope, _, _ in system.queue.messages] == [found, found, False]
