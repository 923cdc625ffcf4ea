"""Defaults that this host decides: myhostname, mydomain and mynetworks.

Sources: postconf(5); facts B01.16, B01.17.
"""

import os
import re
from collections.abc import Callable
from typing import Final

NAMES: Final = frozenset({"myhostname", "mydomain", "mynetworks"})
DEFAULT_DOMAIN: Final = "localdomain"  # when the host name has no dot
_NUMERIC: Final = re.compile(r"[0-9.]+", re.ASCII)
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)

Text = Callable[[str], str]  # parameter name -> expanded value
IsSet = Callable[[str], bool]


def compute(name: str, is_set: IsSet, text: Text) -> str:
    """Compute the default of one of NAMES."""
    match name:
        case "myhostname":
            return qualified(os.uname().nodename, text("mydomain") if is_set("mydomain") else DEFAULT_DOMAIN)
        case "mydomain":
            return parent_domain(text("myhostname"))
        case "mynetworks":
            # Asking the kernel needs modules that a command like sendmail should not wait for.
            from posthouse.config.own_addresses import networks, own_interfaces  # noqa: PLC0415

            return " ".join(networks(own_interfaces(text), text("mynetworks_style").lower()))
    raise AssertionError(f"{name} is no derived parameter")


def qualified(hostname: str, domain: str) -> str:
    """Give the host name with a domain: as it is when it has a dot already."""
    return hostname if "." in hostname else f"{hostname}.{domain}"


def parent_domain(hostname: str) -> str:
    """Take the first label away; a single label has the parent "localdomain"."""
    return hostname.partition(".")[2] or DEFAULT_DOMAIN


def is_hostname(name: str) -> bool:
    """Tell whether `name` may be a host's name: labels of letters, digits, - and _, not all of it digits and dots."""
    if not name or len(name) > 255 or _NUMERIC.fullmatch(name):
        return False
    return all(_LABEL.fullmatch(label) for label in name.split("."))
