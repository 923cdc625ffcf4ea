"""Limits of transports and times of retries, from settings."""

import pytest

from posthouse.config.settings import Settings
from posthouse.daemons.qmgr.limits import JITTER, RetryTimes, process_limits, transport_limits


def times(**main: str) -> RetryTimes:
    """Read retry times."""
    return RetryTimes.of(Settings.from_mapping(main))


@pytest.mark.parametrize(("age", "wait"), [(0, 300), (299, 300), (1000, 1000), (3999, 3999), (100_000, 4000)])
def test_the_wait_is_the_age_of_the_message_within_limits(age: float, wait: float) -> None:
    """With a little chance, so that what failed together is not tried together for ever (qmgr(8))."""
    found = {times().wait(age) for _ in range(50)}
    assert all(wait - 0.001 <= each <= wait * (1 + JITTER) for each in found)
    assert len(found) > 1


def test_a_clock_that_went_back_does_not_shorten_the_wait() -> None:
    """A message from the future is young."""
    assert times().wait(-5000.0) >= 300


@pytest.mark.parametrize(
    ("age", "is_bounce", "expired"),
    [(86399, False, False), (86400, False, True), (3600, True, True), (3599, True, False)],
)
def test_bounces_have_a_lifetime_of_their_own(age: float, is_bounce: bool, expired: bool) -> None:
    """Here one day and one hour."""
    made = times(maximal_queue_lifetime="1d", bounce_queue_lifetime="1h")
    assert made.expired(age, is_bounce=is_bounce) is expired


def test_no_lifetime_means_one_attempt() -> None:
    """postconf(5): a message is given up when its first attempt fails."""
    assert times(maximal_queue_lifetime="0").expired(0.0, is_bounce=False)


def test_process_limits_are_master_cf_s() -> None:
    """The orders write them down; a transport without one has default_process_limit."""
    settings = Settings.from_mapping(
        {"posthouse_process_limits": "smtp=7 my-transport=0", "default_process_limit": "42"}
    )
    limits = process_limits(settings)
    assert limits == {"smtp": 7, "my-transport": 0}
    assert [transport_limits(settings, name, limits).processes for name in ("smtp", "my-transport", "new")] == [
        7,
        0,
        42,
    ]


def test_a_transport_has_limits_of_its_own_or_the_defaults() -> None:
    """<transport>_destination_concurrency_limit and its kin; local has its own defaults."""
    settings = Settings.from_mapping(
        {
            "slow_destination_concurrency_limit": "3",
            "slow_initial_destination_concurrency": "2",
            "slow_destination_recipient_limit": "9",
            "slow_destination_rate_delay": "2s",
            "slow_destination_concurrency_failed_cohort_limit": "4",
        }
    )
    slow = transport_limits(settings, "slow", {})
    assert (slow.window_limit, slow.window_initial, slow.recipients) == (3, 2, 9)
    assert (slow.rate_delay_s, slow.failed_cohorts) == (2.0, 4.0)
    smtp = transport_limits(settings, "smtp", {})
    assert (smtp.window_limit, smtp.window_initial, smtp.recipients, smtp.failed_cohorts) == (20, 5, 50, 1.0)
    local = transport_limits(settings, "local", {})
    assert (local.recipients, local.window_limit) == (1, 2)
