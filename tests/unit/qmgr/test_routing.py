"""Which delivery requests one round of a message makes."""

import pytest

from posthouse.daemons.qmgr.routing import filtered, plan_round
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import SENT
from posthouse.ipc.rewrite import CLASS_DEFAULT, CLASS_LOCAL, ERROR, FAILED, Resolved
from tests.support.lookups import logged
from tests.unit.qmgr.make import outcomes


def to(*addresses: str) -> list[DeliverTo]:
    """Make recipients."""
    return [DeliverTo(number, address) for number, address in enumerate(addresses, 1)]


def never(_transport: str) -> bool:
    """No transport takes one recipient only."""
    return False


def test_recipients_for_one_place_go_together() -> None:
    """In their order, each place its own request."""
    resolved = [
        Resolved(0, "smtp", "x", "a@x"),
        Resolved(0, "local", "here", "b@here"),
        Resolved(0, "smtp", "x", "c@x"),
    ]
    plan = plan_round(to("a@x", "b@here", "c@x"), resolved, never, frozenset())
    assert plan.groups == {("smtp", "x", ""): [1, 3], ("local", "here", ""): [2]}
    assert not plan.refused
    assert not plan.readdressed


def test_a_filter_takes_all() -> None:
    """Its own nexthop, the default one, the recipient's domain, or this host for a name without one."""
    to_all = ["a@x", "b"]
    assert filtered("scan:[h]:26", "d", to_all, "me") == [Resolved(0, "scan", "[h]:26", name) for name in to_all]
    assert [each.nexthop for each in filtered("scan:", "d", to_all, "me")] == ["d", "d"]
    assert [each.nexthop for each in filtered("scan", "", to_all, "me")] == ["x", "me"]


@pytest.mark.parametrize("name", ["", ".", "..", "../public/cleanup", "a b", "smtp\0", "\u00fc", "a" * 101])
def test_a_filter_is_a_name(name: str) -> None:
    """It becomes the path of a socket."""
    with logged() as lines:
        (one,) = filtered(f"{name}:x", "", ["a@x"], "me")
    assert one.flags == FAILED
    assert lines


def test_a_transport_that_takes_one_recipient_has_one_place_for_each() -> None:
    """One user's slow mailbox does not hold up the others; letters' case makes no second place."""
    resolved = [Resolved(0, "local", "here", name) for name in ("a@here", "A@here", "b@here")]
    plan = plan_round(to("a@here", "A@here", "b@here"), resolved, "local".__eq__, frozenset())
    assert plan.groups == {("local", "here", "a@here"): [1, 2], ("local", "here", "b@here"): [3]}


def test_a_user_s_extensions_are_one_place() -> None:
    """Otherwise one user could have every place of the transport; without a delimiter they are names of their own."""
    resolved = [Resolved(0, "local", "here", name) for name in ("a@here", "a+1@here", "A+2@here", "owner-l@here")]
    recipients = to(*(each.recipient for each in resolved))
    plan = plan_round(recipients, resolved, "local".__eq__, frozenset(), "+-")
    assert plan.groups == {("local", "here", "a@here"): [1, 2, 3], ("local", "here", "owner-l@here"): [4]}
    assert len(plan_round(recipients, resolved, "local".__eq__, frozenset()).groups) == 4


def test_an_address_that_was_not_resolved_waits() -> None:
    """The resolver did not answer: never "not found"."""
    plan = plan_round(to("a@x"), [Resolved(FAILED, "", "", "")], never, frozenset())
    assert [(result.rcpt_id, result.dsn, result.outcome) for result in plan.refused] == [(1, "4.3.0", 1)]


def test_an_address_that_cannot_be_is_returned_by_the_error_agent() -> None:
    """In Postfix's words; the address stands beside them in the log."""
    plan = plan_round(to("a@@x"), [Resolved(ERROR, "", "", "")], never, frozenset())
    assert plan.groups == {("error", "5.1.3 bad address syntax", ""): [1]}


def test_a_deferred_transport_gets_nothing() -> None:
    """defer_transports; the others do."""
    resolved = [Resolved(0, "smtp", "x", "a@x"), Resolved(0, "local", "here", "b@here")]
    plan = plan_round(to("a@x", "b@here"), resolved, never, frozenset({"smtp"}))
    assert outcomes(plan.refused) == {1: 1}
    assert list(plan.groups.values()) == [[2]]


def test_a_resolver_may_change_the_address() -> None:
    """A transport table can; the agent gets the new one."""
    plan = plan_round(to("a@x"), [Resolved(0, "smtp", "y", "b@y")], never, frozenset())
    assert plan.readdressed == {1: "b@y"}


def test_mail_to_the_sender_of_notices_is_thrown_away() -> None:
    """Nobody reads it, and a notice about it would come back to the same place (facts B09.16)."""
    to_all = ["Double-Bounce@here", "double-bounce", "double-bounces@here", "x-double-bounce@here", "double-bounce@x"]
    classes = [CLASS_LOCAL] * 4 + [CLASS_DEFAULT]
    resolved = [Resolved(flags, "local", "here", name) for flags, name in zip(classes, to_all, strict=True)]
    plan = plan_round(to(*to_all), resolved, never, frozenset(), "", "double-bounce")
    assert outcomes(plan.refused) == {1: SENT, 2: SENT}
    assert {each.text for each in plan.refused} == {"undeliverable postmaster notification discarded"}
    assert plan.groups == {("local", "here", ""): [3, 4, 5]}
    assert not plan_round(to("@here"), [Resolved(CLASS_LOCAL, "local", "here", "@here")], never, frozenset()).refused
