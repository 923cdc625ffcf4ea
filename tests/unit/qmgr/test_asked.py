"""QueueManager: what the envelope of a message asks for."""

import pytest

from posthouse.ipc.message import NOTIFY_SUCCESS, TRACE_VERIFY, Recipient
from tests.unit.qmgr.conftest import Case
from tests.unit.qmgr.make import sent


def test_mail_for_a_filter_is_not_resolved(case: Case) -> None:
    """All of it goes there, but what sendmail -bv only asks about; default_filter_nexthop has a say."""
    case.start(default_filter_nexthop="h")
    case.admit("a@x", "b@y", filter="scan:")
    case.admit("a@x", filter="scan:", trace=TRACE_VERIFY, queue_id="3V")
    assert case.scheduler.submitted == [("scan", "h", "", [1, 2]), ("smtp", "x", "", [1])]


def test_refused_mail_is_returned_without_a_delivery(case: Case) -> None:
    """What cleanup refused of local mail: logged as bounced, told to the sender, gone."""
    case.admit("a@x", refusal="5.7.1 go away")
    assert case.scheduler.submitted == []
    assert "to=<a@x>, relay=none, " in case.lines[-1]
    assert case.lines[-1].endswith("dsn=5.7.1, status=bounced (go away)")
    case.notices.end()
    assert (case.notices.asked, case.ledger.log) == ([("failed", [1])], ["record {1: 2}", "remove"])


@pytest.mark.parametrize(("told", "asked"), [(False, [("delivered", [])]), (True, [])])
def test_a_sender_who_asked_hears_of_expanded_aliases_once(case: Case, told: bool, asked: list[object]) -> None:
    """Though none of their people is reported about."""
    active = case.admit(expanded=(Recipient("alias@x", notify=NOTIFY_SUCCESS),))
    active.expansion_told = told
    case.took(active, sent(1))
    assert case.notices.asked == asked
