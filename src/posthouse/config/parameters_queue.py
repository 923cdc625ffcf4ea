"""Parameters about the queue's schedule, and those that exist once for each transport. Read by several daemons."""

from typing import Final

from posthouse.config.parameter import Boolean, Family, Integer, Size, Time
from posthouse.config.settings import Settings

LIFETIME_MAX_S: Final = 8_640_000  # 100 days, as in Postfix

ENABLE_LONG_QUEUE_IDS: Final = Boolean(
    "enable_long_queue_ids", "no", doc="Queue IDs that are never used twice. We make them unless this is set to no."
)
MAXIMAL_QUEUE_LIFETIME: Final = Time(
    "maximal_queue_lifetime",
    "5d",
    doc="After this long a message that cannot be delivered is returned.",
    maximum_s=LIFETIME_MAX_S,
)
BOUNCE_QUEUE_LIFETIME: Final = Time(
    "bounce_queue_lifetime",
    "5d",
    doc="After this long a message with the null sender that cannot be delivered is dropped or given to postmaster.",
    maximum_s=LIFETIME_MAX_S,
)
DELAY_WARNING_TIME: Final = Time(
    "delay_warning_time", "0h", doc="After this long the sender is told that mail is delayed; 0: never."
)
MINIMAL_BACKOFF_TIME: Final = Time(
    "minimal_backoff_time", "300s", doc="The shortest time between two attempts to deliver.", minimum_s=1
)
MAXIMAL_BACKOFF_TIME: Final = Time(
    "maximal_backoff_time", "4000s", doc="The longest time between two attempts to deliver.", minimum_s=1
)
IN_FLOW_DELAY: Final = Time(
    "in_flow_delay", "1s", doc="How long receiving pauses when mail comes in faster than it goes out.", maximum_s=10
)
QUEUE_MINFREE: Final = Size(
    "queue_minfree",
    "0",
    doc="Mail is refused when fewer bytes are free where the queue is, or less than 1.5 times message_size_limit.",
)
QUEUE_RESERVE: Final = Size(
    "queue_reserve",
    "4194304",
    doc="Bytes kept aside where the queue is, so that deliveries and notices fit when nothing else does (ours).",
)

DEFAULT_DESTINATION_CONCURRENCY_LIMIT: Final = Integer(
    "default_destination_concurrency_limit", "20", doc="Parallel deliveries to one destination; 0: no limit."
)
DEFAULT_DESTINATION_RECIPIENT_LIMIT: Final = Integer(
    "default_destination_recipient_limit",
    "50",
    doc="Recipients in one delivery; 1 makes the destination a recipient, not a domain.",
)
INITIAL_DESTINATION_CONCURRENCY: Final = Integer(
    "initial_destination_concurrency", "5", doc="Parallel deliveries to a new destination at first.", minimum=1
)
DEFAULT_DESTINATION_CONCURRENCY_FAILED_COHORT_LIMIT: Final = Integer(
    "default_destination_concurrency_failed_cohort_limit",
    "1",
    doc="A destination is dead after this many rounds of failures; 0: never.",
)
DEFAULT_DESTINATION_RATE_DELAY: Final = Time(
    "default_destination_rate_delay", "0s", doc="The pause between two deliveries to one destination."
)

QUEUE_PARAMETERS: Final = (
    ENABLE_LONG_QUEUE_IDS,
    MAXIMAL_QUEUE_LIFETIME,
    BOUNCE_QUEUE_LIFETIME,
    DELAY_WARNING_TIME,
    MINIMAL_BACKOFF_TIME,
    MAXIMAL_BACKOFF_TIME,
    IN_FLOW_DELAY,
    QUEUE_MINFREE,
    QUEUE_RESERVE,
    DEFAULT_DESTINATION_CONCURRENCY_LIMIT,
    DEFAULT_DESTINATION_RECIPIENT_LIMIT,
    INITIAL_DESTINATION_CONCURRENCY,
    DEFAULT_DESTINATION_CONCURRENCY_FAILED_COHORT_LIMIT,
    DEFAULT_DESTINATION_RATE_DELAY,
)


def _of_integer(row: Integer, *defaults: tuple[str, str]) -> Family[int]:
    """Make the family that has `row` ("default_x") as its default; pairs are transports with another one."""
    return Family(row.renamed(_suffix(row.name), f"${row.name}"), defaults)


def _of_time(row: Time) -> Family[float]:
    return Family(row.renamed(_suffix(row.name), f"${row.name}"))


def _suffix(name: str) -> str:
    return "_" + name.removeprefix("default_")


TRANSPORT_DESTINATION_CONCURRENCY_LIMIT: Final = _of_integer(DEFAULT_DESTINATION_CONCURRENCY_LIMIT, ("local", "2"))
TRANSPORT_DESTINATION_RECIPIENT_LIMIT: Final = _of_integer(DEFAULT_DESTINATION_RECIPIENT_LIMIT, ("local", "1"))
TRANSPORT_INITIAL_DESTINATION_CONCURRENCY: Final = _of_integer(INITIAL_DESTINATION_CONCURRENCY)
TRANSPORT_FAILED_COHORT_LIMIT: Final = _of_integer(DEFAULT_DESTINATION_CONCURRENCY_FAILED_COHORT_LIMIT)
TRANSPORT_DESTINATION_RATE_DELAY: Final = _of_time(DEFAULT_DESTINATION_RATE_DELAY)

FAMILIES: Final = (
    TRANSPORT_DESTINATION_CONCURRENCY_LIMIT,
    TRANSPORT_DESTINATION_RECIPIENT_LIMIT,
    TRANSPORT_INITIAL_DESTINATION_CONCURRENCY,
    TRANSPORT_FAILED_COHORT_LIMIT,
    TRANSPORT_DESTINATION_RATE_DELAY,
)


def uses_long_queue_ids(settings: Settings) -> bool:
    """Tell which queue IDs to make: long ones, unless main.cf says enable_long_queue_ids = no outright."""
    return not settings.is_set(ENABLE_LONG_QUEUE_IDS.name) or settings[ENABLE_LONG_QUEUE_IDS]
