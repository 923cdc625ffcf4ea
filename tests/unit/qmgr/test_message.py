"""A message in the active queue: who has a result, and what they make together."""

from posthouse.ipc.message import BOUNCED, DEFERRED, SENT
from tests.unit.qmgr.make import bounced, deferred, message, outcomes, sent


def test_each_recipient_gets_one_result() -> None:
    """A second one, or one of a stranger, is not taken."""
    active = message("a@x", "b@x")
    assert active.take(sent(1))
    assert not active.take(bounced(1))
    assert not active.take(sent(7))
    assert [rcpt.address for rcpt in active.to_do()] == ["b@x"]
    assert not active.over


def test_a_round_is_over_when_all_have_one() -> None:
    """What is left to do depends on them."""
    active = message("a@x", "b@x")
    active.take(sent(1))
    active.take(deferred(2))
    assert active.over
    assert not active.all_sent
    assert [result.rcpt_id for result in active.with_outcome(SENT)] == [1]
    assert [result.rcpt_id for result in active.with_outcome(DEFERRED)] == [2]


def test_expiry_turns_what_waits_into_what_failed() -> None:
    """The last reason stays; a recipient that was never tried gets one."""
    active = message("a@x", "b@x", "c@x", "d@x")
    for result in (sent(1), deferred(2, "mailbox full", "4.2.2"), bounced(3), deferred(4, "", "")):
        active.take(result)
    active.expire("message expired")
    assert outcomes(list(active.results.values())) == {1: SENT, 2: BOUNCED, 3: BOUNCED, 4: BOUNCED}
    assert (active.results[2].dsn, active.results[2].text) == ("4.2.2", "mailbox full")
    assert (active.results[4].dsn, active.results[4].text) == ("4.4.7", "message expired")
