"""Checks of address classes: a domain belongs to one of them, and this host's own name to one at all.

Domains are taken from the lists themselves, and from tables whose text can be read (a limited part of large ones).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from posthouse.config.check_tables import tables_in
from posthouse.config.checks.context import Context
from posthouse.config.findings import NOTE, WARNING, Finding, Kind, Place
from posthouse.config.parameter import ConfigValueError
from posthouse.config.parameters import (
    MYDESTINATION,
    MYHOSTNAME,
    MYORIGIN,
    RELAY_DOMAINS,
    RELAYHOST,
    VIRTUAL_ALIAS_DOMAINS,
    VIRTUAL_MAILBOX_DOMAINS,
)
from posthouse.config.usage import references

TWO_CLASSES = Kind(
    "domain-in-two-classes",
    WARNING,
    "A domain is in two of mydestination, virtual_alias_domains, virtual_mailbox_domains and relay_domains.",
)
OWN_NAME = Kind(
    "own-name-in-no-class",
    WARNING,
    "mydestination is set, and this host's own name is in no address class. A note when myorigin is another name.",
    "mail to this host's name loops back to it and is returned",
)
OWN_RELAY = Kind(
    "relayhost-is-this-host",
    WARNING,
    "relayhost names this host itself, at the port where this mail system listens.",
    "mail loops back and is returned",
    "name the provider's or the next server",
)
_CLASSES: Final = (MYDESTINATION.name, VIRTUAL_ALIAS_DOMAINS.name, VIRTUAL_MAILBOX_DOMAINS.name, RELAY_DOMAINS.name)
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - named, not bound


class _Listed(NamedTuple):
    """Where a domain is listed."""

    parameter: str
    place: Place
    shown: str  # "mydestination", or the table


def check_classes(context: Context) -> Iterator[Finding]:
    """A domain belongs to one address class."""
    seen: dict[str, _Listed] = {}
    told: set[str] = set()
    for name in _CLASSES:
        if name == RELAY_DOMAINS.name and MYDESTINATION.name in references(context.settings.raw(name) or ""):
            continue  # its old default, mydestination, does no harm: that class comes first
        for domain, listed in _domains(context, name):
            first = seen.setdefault(domain, listed)
            if first.parameter != name and domain not in told:
                told.add(domain)
                what = f"do not list domain {domain} in BOTH {first.shown} and {listed.shown}"
                place = listed.place if context.is_set(name) else first.place
                yield TWO_CLASSES.at(place, what, "take one out", f"it is handled as {first.parameter} says")


def _domains(context: Context, name: str) -> Iterator[tuple[str, _Listed]]:
    place = context.place(name)
    virtual = name == VIRTUAL_ALIAS_DOMAINS.name and not context.is_set(name)
    for item in dict.fromkeys(context.items(name)):
        if item.startswith(("/", "!")):
            continue
        if ":" not in item:
            if not virtual:
                yield item.lower(), _Listed(name, place, name)
            continue
        for kind, table in tables_in((item,)):
            if kind in ("pipemap", "unionmap", "proxy", "debug"):
                continue  # what they are made of comes next
            for entry in context.probe.entries(kind, table, aliases=False):
                if "@" not in entry.key and "." in entry.key.strip("."):
                    where = Place(table, entry.line) if table.startswith("/") else place
                    yield entry.key.lower(), _Listed(name, where, f"{name} ({kind}:{table})")


def check_own_name(context: Context) -> Iterator[Finding]:
    """Mail to the host itself has to go somewhere."""
    name = MYDESTINATION.name
    own = context.text(MYHOSTNAME.name).lower()
    if not context.is_set(name) or context.text(RELAYHOST.name) or not context.items(name) or not own:
        return
    if any(":" in item or item.startswith("/") for each in _CLASSES for item in context.items(each) if item != own):
        listed = {domain for each in _CLASSES for domain, _ in _domains(context, each)}
        if not _all_readable(context):
            return
    else:
        listed = {item.lower() for each in _CLASSES for item in context.items(each)}
    if own not in listed:
        # Mail that programs on this host send without a domain is for that name, when it is myorigin.
        severity = WARNING if context.text(MYORIGIN.name).lower() == own else NOTE
        fix = f"write: {name} = $myhostname, {context.configuration.main.values[name]}"
        yield OWN_NAME.at(context.place(name), f"{name}: $myhostname ({own}) is not in it", fix, severity=severity)


def _all_readable(context: Context) -> bool:
    """Tell whether every class is a list of plain names or of tables that the probe reads."""
    for name in _CLASSES:
        for item in context.items(name):
            if item.startswith(("/", "!")):
                return False
            if ":" in item and not any(
                True for kind, table in tables_in((item,)) for _ in context.probe.entries(kind, table, aliases=False)
            ):
                return False
    return True


def check_relayhost(context: Context) -> Iterator[Finding]:
    """Mail that is given to oneself comes back."""
    text = context.text(RELAYHOST.name).strip()
    if not text:
        return
    host, port = _split(text)
    own = {context.text(MYHOSTNAME.name).lower(), *_LOCAL, *_own_addresses(context)}
    own |= {word.lower().strip("[]") for word in context.items("inet_interfaces")}
    if host.lower().rstrip(".") in own and port in ("", "25", "smtp") and _listens(context, port or "smtp"):
        yield OWN_RELAY.at(context.place(RELAYHOST.name), f"relayhost: {text} is this host itself")


def _own_addresses(context: Context) -> set[str]:
    from posthouse.config.own_addresses import own_addresses  # noqa: PLC0415 (asks the kernel for interfaces)

    try:
        return {str(address) for address in own_addresses(context.text)}
    except ConfigValueError:
        return set()  # the check of values says so


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = text.partition(":")
    return host, port


def _listens(context: Context, port: str) -> bool:
    """Tell whether an smtpd(8) or postscreen(8) of this mail system has the SMTP port."""
    if not context.configuration.master.exists:
        return True
    services = context.services("smtpd", "postscreen")
    return any(service.name.rpartition(":")[2] in ("smtp", "25", port) for service in services)
