"""Queue IDs: the name of a message in the log, in replies and in every command that manages the queue.

Knows the two forms Postfix uses. Does not know where the numbers come from: the caller leases `number`, which stands
where Postfix has the inode. An ID is unique as long as no two messages share second, microsecond and number.
Source: facts B03.02 and B03.03 (mail_queue.h).
"""

import re
from typing import Final

# No vowels, so that no ID spells a word; digits first, so that equal-length IDs sort by time.
ALPHABET: Final = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
SECONDS_WIDTH: Final = 6  # characters at least; base 52
MICROSECONDS_WIDTH: Final = 4  # characters, base 52
SEPARATOR: Final = "z"  # the last letter of the alphabet, so base 51 behind it never contains it
MAX_LENGTH: Final = 100  # characters; what Postfix takes for an ID at all

_LONG: Final = re.compile(
    r"([0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{6,12})([0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{4})z([0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,14})",
    re.ASCII,
)
_SHORT: Final = re.compile(r"([0-9A-F]{5})([0-9A-F]{1,16})", re.ASCII)
_PAIRS: Final = tuple(a + b for a in ALPHABET for b in ALPHABET)
_PAIRS_51: Final = tuple(a + b for a in ALPHABET[:-1] for b in ALPHABET[:-1])


def format_long_id(sec: int, usec: int, number: int) -> str:
    """Make the long queue ID of a message that arrived at `sec`.`usec`."""
    high, low = divmod(usec, 52 * 52)
    return f"{format_seconds(sec)}{_PAIRS[high]}{_PAIRS[low]}z{write_number(number, short=False)}"


def format_short_id(usec: int, number: int) -> str:
    """Make the short queue ID, as with enable_long_queue_ids = no."""
    return f"{usec:05X}{number:X}"


def format_seconds(sec: int) -> str:
    """Write the seconds as a long ID begins with them."""
    rest, low = divmod(sec, 2704)
    rest, middle = divmod(rest, 2704)
    if rest < 2704:
        return _PAIRS[rest] + _PAIRS[middle] + _PAIRS[low]
    return encode_number(sec, 52).rjust(SECONDS_WIDTH, "0")


def number_text(queue_id: str, *, short: bool) -> str | None:
    """Give the number of an ID as it is written there; None: this is no ID of that form."""
    match = (_SHORT if short else _LONG).fullmatch(queue_id)
    return match[match.lastindex or 0] if match is not None else None


def write_number(number: int, *, short: bool) -> str:
    """Write a number as IDs of one form end with it."""
    if short:
        return f"{number:X}"
    text = ""
    while number >= 2601:
        number, low = divmod(number, 2601)
        text = _PAIRS_51[low] + text
    return (_PAIRS_51[number] if number >= 51 else ALPHABET[number]) + text


def encode_number(value: int, base: int) -> str:
    """Write a number in any base up to 52 with digits and consonants."""
    digits = []
    while value >= base:
        value, digit = divmod(value, base)
        digits.append(ALPHABET[digit])
    digits.append(ALPHABET[value])
    return "".join(reversed(digits))
