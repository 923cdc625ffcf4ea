"""What is built: the parameters that some daemon or command reads, the programs, the table types.

config knows no daemon; the commands layer fills this (commands/registry.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from posthouse.config import catalog, parameters
from posthouse.config.parameter import Family, Parameter


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that works in this release."""

    parameters: Mapping[str, Parameter[object]] = field(default_factory=dict)
    families: tuple[Family[object], ...] = ()
    programs: frozenset[str] = frozenset()
    table_types: frozenset[str] = frozenset()
    restrictions: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        rows: Iterable[Parameter[object]],
        programs: Iterable[str] = (),
        table_types: Iterable[str] = (),
        restrictions: Iterable[str] = (),
    ) -> "Registry":
        """Make a registry of daemons' rows; the rows of config itself are always in it."""
        known = {row.name: row for row in (*parameters.PARAMETERS, *rows)}
        words = frozenset(restrictions)
        return cls(known, parameters.FAMILIES, frozenset(programs), frozenset(table_types), words)

    def find(self, name: str) -> Parameter[object] | None:
        """Find the row of a parameter, also one of a family such as uucp_destination_recipient_limit."""
        row = self.parameters.get(name)
        if row is not None:
            return row
        entry = catalog.entries().get(name)
        if entry is not None and entry.status != "instance":
            return None  # extract_recipient_limit is no limit of a transport "extract"
        ends = [(family, family.template.name) for family in self.families]
        fitting = [family for family, end in ends if name.endswith(end) and name != end]
        if not fitting:
            return None
        family = max(fitting, key=lambda fit: len(fit.template.name))
        return family.of(name.removesuffix(family.template.name))
