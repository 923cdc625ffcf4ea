"""What is known about a parameter, put together for people: documents, explanations, hints of the checks.

manual.tsv has what no program needs: the area, Postfix's programs that read the parameter, why a setting has no effect
here, and one line of documentation. A parameter that is built has a row of code, and its documentation is there; the
file then says nothing. It is read when somebody asks, never by a daemon. Default, class and limits come from the row,
or from catalog.tsv where there is none.
Sources of the file: postconf(5) of Postfix 3.12, in our own words.
"""

from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple

from posthouse.config import catalog, deprecated
from posthouse.config.parameter import MAX_INTEGER, MAX_SIZE, Enum, Integer, NameList, Parameter, String, Time
from posthouse.config.registry import Registry
from posthouse.config.rows import row_of

_FILE: Final = __file__.rpartition("/")[0] + "/manual.tsv"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_BYTES: Final = ("_size", "size_limit", "_size_per_user", "_length_limit", "windowsize")
_RATE: Final = "_data_rate"
_PERCENT: Final = ("_slot_discount", "qmgr_fudge_factor")
FROM_OUTSIDE: Final = catalog.READ_ONLY | {"config_directory"}  # used; their values do not come from main.cf


class Support(StrEnum):
    """What a setting of the parameter does in this release."""

    USED = "used"
    NO_EFFECT = "accepted without effect"
    MISSING = "not supported yet"


class Manual(NamedTuple):
    """One line of manual.tsv."""

    name: str
    area: str
    programs: str  # those of Postfix that read it, between blanks
    reason: str  # why it is accepted without effect; empty for all others
    doc: str  # empty where a row of code has it


class Description(NamedTuple):
    """All about one parameter; texts are empty where there is nothing to say."""

    name: str
    family: str  # "<transport>_recipient_limit" for a member
    default: str  # raw, as `postconf -d` shows it
    kind: str  # the class of the value
    choices: tuple[str, ...]
    range: str  # "1..", "0..100", "not empty"
    unit: str  # "seconds" of a time without a letter; "bytes"
    since: str  # the release of Postfix; "posthouse" for our own
    area: str
    programs: tuple[str, ...]
    support: Support
    reason: str  # why it has no effect
    replacement: str  # the parameter to set in its place
    doc: str


@cache
def manual() -> MappingProxyType[str, Manual]:
    """Give all lines of manual.tsv by name; families by the name of the family."""
    with open(_FILE, encoding="ascii") as file:
        lines = [Manual._make(line.rstrip("\n").split("\t")) for line in file]
    return MappingProxyType({line.name: line for line in lines})


def reason_without_effect(name: str) -> str:
    """Tell why setting this has no effect here, and never needs to have; "" for all others."""
    entry = catalog.entries().get(name) or catalog.family_of(name)
    return "" if entry is None else manual()[entry.name].reason


def describe(name: str, registry: Registry) -> Description | None:
    """Put together what is known about a parameter or a member of a family; None when there is no such parameter."""
    entry = catalog.entries().get(name) or catalog.family_of(name)
    if entry is None:
        return None
    built = registry.find(name)
    row = built or row_of(name)
    assert row is not None, f"{name} is in the catalog and has no row"
    about = manual()[entry.name]
    is_member = entry.status == "family"
    return Description(
        name=name,
        family=entry.name if is_member else "",
        default=row.default,
        kind=entry.kind.partition(" (family)")[0],
        choices=row.choices if isinstance(row, Enum) else (),
        range=_range(row),
        unit=_unit(row, entry.kind),
        since=_since(entry.since),
        area=about.area,
        programs=tuple(about.programs.split()),
        support=_support(name, built, about),
        reason=about.reason,
        replacement=deprecated.REPLACEMENTS.get(name, ""),
        doc=built.doc if built is not None else about.doc,
    )


def _support(name: str, built: Parameter[object] | None, about: Manual) -> Support:
    if about.reason:
        return Support.NO_EFFECT
    return Support.USED if built is not None or name in FROM_OUTSIDE else Support.MISSING


def _since(text: str) -> str:
    """Name the release: "2.5"; what was there from the first public snapshot on is "1.0"."""
    return "1.0" if "<=" in text else text.removeprefix("src:")


def _range(row: Parameter[object]) -> str:
    """Show the limits: "1..", "0..100", "not empty"; "" when anything of the class is legal."""
    match row:
        case Integer():
            ends = (row.minimum, None if row.maximum in (MAX_INTEGER, MAX_SIZE) else row.maximum)
            unit = ""
        case Time():
            ends = (int(row.minimum_s), None if row.maximum_s is None else int(row.maximum_s))
            unit = " seconds" if any(ends) else ""
        case String(minimum_length=1, maximum_length=0) | NameList(minimum_items=1):
            return "not empty"
        case String() if row.minimum_length or row.maximum_length:
            ends, unit = (row.minimum_length, row.maximum_length or None), " characters"
        case _:
            return ""
    low, high = ends
    return f"{'' if low <= -MAX_INTEGER else low}..{'' if high is None else high}{unit}"


def _unit(row: Parameter[object], kind: str) -> str:
    """Name the unit of a bare number; "" for what is no number, or a number of things."""
    match row:
        case Time():
            return _UNITS[row.unit]
        case Integer() if "int64" in kind or row.name.endswith(_BYTES):
            return "bytes"
        case Integer() if row.name.endswith(_RATE):
            return "bytes per second"
        case Integer() if row.name.endswith(_PERCENT):
            return "percent"
        case Integer() if "reply code" in kind:
            return "SMTP reply code"
    return ""
