"""Every parameter that Postfix knows, built here or not: name, default, class, limits (catalog.tsv).

With it `postconf -d` is complete, $name finds the default of any parameter, and a name that means nothing is told
apart from one that is not built yet. What is built says config/registry.py, not this file.
Defaults that the host decides (myhostname, mydomain, mynetworks) are empty here: config/derived.py computes them.
Sources: postconf(5) of Postfix 3.11 and 3.12; rows with status "posthouse" are our own.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, NamedTuple

_FILE: Final = __file__.rpartition("/")[0] + "/catalog.tsv"
READ_ONLY: Final = frozenset({"process_name", "process_id", "service_name"})


class Entry(NamedTuple):
    """One parameter, or a family (<transport>_x)."""

    name: str
    default: str
    kind: str  # the class of the value: "int", "time", "bool", "enum: a|b", "table-list" ...
    priority: str  # P0 every small server .. P3 exotic
    status: str  # documented, alias (old name), undocumented, instance (of a family), family, posthouse
    limits: str  # "minimum..maximum", either may be missing
    since: str

    @property
    def is_raw(self) -> bool:
        """Whether the value is not expanded when it is read: its daemon does that, with names of its own (B01.03)."""
        return "raw" in self.kind

    @property
    def is_shown(self) -> bool:
        """Whether `postconf` lists it when it is not set."""
        return self.status not in ("alias", "family") and not self.needs_service and self.name not in READ_ONLY

    @property
    def needs_service(self) -> bool:
        """Whether it exists only while master.cf has its service, as smtp_destination_recipient_limit does."""
        return self.status == "instance" and self.default.startswith("$")


@cache
def entries() -> Mapping[str, Entry]:
    """Give all parameters by name, families left out."""
    return {entry.name: entry for entry in _rows() if entry.status != "family"}


@cache
def families() -> Mapping[str, Entry]:
    """Give the families by the part of the name after the transport: "_recipient_limit" and so on."""
    return {entry.name.partition(">")[2]: entry for entry in _rows() if entry.status == "family"}


@cache
def _rows() -> tuple[Entry, ...]:
    with open(_FILE, encoding="ascii") as file:
        return tuple(Entry._make(line.rstrip("\n").split("\t")) for line in file)


def default_of(name: str) -> str | None:
    """Give the raw default of a parameter, also one of a family; None when there is no such parameter."""
    entry = entries().get(name)
    if entry is not None:
        return entry.default
    family = family_of(name)
    return None if family is None else family.default


def family_of(name: str) -> Entry | None:
    """Find the family of a name such as "uucp_destination_recipient_limit"; the longest suffix wins."""
    at = name.find("_", 1)
    while at > 0:
        family = families().get(name[at:])
        if family is not None:
            return family
        at = name.find("_", at + 1)
    return None


def is_known(name: str) -> bool:
    """Tell whether Postfix or Posthouse defines this parameter."""
    return default_of(name) is not None


def did_you_mean(name: str, more: Iterable[str] = ()) -> str | None:
    """Find the parameter that an unknown name was probably meant to be."""
    import difflib  # noqa: PLC0415 (4 ms that only a mistake should cost)

    matches = difflib.get_close_matches(name, [*entries(), *more], n=1, cutoff=0.8)
    return matches[0] if matches else None
