"""Restrictions where an address, a name or a list means more than it shows: relay control first of all."""

import pytest

from posthouse.daemons.smtpd.client import Client
from posthouse.protocol.smtp.replies import Reply
from posthouse.util import eager
from tests.support.access_session import Session

NO_RELAY = "554 5.7.1 <{}>: Relay access denied"
FAR_ORIGIN = {"myorigin": "far.test", "local_recipient_maps": ""}
SHORT_NAMES = {"append_dot_mydomain": "yes", "mydestination": "mx.example.test, localhost", "local_recipient_maps": ""}


@pytest.mark.parametrize("restriction", ["reject_unauth_destination", "permit_auth_destination, reject"])
@pytest.mark.parametrize(
    ("main", "recipient", "relayed"),
    [
        # cleanup will make victim@far.test of it, which is none of ours
        (FAR_ORIGIN, "victim", False),
        ({**FAR_ORIGIN, "relay_domains": "far.test"}, "victim", True),
        (FAR_ORIGIN, "postmaster", True),
        (SHORT_NAMES, "user@mx", True),
        (SHORT_NAMES, "user@localhost", False),  # localhost.example.test
        (SHORT_NAMES, "user%other.test@mx", False),
    ],
)
def test_relay_control_sees_the_address_that_mail_will_go_to(
    main: dict[str, str], recipient: str, relayed: bool, restriction: str
) -> None:
    """A recipient without a domain, or with half of one, is completed before anybody says whose it is."""
    session = Session({**main, "smtpd_relay_restrictions": restriction})
    assert (session.rcpt(recipient) == "OK") is relayed


def test_two_recipients_are_not_one_of_ours() -> None:
    """At DATA there is no recipient to speak of when there are several: permit_auth_destination permits nothing."""
    session = Session({"smtpd_data_restrictions": "permit_auth_destination, reject"})
    session.check.sender = "s@good.test"
    outcomes: list[eager.Outcome[Reply | None]] = []
    eager.start(session.policy.data(session.check), outcomes.append)
    assert str(outcomes[0].result()) == "554 5.7.1 <DATA>: Data command rejected: Access denied"


@pytest.mark.parametrize("word", ["reject_unauth_destination", "defer_unauth_destination"])
def test_relay_control_has_no_opinion_without_a_recipient(word: str) -> None:
    """Nor does reject_unauth_destination ask anybody about a recipient that is not there."""
    session = Session({"smtpd_data_restrictions": word, "relay_domains": "fail:x", "mydestination": "fail:x"})
    session.check.sender = "s@good.test"
    outcomes: list[eager.Outcome[Reply | None]] = []
    eager.start(session.policy.data(session.check), outcomes.append)
    assert outcomes[0].result() is None


@pytest.mark.parametrize(
    ("restrictions", "reply"),
    [
        ("warn_if_reject mine, permit", "OK"),
        ("warn_if_reject warn_if_reject reject, permit", "OK"),
        ("warn_if_reject check_client_access inline:{c.test=mine}, permit", "OK"),
        ("warn_if_reject mine, reject", "554 5.7.1 <alice@example.test>: Recipient address rejected: Access denied"),
    ],
)
def test_warn_if_reject_holds_for_all_of_a_class(restrictions: str, reply: str) -> None:
    """A warn_if_reject inside of a class that is only to warn does not end the warning."""
    main = {"smtpd_restriction_classes": "mine", "mine": "warn_if_reject reject_non_fqdn_sender, reject"}
    assert Session({**main, "smtpd_recipient_restrictions": restrictions}).rcpt() == reply


def test_defer_if_reject_is_for_its_own_list() -> None:
    """A refusal by another list stays one, as with Postfix; a deferral of permission goes on to the end."""
    session = Session({"smtpd_client_restrictions": "defer_if_reject"})
    assert session.rcpt("x@other.test") == NO_RELAY.format("x@other.test")
    session = Session({"smtpd_client_restrictions": "defer_if_permit"})
    assert session.rcpt().startswith("450 4.7.0 ")


@pytest.mark.parametrize(
    ("restriction", "reply"),
    [
        ("check_client_access", "554 5.7.1 <unknown[192.0.2.9]>: Client host rejected: no name"),
        ("check_reverse_client_hostname_access", "554 5.7.1 <unknown>: Unverified Client host rejected: no name"),
    ],
)
@pytest.mark.parametrize("table", ["inline:{{unknown=REJECT no name}}", "pcre:{{/^unknown$$/ REJECT no name}}"])
def test_clients_without_a_name_are_found_as_unknown(restriction: str, reply: str, table: str) -> None:
    """Tables name them so, as the log does."""
    session = Session({"smtpd_client_restrictions": f"{restriction} {table}"}, Client("192.0.2.9"))
    assert session.rcpt() == reply


@pytest.mark.parametrize(
    ("helo", "reply"),
    [
        ("8.8.8.10", "OK"),
        ("mx.c.test", "554 5.7.1 <mx.c.test>: Helo command rejected: domain"),
        ("8.8.8.11", "554 5.7.1 <8.8.8.11>: Helo command rejected: itself"),
    ],
)
def test_a_numeric_helo_has_no_parent_domains(helo: str, reply: str) -> None:
    """The 10 of 8.8.8.10 is no domain; in a table of networks it is one of them."""
    table = "inline:{{10=REJECT network},{8.10=REJECT network},{c.test=REJECT domain},{8.8.8.11=REJECT itself}}"
    session = Session({"smtpd_helo_restrictions": f"check_helo_access {table}"})
    session.check.helo = helo
    assert session.rcpt() == reply


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("ghost@example.test", "OK"),
        ("nobody@example.test",
         "550 5.1.0 <nobody@example.test>: Sender address rejected: User unknown in local recipient table"),
    ],
)  # fmt: skip
def test_a_sender_that_becomes_another_one_is_listed(sender: str, reply: str) -> None:
    """sender_canonical_maps makes a sender known; a recipient it does not."""
    main = {
        "smtpd_reject_unlisted_sender": "yes",
        "sender_canonical_maps": "inline:{ghost@example.test=alice@far.test}",
    }
    assert Session(main).rcpt(sender=sender) == reply
    assert Session(main).rcpt("ghost@example.test").startswith("550 5.1.1 ")


def test_mail_that_is_discarded_needs_no_recipient() -> None:
    """DISCARD takes mail for users who are not there; an explicit reject_unlisted_recipient stands."""
    discard = "check_client_access inline:{c.test=DISCARD}"
    session = Session({"smtpd_client_restrictions": discard, "smtpd_reject_unlisted_sender": "yes"})
    assert session.rcpt("nobody@example.test", "nobody@example.test") == "OK"
    assert session.rcpt("nobody@example.test", "nobody@example.test") == "OK"
    session = Session(
        {"smtpd_client_restrictions": discard, "smtpd_recipient_restrictions": "reject_unlisted_recipient"}
    )
    assert session.rcpt("nobody@example.test").startswith("550 5.1.1 ")


@pytest.mark.parametrize("word", ["reject_unknown_sender_domain", "reject_unknown_recipient_domain"])
def test_a_domain_whose_table_fails_is_not_unknown(word: str) -> None:
    """DNS is no answer for a domain that may be ours."""
    main = {
        "smtpd_relay_restrictions": "permit_inet_interfaces, reject",
        "virtual_mailbox_domains": "fail:x",
        "unknown_address_reject_code": "550",
        "smtpd_sender_restrictions": word,
    }
    assert Session(main).rcpt("u@none.test", "u@none.test") == "451 4.3.0 <u@none.test>: Temporary lookup failure"


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("u%none.test@example.test", "Domain not found"),
        ("u%host.test@example.test", "OK"),
        ("u@host", "Domain not found"),
    ],
)
def test_the_domain_that_is_asked_for_is_the_one_mail_goes_to(sender: str, reply: str) -> None:
    """What a route leads to, and what is completed."""
    session = Session({"smtpd_sender_restrictions": "reject_unknown_sender_domain", "append_dot_mydomain": "yes"})
    assert session.rcpt(sender=sender).endswith(reply)
