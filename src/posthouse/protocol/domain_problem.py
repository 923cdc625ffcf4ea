"""What is wrong with a host name or address: the reasons that Postfix logs, where domain.py only says yes or no.

Of several mistakes the first one from the left is named. Whatever domain.py refuses has a reason here and the other way
round, but for address octets with more than three digits. Source: facts (valid_hostname, valid_hostaddr).
"""

from typing import Final

from posthouse.protocol.domain import MAX_HOSTNAME, MAX_LABEL, is_ipv6_address

_HEX_DIGITS: Final = "0123456789ABCDEFabcdef"
_ALPHANUMERIC: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_DIGITS: Final = frozenset(b"0123456789")
_WILDCARD: Final = "'*' can be the first label only"


def hostname_problem(name: str, *, wildcard: bool = False) -> str | None:
    """Say what is wrong with a host name; None: nothing. wildcard: the first label may be "*"."""
    octets = name.encode("utf-8", "surrogateescape")
    if not octets:
        return "empty hostname"
    rest = octets.removeprefix(b"*.") if wildcard else octets
    if not rest:
        return "misplaced delimiter"
    label = 0  # octets of it so far
    for at, octet in enumerate(rest):
        label += 1
        problem = _problem_at(rest, at, label, wildcard=wildcard)
        if problem:
            return problem
        if octet == ord("."):
            label = 0
    if len(rest) == len(octets) and all(octet in _DIGITS or octet == ord(".") for octet in octets):
        return "numeric hostname"
    return f"bad length {len(octets)}" if len(octets) > MAX_HOSTNAME else None


def _problem_at(name: bytes, at: int, label: int, *, wildcard: bool) -> str | None:
    """Judge one octet, the label-th of its label."""
    octet = name[at]
    is_last = at + 1 == len(name)
    if octet in _ALPHANUMERIC:
        return "hostname label too long" if label > MAX_LABEL else None
    if octet == ord("."):
        return "misplaced delimiter" if label == 1 or is_last else None
    if octet == ord("-"):
        return "misplaced hyphen" if label == 1 or is_last or name[at + 1] == ord(".") else None
    return _WILDCARD if octet == ord("*") and wildcard else f"invalid character {octet}(decimal)"


def address_problem(text: str) -> str | None:
    """Say what is wrong with an IPv4 or (with a colon) IPv6 address without brackets; None: nothing."""
    if not text:
        return "empty address"
    return _ipv6_problem(text) if ":" in text else _ipv4_problem(text)


def _ipv4_problem(text: str) -> str | None:
    count, value = 0, -1  # of the octet at hand; -1 between two
    octets = text.encode("utf-8", "surrogateescape")
    for at, octet in enumerate(octets):
        if octet in _DIGITS:
            count, value = (count + 1, 0) if value < 0 else (count, value)
            value = value * 10 + octet - ord("0")
            if value > 255:
                return "invalid octet value"
        elif octet == ord("."):
            if value < 0 or at + 1 == len(octets):
                return "misplaced dot"
            if count == 1 and value == 0 and octets.strip(b"0."):
                return "bad initial octet value"
            value = -1
        else:
            return f"invalid character {octet}(decimal)"
    return None if count == 4 else "invalid octet count"


def _ipv6_problem(text: str) -> str | None:
    if text[0] == ":" and not text.startswith("::"):
        return "bad null first field in IPv6 address"
    fields = text.split(":")
    null_field = 0
    for place, field in enumerate(fields):
        if place > 7:
            return "too many `:' in IPv6 address"
        if not field and 0 < place < len(fields) - 1:
            if null_field:
                return "too many `::' in IPv6 address"
            null_field = place
        rest = field.lstrip(_HEX_DIGITS)
        if rest:
            return _last_field_problem(field, rest, place) or _whole(text)
    if len(fields) < 3:
        return "too few `:' in IPv6 address"
    if not fields[-1] and null_field != len(fields) - 2:
        return "bad null last field in IPv6 address"
    return _whole(text)


def _last_field_problem(field: str, rest: str, place: int) -> str | None:
    """Judge a field that is not hexadecimal: an IPv4 address may end an IPv6 address."""
    if not rest.startswith("."):
        octet = rest.encode("utf-8", "surrogateescape")[0]
        return f"invalid character {octet}(decimal) in IPv6 address"
    return _ipv4_problem(field) if 2 <= place <= 6 else "malformed IPv4-in-IPv6 address"


def _whole(text: str) -> str | None:
    """Judge the groups together: their number and their lengths."""
    return None if is_ipv6_address(text) else "malformed IPv6 address"
