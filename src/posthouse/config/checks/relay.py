"""Checks that strangers cannot send to anybody through an smtpd(8) service: relay protection.

A recipient has to be let through by smtpd_relay_restrictions and by smtpd_recipient_restrictions, so one of them that
protects is enough. A list protects when no "permit" for everybody stands before the word that refuses.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from posthouse.config.check_restrictions import Word, decides_always, words_of
from posthouse.config.check_tables import tables_in
from posthouse.config.checks.context import Context
from posthouse.config.findings import ERROR, WARNING, Finding, Kind
from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings

ABSENT = Kind(
    "no-relay-protection",
    ERROR,
    "Nothing in smtpd_relay_restrictions or smtpd_recipient_restrictions keeps strangers from relaying.",
    "the SMTP server does not start, as it would be an open relay",
    "write: smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination",
)
INEFFECTIVE = Kind(
    "relay-protection-too-late",
    ERROR,
    "A permit for everybody stands before the restriction that keeps strangers from relaying, in both lists.",
    "strangers may send mail to anybody through this host",
)
FORGED = Kind(
    "relay-by-forged-name",
    WARNING,
    "A table of senders or HELO names answers OK before relaying is refused; anybody can give such a name.",
    "whoever uses one of these names may send mail to anybody through this host",
)
LISTS: Final = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
GUARDS: Final = frozenset(
    {"reject_unauth_destination", "defer_unauth_destination", "reject", "defer", "defer_if_permit"}
)
_FORGEABLE: Final = frozenset({"check_sender_access", "check_helo_access"})
_PERMITS: Final = frozenset({"ok", "permit", "relay"})
_MAX_DEPTH: Final = 10  # classes in classes


def check_relay(context: Context) -> Iterator[Finding]:
    """Check each service that runs smtpd(8); without any master.cf the stock one runs, with what main.cf says."""
    services: list[Service | None] = list(context.services("smtpd"))
    if not context.configuration.master.exists:
        services = [None]
    told: set[tuple[object, ...]] = set()
    for service in services:
        settings = context.view(service) if service else context.settings
        if context.bad.intersection(LISTS):
            continue
        for finding in _check(context, service, settings):
            if finding[:5] not in told:
                told.add(finding[:5])
                yield finding


def _check(context: Context, service: Service | None, settings: Settings) -> Iterator[Finding]:
    lists = {name: list(_flat(context, settings, context.items(name, settings))) for name in LISTS}
    guards = {name: _guard(words) for name, words in lists.items()}
    own = {name for name, _ in service.overrides} if service else set()
    place = context.place(LISTS[0], settings)
    if own.intersection(LISTS) and service:
        place = context.line_of(service)
    whose = f"service {service.name}: " if service and own.intersection(LISTS) else ""
    if all(guard is None for guard in guards.values()):
        yield ABSENT.at(place, f"{whose}nothing keeps strangers from relaying")
        return
    early = {name: _early_permit(lists[name], guard) for name, guard in guards.items() if guard is not None}
    if all(early.values()):
        name, guard = next((name, guard) for name, guard in guards.items() if guard is not None)
        what = f'{whose}{name}: "{early[name]}" stands before {lists[name][guard].name}'
        yield INEFFECTIVE.at(place, what, f"move {lists[name][guard].name} to the front")
        return
    protecting = [name for name, permit in early.items() if not permit]
    forged = [_forged(context, lists[name][: guards[name]]) for name in protecting]
    if forged and all(forged):
        what = f"{whose}{protecting[0]}: {forged[0]} before relaying is refused"
        yield FORGED.at(place, what, "move it behind reject_unauth_destination, or write DUNNO in the table")


def _flat(context: Context, settings: Settings, items: Sequence[str], depth: int = 0) -> Iterator[Word]:
    """Give the words of a list with those of restriction classes in their place."""
    classes = {name.lower(): name for name in context.items("smtpd_restriction_classes", settings)}
    for word in words_of(items):
        name = classes.get(word.name.lower())
        if name is not None and depth < _MAX_DEPTH:
            yield from _flat(context, settings, context.items(name, settings), depth + 1)
        else:
            yield word


def _guard(words: Sequence[Word]) -> int | None:
    """Find the first word that keeps strangers out; one that only warns does not."""
    for at, word in enumerate(words):
        if word.name.lower() in GUARDS and not (at and words[at - 1].name.lower() == "warn_if_reject"):
            return at
    return None


def _early_permit(words: Sequence[Word], guard: int) -> str:
    """Find a word before the guard that lets everybody through."""
    for word in words[:guard]:
        if decides_always(word):
            return f"{word.name} {word.argument}".strip()
    return ""


def _forged(context: Context, words: Sequence[Word]) -> str:
    """Find a table of names that anybody can give, with an answer that permits."""
    for word in words:
        if word.name.lower() not in _FORGEABLE:
            continue
        for kind, name in tables_in((word.argument,)):
            for entry in context.probe.entries(kind, name, aliases=False):
                if entry.value.split(maxsplit=1)[0].rstrip(",").lower() in _PERMITS:
                    return f"{word.name} {word.argument} answers {entry.value} for {entry.key} (line {entry.line})"
    return ""
