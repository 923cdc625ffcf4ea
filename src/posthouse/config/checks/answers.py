"""Checks of the answers in access tables: what is no action, no restriction and no class is answered with 451."""

import re
from collections.abc import Iterator
from typing import Final

from posthouse.config.check_restrictions import KNOWN, words_of
from posthouse.config.check_tables import tables_in
from posthouse.config.checks.context import Context, Entry
from posthouse.config.findings import WARNING, Finding, Kind, Place

BAD_ANSWER = Kind(
    "bad-access-answer",
    WARNING,
    "An access table answers with a word that is no action, no restriction, and no class that is defined.",
    "who it is about is answered with 451",
)
# access(5); what follows on the line is theirs.
_ACTIONS: Final = frozenset(
    {
        "bcc", "defer", "defer_if_permit", "defer_if_reject", "discard", "dunno", "filter", "hold", "info", "ok",
        "permit", "prepend", "redirect", "reject", "warn", "relay",
    }
)  # fmt: skip
_CODE: Final = re.compile(r"[0-9]+")
_LISTS: Final = (
    "smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions",
)  # fmt: skip
_MAX_SHOWN: Final = 10  # of one table: more are more of the same


def check_answers(context: Context) -> Iterator[Finding]:
    """Look at the answers of every access table that a list names."""
    seen: set[tuple[str, str]] = set()
    for _, settings in context.readers("smtpd"):
        classes = context.items("smtpd_restriction_classes", settings)
        allowed = KNOWN | _ACTIONS | {name.lower() for name in classes}
        for name in (*_LISTS, *classes):
            for word in words_of(context.items(name, settings)):
                if not word.name.lower().endswith("_access"):
                    continue
                for kind, table in tables_in((word.argument,)):
                    if (kind, table) not in seen:
                        seen.add((kind, table))
                        place = context.place(name, settings)
                        yield from _check_table(context, place, kind, table, allowed)


def _check_table(context: Context, place: Place, kind: str, table: str, allowed: frozenset[str]) -> Iterator[Finding]:
    shown = 0
    for entry in context.probe.entries(kind, table, aliases=False):
        if shown < _MAX_SHOWN and not _is_answer(entry, allowed):
            shown += 1
            where = Place(table, entry.line) if table.startswith("/") else place
            fix = "write an action of access(5), a restriction, or a class, and name that in smtpd_restriction_classes"
            yield BAD_ANSWER.at(where, f'"{entry.value[:60]}" for {entry.key} is no answer', fix)


def _is_answer(entry: Entry, allowed: frozenset[str]) -> bool:
    first = re.split(r"[\s,]", entry.value, maxsplit=1)[0]
    return bool(_CODE.fullmatch(first)) or first.lower() in allowed or first.startswith("{")
