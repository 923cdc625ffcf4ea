"""Restrictions, one by one: verdicts, replies and log lines."""

import pytest

from tests.support.access_session import Session

RCPT = "<alice@example.test>: Recipient address rejected:"
HOST = "<c.test[192.0.2.9]>: Client host rejected:"


@pytest.mark.parametrize(
    ("restrictions", "reply"),
    [
        ("permit", "OK"),
        ("reject", f"554 5.7.1 {RCPT} Access denied"),
        ("defer", f"450 4.3.2 {RCPT} Try again later"),
        ("warn_if_reject reject", "OK"),
        ("defer_if_permit, permit", f"450 4.7.0 {RCPT} defer_if_permit requested"),
        ("defer_if_reject, reject", f"450 4.7.0 {RCPT} defer_if_reject requested"),
        ("defer_if_reject, permit", "OK"),
        ("check_client_access inline:{test=REJECT}", f"554 5.7.1 {HOST} Access denied"),
        ("check_client_access inline:{{192.0=550 go away}}", f"550 5.7.1 {HOST} go away"),
        ("check_client_access cidr:{{192.0.2.0/24 REJECT 5.9.9 x}}", f"554 5.9.9 {HOST} x"),
        ("check_helo_access inline:{{c.test=DEFER later}}", "450 4.7.1 <c.test>: Helo command rejected: later"),
        ("check_sender_access inline:{s@=REJECT}", "554 5.7.1 <s@good.test>: Sender address rejected: Access denied"),
        ("check_client_access inline:{{test=REJECT\tgo\taway}}", f"554 5.7.1 {HOST} go?away"),
        ("check_client_access inline:{{test=REJECT\t5.9.9\t x}}", f"554 5.9.9 {HOST} x"),
        ("check_client_access inline:{{test=554\tx}}", f"554 5.7.1 {HOST} x"),
        ("check_client_access inline:{{test=OK\tsince May}}, reject", "OK"),
        ("check_recipient_access inline:{alice@example.test=DUNNO,example.test=REJECT}", "OK"),
        ("check_recipient_access inline:{example.test=OK}, reject", "OK"),
        ("check_recipient_access pcre:{{/^alice@example.test$$/i REJECT}}", f"554 5.7.1 {RCPT} Access denied"),
        ("check_recipient_access inline:{example.test=12345}, reject", "OK"),
        ("check_recipient_access inline:{example.test=reject}",
         f"554 5.7.1 {RCPT} Access denied"),
        ("check_recipient_access inline:{example.test=nonsense}", "451 4.3.5 Server configuration error"),
        ("inline:{test=REJECT}", f"554 5.7.1 {RCPT} Access denied"),
        ("reject_non_fqdn_sender, reject_non_fqdn_recipient, reject_non_fqdn_helo_hostname", "OK"),
        ("reject_unknown_client_hostname", "OK"),
        ("reject_unknown_reverse_client_hostname",
         "450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.9]"),
        ("reject_plaintext_session", "450 4.7.1 Session encryption is required"),
        ("reject_unknown_helo_hostname", "450 4.7.1 <c.test>: Helo command rejected: Host not found"),
        ("REJECT_UNKNOWN_SENDER_DOMAIN", "OK"),
    ],
)  # fmt: skip
def test_recipient_restriction(restrictions: str, reply: str) -> None:
    """One list, one answer."""
    assert Session({"smtpd_recipient_restrictions": restrictions}).rcpt() == reply


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("", "OK"),
        ("x@example.test", "OK"),
        ("x@host.test", "OK"),
        ("x@[192.0.2.1]", "OK"),
        ("x@none.test", "450 4.1.8 <x@none.test>: Sender address rejected: Domain not found"),
        ("x@null.test",
         "550 5.7.27 <x@null.test>: Sender address rejected: Domain null.test does not accept mail (nullMX)"),
        ("x@slow.test", "450 4.1.8 <x@slow.test>: Sender address rejected: Domain not found"),
        ("x", "OK"),
    ],
)  # fmt: skip
def test_unknown_sender_domain(sender: str, reply: str) -> None:
    """reject_unknown_sender_domain; no answer makes a deferral, not a permission."""
    assert Session({"smtpd_sender_restrictions": "reject_unknown_sender_domain"}).rcpt(sender=sender) == reply


@pytest.mark.parametrize(
    ("helo", "invalid", "incomplete"),
    [
        ("a.b", False, False),
        ("host", False, True),
        ("[192.0.2.1]", False, False),
        ("192.0.2.1", False, True),
        ("[300.0.2.1]", True, True),
        ("1.2.3", True, True),
        ("a..b", True, True),
        ("-x.test", True, True),
    ],
)
def test_helo_names(helo: str, invalid: bool, incomplete: bool) -> None:
    """What is no name, and what is no full name."""
    for word, refused in (("reject_invalid_helo_hostname", invalid), ("reject_non_fqdn_helo_hostname", incomplete)):
        session = Session({"smtpd_helo_restrictions": word})
        session.check.helo = helo
        assert (session.rcpt() != "OK") is refused, word


@pytest.mark.parametrize(
    "recipient",
    [
        "victim%other.test@example.test",
        "other.test!victim",
        '"victim@other.test"@example.test',
        "victim@other.test@example.test",
        '"victim%other.test"@example.test',
        "victim@other.test",
        '"victim@other.test"',
    ],
)
def test_hidden_routes_do_not_relay(recipient: str) -> None:
    """What is hidden in a local part is found (facts B04.21)."""
    assert "Relay access denied" in Session({}).rcpt(recipient)


@pytest.mark.parametrize(
    ("table", "recipient", "reply"),
    [
        # a table does not permit what may go somewhere else from there
        ("inline:{far.test=OK}", "a@far.test", "OK"),
        ("inline:{far.test=OK}", "a%b.test@far.test", "554 5.7.1 <a%b.test@far.test>: Relay access denied"),
        ("inline:{far.test=REJECT}", "a%far.test@example.test",
         "554 5.7.1 <a%far.test@example.test>: Recipient address rejected: Access denied"),
        ("inline:{example.test=REJECT}", "a%far.test@example.test",
         "554 5.7.1 <a%far.test@example.test>: Relay access denied"),
        ("inline:{bob@example.test=REJECT}", "bob", "554 5.7.1 <bob>: Recipient address rejected: Access denied"),
        ("fail:x", "bob", "451 4.3.5 <bob>: Recipient address rejected: Server configuration error"),
    ],
)  # fmt: skip
def test_access_tables_are_asked_for_what_an_address_means(table: str, recipient: str, reply: str) -> None:
    """Completed and resolved first (facts B04.21); the reply has the address as it was given."""
    restrictions = f"check_recipient_access {table}, reject_unauth_destination"
    session = Session({"smtpd_relay_restrictions": "", "smtpd_recipient_restrictions": restrictions})
    assert session.rcpt(recipient) == reply


@pytest.mark.parametrize(
    ("main", "recipient", "reply"),
    [
        ({"virtual_alias_domains": "v.test", "virtual_alias_maps": "inline:{a@v.test=x@y.test}"}, "a@v.test", "OK"),
        (
            {"virtual_alias_domains": "v.test", "virtual_alias_maps": "inline:{a@v.test=x@y.test}"},
            "b@v.test",
            "550 5.1.1 <b@v.test>: Recipient address rejected: User unknown in virtual alias table",
        ),
        (
            {"virtual_mailbox_domains": "v.test", "virtual_mailbox_maps": "inline:{a@v.test=x}"},
            "b@v.test",
            "550 5.1.1 <b@v.test>: Recipient address rejected: User unknown in virtual mailbox table",
        ),
        (
            {"relay_domains": "r.test", "relay_recipient_maps": "inline:{a@r.test=x}"},
            "b@sub.r.test",
            "550 5.1.1 <b@sub.r.test>: Recipient address rejected: User unknown in relay recipient table",
        ),
        ({"relay_domains": "r.test"}, "b@r.test", "OK"),
        (
            {"show_user_unknown_table_name": "no"},
            "no@example.test",
            "550 5.1.1 <no@example.test>: Recipient address rejected: User unknown",
        ),
        ({"local_recipient_maps": ""}, "no@example.test", "OK"),
        ({"canonical_maps": "inline:{no@example.test=x@y.test}"}, "no@example.test", "OK"),
        ({"soft_bounce": "no", "unknown_local_recipient_reject_code": "450"}, "no@example.test",
         "450 4.1.1 <no@example.test>: Recipient address rejected: User unknown in local recipient table"),
        ({"recipient_delimiter": "+"}, "alice+x@example.test", "OK"),
        ({"local_recipient_maps": "fail:x"}, "no@example.test",
         "451 4.3.0 <no@example.test>: Temporary lookup failure"),
        ({"mydestination": "fail:x"}, "no@example.test", "451 4.3.0 <no@example.test>: Temporary lookup failure"),
        # The address is completed, resolved and folded before it is looked up, also where a table minds the case.
        ({"local_recipient_maps": "inline:{bob=x}"}, "bob", "OK"),
        ({"local_recipient_maps": "inline:{bob@example.test=x}", "mydestination": "other.test",
          "virtual_mailbox_domains": "example.test", "virtual_mailbox_maps": "pcre:{{/^bob@example.test$$/i x}}"},
         "BOB@Example.Test", "OK"),
    ],
)  # fmt: skip
def test_recipients_by_address_class(main: dict[str, str], recipient: str, reply: str) -> None:
    """Each class has its table (facts B04.19)."""
    assert Session(main).rcpt(recipient) == reply


def test_classes_run_and_do_not_run_for_ever() -> None:
    """A restriction class is a list of one's own; one that names itself is a configuration error."""
    main = {"smtpd_restriction_classes": "mine", "mine": "reject_nonsense"}
    assert Session({**main, "smtpd_recipient_restrictions": "mine"}).rcpt().startswith("451 4.3.5")
    main = {"smtpd_restriction_classes": "mine", "mine": "mine"}
    assert Session({**main, "smtpd_recipient_restrictions": "mine"}).rcpt() == "451 4.3.5 Server configuration error"
    table = "check_recipient_access inline:{alice@example.test=mine}"
    main = {"smtpd_restriction_classes": "mine", "mine": "reject"}
    assert Session({**main, "smtpd_recipient_restrictions": table}).rcpt().startswith("554 5.7.1")


def test_order_of_the_lists() -> None:
    """Client, HELO, sender, relay, recipient; a permission ends its own list only."""
    main = {
        "smtpd_client_restrictions": "permit",
        "smtpd_sender_restrictions": "check_sender_access inline:{{s@good.test=WARN seen}}",
        "smtpd_recipient_restrictions": "reject",
    }
    session = Session(main)
    assert session.rcpt("x@y.test") == "554 5.7.1 <x@y.test>: Relay access denied"
    warn, refusal = session.log.lines
    end = "from=<s@good.test> to=<x@y.test> proto=ESMTP helo=<c.test>"
    assert warn == f"NOQUEUE: warn: RCPT from c.test[192.0.2.9]: <s@good.test>: Sender address seen; {end}"
    assert refusal.endswith(f"Relay access denied; {end}")


def test_soft_bounce() -> None:
    """Everything permanent becomes temporary, the status, too."""
    session = Session({})
    session.check.soft_bounce = True
    assert session.rcpt("x@y.test") == "454 4.7.1 <x@y.test>: Relay access denied"


def test_unbuilt_restrictions_are_named_once() -> None:
    """At start, in one line."""
    session = Session({"smtpd_client_restrictions": "reject_rbl_client a.test, reject_rbl_client b.test"})
    [line] = session.log.lines
    assert line == "warning: restrictions that are not built yet, answered with 451: reject_rbl_client"
