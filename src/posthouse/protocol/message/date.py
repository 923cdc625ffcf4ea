"""Dates as mail writes them (RFC 5322 3.3), from seconds that the caller got from a clock.

The offset from UTC and the name of the zone come in as well: what zone it is, is the system's business.
"""

from functools import lru_cache
from typing import Final

_DAYS: Final = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # the epoch was a Thursday
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@lru_cache(maxsize=64)
def format_date(seconds: int, offset_s: int = 0, zone: str = "") -> str:
    """Write a date: "Wed, 11 Sep 2024 18:05:54 -0400 (EDT)".

    offset_s: seconds east of UTC. zone: its name for the comment; none is written without one.
    """
    days, rest = divmod(seconds + offset_s, 86_400)
    year, month, day = _civil(days)
    minutes = abs(offset_s) // 60
    date = f"{_DAYS[days % 7]}, {day:2d} {_MONTHS[month - 1]} {year}"
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    text = f"{date} {clock} {'-' if offset_s < 0 else '+'}{minutes // 60:02d}{minutes % 60:02d}"
    return f"{text} ({zone})" if zone else text


@lru_cache(maxsize=64)
def format_compact(seconds: int) -> str:
    """Write a moment in UTC as digits: "20240911220554"."""
    days, rest = divmod(seconds, 86_400)
    year, month, day = _civil(days)
    return f"{year:04d}{month:02d}{day:02d}{rest // 3600:02d}{rest // 60 % 60:02d}{rest % 60:02d}"


def format_message_id(seconds: int, queue_id: str, hostname: str) -> str:
    """Make the Message-ID of a message that has none: "<yyyymmddhhmmss.QUEUEID@host>"."""
    return f"<{format_compact(seconds)}.{queue_id}@{hostname}>"


def _civil(days: int) -> tuple[int, int, int]:
    """Turn days since the epoch into year, month and day (Gregorian; years begin in March inside of this)."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day
