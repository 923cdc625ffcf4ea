"""The right-hand sides of header_checks(5) and body_checks(5) tables: "ACTION text".

Knows what an action needs; does nothing. What cannot be done is a mistake in the table: a warning, and the line passes
as with DUNNO. Sources: header_checks(5), facts/restrictions.tsv (check-action).
"""

import re
from enum import Enum
from typing import Final, NamedTuple

from posthouse.protocol.status import split_status, with_class

REJECTED: Final = "message content rejected"
_DESTINATION: Final = re.compile(r"[^\s:]+:\S*", re.ASCII)  # transport:nexthop
_HEADER: Final = re.compile(r"[!-9;-~]+[ \t]*:", re.ASCII)
_WORD: Final = re.compile(r"([^ \t]*)[ \t]*(.*)", re.DOTALL)


class Verb(Enum):
    """What to do. The value is the word in the log; the name is the word in the table."""

    BCC = "bcc"
    DISCARD = "discard"
    DUNNO = ""
    FILTER = "filter"
    HOLD = "hold"
    IGNORE = "ignore"
    INFO = "info"
    PASS = "pass"  # noqa: S105 - no password
    PREPEND = "prepend"
    REDIRECT = "redirect"
    REJECT = "reject"
    REPLACE = "replace"
    STRIP = "strip"
    WARN = "warning"


LAST: Final = frozenset({Verb.DISCARD, Verb.PASS, Verb.REDIRECT, Verb.REJECT})  # nothing is looked at after these
QUIET: Final = frozenset({Verb.DUNNO, Verb.IGNORE})  # not logged
EDITS: Final = frozenset({Verb.DUNNO, Verb.IGNORE, Verb.INFO, Verb.PREPEND, Verb.REPLACE, Verb.STRIP, Verb.WARN})
EVERYTHING: Final = frozenset(Verb)


class Place(Enum):
    """What a line is. The value is the word in the log."""

    HEADER = "header"
    BODY = "body"


class Action(NamedTuple):
    """What to do with a line.

    text: what the table says behind the word; of a REJECT always "5.7.1 text". doubt: for the log, when the table's
    text had to be mended.
    """

    verb: Verb
    text: str = ""
    doubt: str = ""


DUNNO: Final = Action(Verb.DUNNO)


class ActionError(ValueError):
    """The table says what cannot be done. str(): for the log, with the name of the table's parameter in it."""


def parse_action(value: str, place: Place, table: str, allowed: frozenset[Verb] = EVERYTHING) -> Action:
    """Read what a table gave. table: the parameter that names it; allowed: what its reader can do.

    Raises ActionError: an unknown action, or one that its text does not fit.
    """
    match = _WORD.match(value)
    assert match is not None, "it matches everything"
    word, text = match[1].upper(), match[2]
    if word == "OK":
        return DUNNO
    if word not in Verb.__members__:
        raise ActionError(f"unknown command in {table} map: {value}")
    verb = Verb[word]
    if verb not in allowed:
        raise ActionError(f"unsupported command in {table} map: {value}")
    _check_text(verb, text, place, table)
    return _rejection(text, table) if verb is Verb.REJECT else Action(verb, text)


def _check_text(verb: Verb, text: str, place: Place, table: str) -> None:
    name = verb.name
    match verb:
        case Verb.PREPEND | Verb.REPLACE if not text:
            raise ActionError(f"{name} action without text in {table} map")
        case Verb.PREPEND | Verb.REPLACE if place is Place.HEADER and _HEADER.match(text) is None:
            raise ActionError(f'bad {name} header text "{text}" in {table} map, need "headername: headervalue"')
        case Verb.REDIRECT | Verb.BCC if "@" not in text.strip("@"):
            raise ActionError(f'bad {name} address "{text}" in {table} map, need user@domain')
        case Verb.FILTER if not text:
            raise ActionError(f"missing FILTER destination in {table} map")
        case Verb.FILTER if _DESTINATION.fullmatch(text) is None:
            raise ActionError(f'bad FILTER destination "{text}" in {table} map, need transport:nexthop')
        case _:
            return


def _rejection(text: str, table: str) -> Action:
    """Read the text of a REJECT. With the status of a success the client is to try again: the table must be mended."""
    status, words = split_status(text, "5.7.1")
    doubt = ""
    if status[0] == "2":
        doubt = f'bad REJECT text "{text}" in {table} map, need 4.x.x or 5.x.x'
        status = with_class(status, "4")
    return Action(Verb.REJECT, f"{status} {words or REJECTED}", doubt)
