"""Checks of the answers in tables that decide: access tables, and header and body checks.

What is no action, no restriction and no class is answered with 451 in access tables, and does nothing in checks.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
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
BAD_CHECK = Kind(
    "bad-check-action",
    WARNING,
    "A table of header or body checks has a result that is no action there.",
    "what it matches passes, with a warning in the log",
)
# access(5); what follows on the line is theirs.
_ACTIONS: Final = frozenset(
    {
        "bcc", "defer", "defer_if_permit", "defer_if_reject", "discard", "dunno", "filter", "hold", "info", "ok",
        "permit", "prepend", "redirect", "reject", "warn", "relay",
    }
)  # fmt: skip
# header_checks(5); smtp(8) knows those that change a line.
_CHANGES: Final = frozenset({"dunno", "ignore", "info", "ok", "prepend", "replace", "strip", "warn"})
_CHECKS: Final = _CHANGES | {"bcc", "discard", "filter", "hold", "pass", "redirect", "reject"}
_CHECK_LISTS: Final = ("header_checks", "mime_header_checks", "nested_header_checks", "body_checks")
_CHECKERS: Final = (("", "cleanup", _CHECKS), ("smtp_", "smtp", _CHANGES), ("lmtp_", "lmtp", _CHANGES))
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


def check_content_answers(context: Context) -> Iterator[Finding]:
    """Look at the results of every table that header_checks and its kin name."""
    seen: set[tuple[str, str, frozenset[str]]] = set()
    for prefix, program, allowed in _CHECKERS:
        fix = f"write one of: {', '.join(sorted(allowed)).upper()}"
        for _, settings in context.readers(program):
            for name in (prefix + each for each in _CHECK_LISTS):
                for kind, table in tables_in(context.items(name, settings)):
                    if (kind, table, allowed) not in seen:
                        seen.add((kind, table, allowed))
                        place = context.place(name, settings)
                        for entry in _wrong(context, kind, table, partial(_is_in, allowed)):
                            what = f'"{entry.value[:60]}" for {entry.key[:60]} is no action of {name}'
                            yield BAD_CHECK.at(_place(place, table, entry), what, fix)


def _is_in(allowed: frozenset[str], first: str) -> bool:
    return first.lower() in allowed


def _check_table(context: Context, place: Place, kind: str, table: str, allowed: frozenset[str]) -> Iterator[Finding]:
    for entry in _wrong(context, kind, table, partial(_is_answer, allowed)):
        fix = "write an action of access(5), a restriction, or a class, and name that in smtpd_restriction_classes"
        what = f'"{entry.value[:60]}" for {entry.key[:60]} is no answer'
        yield BAD_ANSWER.at(_place(place, table, entry), what, fix)


def _place(place: Place, table: str, entry: Entry) -> Place:
    return Place(table, entry.line) if table.startswith("/") else place


def _wrong(context: Context, kind: str, table: str, is_right: Callable[[str], bool]) -> Iterator[Entry]:
    """Give entries whose first word is not right; one with a part of what matched ($1) can be any word."""
    entries = context.probe.entries(kind, table, aliases=False)
    words = ((entry, re.split(r"[\s,]", entry.value, maxsplit=1)[0]) for entry in entries)
    return islice((entry for entry, first in words if "$" not in first and not is_right(first)), _MAX_SHOWN)


def _is_answer(allowed: frozenset[str], first: str) -> bool:
    return bool(_CODE.fullmatch(first)) or first.lower() in allowed or first.startswith("{")
