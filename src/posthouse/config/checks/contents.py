"""Checks of what is in tables: lines with mistakes, aliases that lead back to themselves."""

from collections.abc import Iterator, Mapping
from typing import Final

from posthouse.config.check_restrictions import tables_of
from posthouse.config.check_tables import tables_in
from posthouse.config.checks.context import Context
from posthouse.config.findings import WARNING, Finding, Kind, Place
from posthouse.config.parameter import Patterns, Restrictions
from posthouse.config.rows import row_of

BAD_LINE = Kind(
    "bad-table-line",
    WARNING,
    "A line of a table is wrong: no value, a pattern that cannot be compiled, a network with host bits.",
    "the line has no effect",
    "correct the line",
)
LOOP = Kind(
    "alias-loop",
    WARNING,
    "Aliases lead in a circle: each names only the next one, and the last one the first.",
    "mail to them reaches nobody",
    "let one of them name a mailbox",
)
ROOT = Kind(
    "root-without-alias",
    WARNING,
    "Aliases are there, but none for root, into whose mailbox no delivery has the right to write.",
    "mail to root waits, and is returned after maximal_queue_lifetime",
    'add "root: NAME" with the name of a person, and run newaliases',
)
ALIAS_PARAMETERS: Final = frozenset({"alias_maps", "alias_database"})
MAX_SHOWN: Final = 20  # of one table; that many are one mistake, and the first ones show it
_LOOPING: Final = ("virtual_alias_maps", "alias_maps")


def check_lines(context: Context) -> Iterator[Finding]:
    """Ask the readers of all tables what they would complain about."""
    seen: set[tuple[str, str]] = set()
    for name, value in _values(context):
        for kind, table in tables_in(value):
            if (kind, table) in seen:
                continue
            seen.add((kind, table))
            shown = table if table.startswith("/") else ""
            problems = list(context.probe.problems(kind, table, aliases=name in ALIAS_PARAMETERS))
            if len(problems) > MAX_SHOWN:
                more = len(problems) - MAX_SHOWN
                yield BAD_LINE.at(Place(shown or context.main_path), f"{kind}:{table}: {more} more lines are wrong")
            for line, why in problems[:MAX_SHOWN]:
                place = Place(shown, line) if shown else context.place(name)
                yield BAD_LINE.at(place, _without_log_words(why))


def _without_log_words(text: str) -> str:
    return text.removesuffix(" -- ignoring this line").removesuffix(": skipping this rule")


def _values(context: Context) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the names of all list parameters that are set, with the tables that their values name."""
    for service, settings in context.readers():
        own = [name for name, _ in service.overrides] if service else list(context.configuration.main.values)
        if service is None:
            own.append("alias_maps")
        classes = context.items("smtpd_restriction_classes", settings)
        for name in dict.fromkeys(own):
            row = context.registry.find(name) or row_of(name)
            if isinstance(row, Restrictions) or name in classes:
                yield name, tables_of(context.items(name, settings))
            elif isinstance(row, Patterns):
                yield name, tuple(item.lstrip("!") for item in context.items(name, settings))


def check_loops(context: Context) -> Iterator[Finding]:
    """Look for circles in aliases. One that names itself is none: that is how a user keeps a copy."""
    for name in _LOOPING:
        aliases = name in ALIAS_PARAMETERS
        own = f"@{context.text('myorigin').lower()}"
        targets: dict[str, str] = {}
        places: dict[str, tuple[str, Place]] = {}
        for kind, table in tables_in(context.items(name)):
            for entry in context.probe.entries(kind, table, aliases=aliases):
                key = entry.key.lower().removesuffix(own)
                if key not in targets:
                    targets[key] = entry.value.strip().lower().removesuffix(own)
                    where = Place(table, entry.line) if table.startswith("/") else context.place(name)
                    places[key] = entry.key, where
        for circle in _circles(targets):
            shown = [places[key][0] for key in (*circle, circle[0])]
            yield LOOP.at(places[circle[0]][1], f"{name}: {' -> '.join(shown)}")


def check_root(context: Context) -> Iterator[Finding]:
    """Look for an alias of root, in tables that main.cf names; what cannot be read is not held against it."""
    if not context.is_set("alias_maps") or not context.items("mydestination"):
        return
    keys: set[str] = set()
    for kind, table in tables_in(context.items("alias_maps")):
        found = {entry.key.lower() for entry in context.probe.entries(kind, table, aliases=True)}
        if not found or "root" in found:  # a large table is read in part, others not at all
            return
        keys |= found
    if keys:
        yield ROOT.at(context.place("alias_maps"), "alias_maps: no alias for root")


def _circles(targets: Mapping[str, str]) -> Iterator[list[str]]:
    """Find the circles of more than one step."""
    done: set[str] = set()
    for start in targets:
        path: dict[str, None] = {}
        at = start
        while at in targets and at not in done and at not in path:
            path[at] = None
            at = targets[at]
        if at in path:
            circle = list(path)[list(path).index(at) :]
            if len(circle) > 1:
                yield circle
        done |= path.keys()
