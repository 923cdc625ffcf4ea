"""Results and the status line of the log."""

import re
import time

import pytest

from posthouse.delivery.status import log_results, same_for_all
from posthouse.ipc.delivery import Deliver, DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, Envelope, RecipientResult
from tests.support.lookups import logged

NOW = 1_700_000_000.0


def test_one_result_for_all() -> None:
    """Each recipient has his own."""
    results = same_for_all([DeliverTo(3, "a@x"), DeliverTo(4, "b@x")], DEFERRED, "4.4.1", "refused")
    assert results == [RecipientResult(number, DEFERRED, "4.4.1", "refused", "none") for number in (3, 4)]


def line_of(
    result: RecipientResult, *, original: str = "", conn_use: int = 0, times: tuple[float, float] = (0, 0)
) -> str:
    """Log one result; the line."""
    envelope = Envelope("3TEST", "s@x", NOW - 10)
    request = Deliver(1, envelope, "x", [DeliverTo(1, "a@x", original)], NOW - 8, b"")
    with logged() as lines:
        log_results(request, [result], *times, conn_use)
    assert len(lines) == 1
    return lines[0]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock."""
    monkeypatch.setattr(time, "time", lambda: NOW)


@pytest.mark.parametrize(("outcome", "word"), [(SENT, "sent"), (DEFERRED, "deferred"), (BOUNCED, "bounced")])
def test_the_line_is_postfix_s(outcome: int, word: str) -> None:
    """Operators and their programs read it."""
    result = RecipientResult(1, outcome, "2.0.0", "250 Ok", "mx[192.0.2.1]:25")
    line = line_of(result, times=(NOW - 5, NOW - 3))
    expected = "3TEST: to=<a@x>, relay=mx[192.0.2.1]:25, delay=10, delays=2/3/2/3, dsn=2.0.0, status={} (250 Ok)"
    assert line == expected.format(word)


def test_an_address_that_was_rewritten_shows_both() -> None:
    """orig_to is left out when it says nothing."""
    result = RecipientResult(1, SENT, "2.0.0", "ok", "local")
    assert " to=<a@x>, orig_to=<list@x>, relay=local," in line_of(result, original="list@x")
    assert "orig_to" not in line_of(result, original="a@x")


def test_a_connection_that_is_used_again_shows() -> None:
    """From the second delivery on."""
    result = RecipientResult(1, SENT, "2.0.0", "ok", "mx")
    assert " relay=mx, conn_use=2, delay=" in line_of(result, conn_use=2)
    assert "conn_use" not in line_of(result, conn_use=1)


def test_times_that_are_not_known_are_not_made_up() -> None:
    """Without a connection everything after the queue is transmission."""
    line = line_of(RecipientResult(1, SENT, "2.0.0", "ok", "local"))
    assert re.search("delays=2/0/0/8,", line)
