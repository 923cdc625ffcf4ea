"""Requests about the queue come from any user: their words are checked before they get near the queue."""

import pytest

from posthouse.ipc.showq import Count, Fetch, Flush, ListPage, Steer, ToShowq, problem_of

GOOD = (
    Count(1), ListPage(1, ""), Fetch(1, "4jXsPn2V4cz2V"),
    ListPage(1, "123456789012345678", "deferred", "4jXsPn2V4cz2V", "example.test"),
    Flush(1, "exämple.test"), Flush(1, "", "4jXsPn2V4cz2V"), Steer(1, "delete", "ALL", "hold"),
)  # fmt: skip
BAD = (
    ListPage(1, "9" * 19), ListPage(1, "9" * 5000), ListPage(1, "-1"), ListPage(1, "²"), ListPage(1, "", "archive"),
    ListPage(1, "", "", "../x"), ListPage(1, "", "", "\udc80"), ListPage(1, "", "", "", "\udc80"), Flush(1, "a\nb"),
    Flush(1, "x" * 256), Flush(1, "", "x" * 41), Steer(1, "shred", "ALL"), Steer(1, "hold", "a b"), Fetch(1, "\0"),
)  # fmt: skip


@pytest.mark.parametrize("record", GOOD, ids=repr)
def test_what_our_commands_ask_is_good(record: ToShowq) -> None:
    """Names of domains may be international."""
    assert problem_of(record) == ""


@pytest.mark.parametrize("record", BAD, ids=repr)
def test_what_fits_no_request_is_named(record: ToShowq) -> None:
    """In words that can be shown."""
    assert problem_of(record)
    assert problem_of(record).isprintable()
