"""Bytes and times as people write them."""

_UNITS = ((1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"))


def format_bytes(number: float) -> str:
    """Write bytes with one digit after the point: "15.4 MB" (1 MB is 1048576 bytes)."""
    for size, unit in _UNITS:
        if abs(number) >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f} bytes"


def format_seconds(seconds: float) -> str:
    """Write a time in its two most telling units at most: "40 s", "5 min", "5 h", "3 days"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"
