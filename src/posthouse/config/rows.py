"""A parameter row for any name of the catalog, made from its class there: for values of what is not built yet."""

import re
from typing import Final

from posthouse.config import catalog
from posthouse.config.level import CompatLevel
from posthouse.config.parameter import (
    MAX_INTEGER,
    Boolean,
    ConfigValueError,
    Enum,
    Integer,
    NameList,
    Parameter,
    Patterns,
    Raw,
    Restrictions,
    Size,
    String,
    Tables,
    Time,
)

_CHOICE: Final = re.compile(r"[A-Za-z0-9_-]+|\(empty\)", re.ASCII)
_LISTS: Final = {
    "list": NameList,
    "macro-name-list": NameList,
    "match-list": Patterns,
    "milter-list": NameList,  # inet:host:port looks like a table, and is none
    "restriction-list": Restrictions,
    "table-list": Tables,
}
_LOOSE_TABLES: Final = frozenset({"proxy_read_maps", "proxy_write_maps"})  # they name other parameters' values


class _Level(String):
    """compatibility_level: bad syntax is fatal, so it is found here."""

    def parse(self, text: str) -> str:
        """Check the syntax."""
        try:
            return str(CompatLevel.parse(text))
        except ValueError as error:
            raise ConfigValueError(f"{error}; write for example 3.11") from None


def row_of(name: str) -> Parameter[object] | None:
    """Make the row of a parameter; None when the name is not in the catalog."""
    entry = catalog.entries().get(name)
    if entry is None:
        family = catalog.family_of(name)
        return None if family is None else _row(name, family)
    return _row(name, entry)


def _row(name: str, entry: catalog.Entry) -> Parameter[object]:
    kind = re.split(r"[ :]", entry.kind, maxsplit=1)[0]
    low, high = _limits(entry.limits)
    if name == "compatibility_level":
        return _Level(name, entry.default, doc="")
    if "raw" in entry.kind:
        return Raw(name, entry.default, doc="")
    if kind in ("int", "int64"):
        wide = Size if kind == "int64" else Integer
        return wide(name, entry.default, doc="", minimum=low, **({} if high is None else {"maximum": high}))
    if kind == "time":
        return Time(name, entry.default, doc="", unit=_unit(name), minimum_s=low, maximum_s=high)
    if kind == "bool":
        return Boolean(name, entry.default, doc="")
    if kind == "enum":
        return _enum(name, entry)
    if kind in _LISTS and name not in _LOOSE_TABLES:
        return _LISTS[kind](name, entry.default, doc="", minimum_items=0)
    return String(name, entry.default, doc="", minimum_length=low if low < MAX_INTEGER else 0)


def _limits(text: str) -> tuple[int, int | None]:
    low, _, high = text.partition("..")
    return int(low or "0"), int(high) if high else None


def _unit(name: str) -> str:
    """Give the unit of a bare number of the families' members; "" leaves it to the default."""
    return "s" if catalog.family_of(name) is not None else ""


def _enum(name: str, entry: catalog.Entry) -> Parameter[object]:
    words = entry.kind.partition(": ")[2].split("|")
    if len(words) < 2 or not all(_CHOICE.fullmatch(word) for word in words):
        return String(name, entry.default, doc="")  # described in words there
    choices = ["" if word == "(empty)" else word for word in words]
    inherited = "" if "$" in entry.default else entry.default  # $smtp_x may be empty where smtp_x may
    if inherited not in choices:
        choices.append(inherited)
    return Enum(name, entry.default, doc="", choices=tuple(choices))


def check_setting(name: str, value: str) -> None:
    """Check one value (references already expanded) of any parameter. Raises ConfigValueError.

    A name that is no parameter is a macro of the user's, and may have any value.
    """
    row = row_of(name)
    if row is not None and not (row.expanded and "$" in value):
        row.parse(value)
