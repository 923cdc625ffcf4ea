"""From settings to what the scheduler needs: the limits of a transport, the times of retries and expiry."""

import random
from dataclasses import dataclass
from typing import Final

from posthouse.config.parameters import (
    BOUNCE_QUEUE_LIFETIME,
    DEFAULT_PROCESS_LIMIT,
    DELAY_WARNING_TIME,
    MAXIMAL_BACKOFF_TIME,
    MAXIMAL_QUEUE_LIFETIME,
    MINIMAL_BACKOFF_TIME,
    TRANSPORT_DESTINATION_CONCURRENCY_LIMIT,
    TRANSPORT_DESTINATION_RATE_DELAY,
    TRANSPORT_DESTINATION_RECIPIENT_LIMIT,
    TRANSPORT_FAILED_COHORT_LIMIT,
    TRANSPORT_INITIAL_DESTINATION_CONCURRENCY,
)
from posthouse.config.settings import Settings
from posthouse.daemons.qmgr.destinations import TransportLimits

PROCESS_LIMITS: Final = "posthouse_process_limits"  # "smtp=100 local=20 …": set by the orders from master.cf
JITTER: Final = 0.1  # of a waiting time, so that what failed together is not tried together for ever


def process_limits(settings: Settings) -> dict[str, int]:
    """Read each service's process limit, as master.cf has it (0: none)."""
    limits = {}
    for word in settings.text(PROCESS_LIMITS).split():
        name, _, number = word.rpartition("=")
        limits[name] = int(number)
    return limits


def transport_limits(settings: Settings, name: str, processes: dict[str, int]) -> TransportLimits:
    """Collect the limits of one transport."""
    return TransportLimits(
        processes=processes.get(name, settings[DEFAULT_PROCESS_LIMIT]),
        window_initial=max(1, settings[TRANSPORT_INITIAL_DESTINATION_CONCURRENCY.of(name)]),
        window_limit=settings[TRANSPORT_DESTINATION_CONCURRENCY_LIMIT.of(name)],
        recipients=settings[TRANSPORT_DESTINATION_RECIPIENT_LIMIT.of(name)],
        failed_cohorts=settings[TRANSPORT_FAILED_COHORT_LIMIT.of(name)],
        rate_delay_s=settings[TRANSPORT_DESTINATION_RATE_DELAY.of(name)],
    )


@dataclass(frozen=True, slots=True)
class RetryTimes:
    """When deferred mail is tried again, and when no more."""

    minimal_s: float
    maximal_s: float
    lifetime_s: float
    bounce_lifetime_s: float
    warning_s: float

    @classmethod
    def of(cls, settings: Settings) -> "RetryTimes":
        """Read them."""
        return cls(
            settings[MINIMAL_BACKOFF_TIME],
            settings[MAXIMAL_BACKOFF_TIME],
            settings[MAXIMAL_QUEUE_LIFETIME],
            settings[BOUNCE_QUEUE_LIFETIME],
            settings[DELAY_WARNING_TIME],
        )

    def wait(self, age_s: float) -> float:
        """Until the next attempt: the message's age within limits (qmgr(8)), with jitter."""
        wait = min(max(age_s, self.minimal_s), self.maximal_s)
        return wait * (1 + random.uniform(0, JITTER))  # noqa: S311 - not a secret

    @property
    def longest_wait(self) -> float:
        """No attempt is farther away than this, however old the message is."""
        return max(self.minimal_s, self.maximal_s) * (1 + JITTER)

    def expired(self, age_s: float, *, is_bounce: bool) -> bool:
        """Whether a message that is still not delivered is given up."""
        return age_s >= (self.bounce_lifetime_s if is_bounce else self.lifetime_s)
