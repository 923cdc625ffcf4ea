"""Destination: what a nexthop names, taken apart. Pure; looks nothing up.

Forms: domain, domain:port, [host], [host]:port, [address]:port, a list of these; for LMTP also unix:path and
inet:host:port. Brackets mean: no MX lookup. Source: smtp(8), lmtp(8); facts B10.01.
"""

import re
from dataclasses import dataclass
from typing import Final

from posthouse.config.lists import split_tokens

# A port is a number or the name of a service; behind an unbracketed IPv6 address there is none.
_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\](?::([A-Za-z0-9_-]+))?", re.ASCII)
_PLAIN: Final = re.compile(r"([^:\[\]]+)(?::([A-Za-z0-9_-]+))?")


@dataclass(frozen=True, slots=True)
class Destination:
    """One place to deliver to. path: a UNIX socket, then the rest does not count."""

    host: str = ""
    port: str = ""  # "": the default one
    mx: bool = False
    path: str = ""


def parse_destination(text: str, *, lmtp: bool = False) -> Destination | None:
    """Read one destination; None: it is none."""
    if lmtp:
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            return Destination(path=path) if path else None
        text = text.removeprefix("inet:")
    match = _BRACKETED.fullmatch(text)
    if match is not None:
        host = match[1]
        if host[:5].lower() == "ipv6:":
            host = host[5:]
        return Destination(host, match[2] or "") if host else None
    match = _PLAIN.fullmatch(text)
    if match is not None:
        # LMTP servers are named by host, not by MX record (lmtp(8))
        return Destination(match[1], match[2] or "", mx=not lmtp)
    return Destination(text, mx=not lmtp) if text.count(":") > 1 and "[" not in text else None


def parse_destinations(text: str, *, lmtp: bool = False) -> list[Destination] | None:
    """Read a nexthop: one destination or a list, tried in order; None: malformed."""
    found = [parse_destination(item, lmtp=lmtp) for item in split_tokens(text)]
    destinations = [each for each in found if each is not None]
    return destinations if destinations and len(destinations) == len(found) else None
