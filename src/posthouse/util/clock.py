"""The local time zone, for date fields and logs."""

import time


def local_zone(seconds: int) -> tuple[int, str]:
    """Offset from UTC in seconds (east is positive) and the zone's name, at a moment since the epoch."""
    moment = time.localtime(seconds)
    return moment.tm_gmtoff, moment.tm_zone
