"""Delays as the log shows them: few significant digits, no zeros at the end.

Source: postconf(5), delay_logging_resolution_limit; facts of delays= in the vectors of format_tv.
"""

from typing import Final

_MICROSECONDS: Final = 6  # digits after the point that are kept at all
_HUNDREDTHS: Final = tuple(f"{n / 100:.2f}".rstrip("0").rstrip(".") for n in range(100))  # "0", "0.01" ... "0.99"


def format_delay(seconds: float, digits: int = 2, decimals: int = 2) -> str:
    """Write a delay with `digits` significant digits, but at most `decimals` behind the point. Halves go up.

    Digits before the point are never dropped: 111 stays 111. What is below zero (a clock that was set) is 0.
    """
    if 0.0 <= seconds < 0.99 and digits == decimals == 2:  # nearly every delay there is
        return _HUNDREDTHS[(round(seconds * 10**_MICROSECONDS) + 5000) // 10000]
    count = round(max(seconds, 0.0) * 10**_MICROSECONDS)
    dropped = max(len(str(count)) - digits, _MICROSECONDS - decimals, 0)
    unit = 10 ** min(dropped, _MICROSECONDS)
    whole, fraction = divmod((count + unit // 2) // unit * unit, 10**_MICROSECONDS)
    return f"{whole}.{fraction:0{_MICROSECONDS}d}".rstrip("0").rstrip(".") if fraction else str(whole)
