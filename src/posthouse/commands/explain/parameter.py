"""posthouse explain parameter: the value in force, where it comes from, what it may be, who reads and overrides it."""

import importlib
from collections.abc import Iterator
from typing import ClassVar, Final

from posthouse.commands.explain.explainer import EXPLAINERS, Explainer
from posthouse.commands.explain.model import Place, Report, Section, Step
from posthouse.commands.explain.situation import DEFAULT, Situation, UnknownNameError
from posthouse.commands.orders.programs import PROGRAMS, is_built
from posthouse.commands.registry import registry
from posthouse.config import catalog, derived
from posthouse.config.describe import Description, Support, describe
from posthouse.config.registry import Registry
from posthouse.config.settings import Settings
from posthouse.config.usage import references
from posthouse.util.errors import ConfigError

HOST: Final = "computed from this host"
OWN_NAME: Final = "no parameter: a name of main.cf's own, for $name"
MAX_USERS: Final = 20  # parameters with $name in them that are listed


class ParameterExplainer(Explainer):
    """One parameter."""

    subject: ClassVar[str] = "parameter"
    name: ClassVar[str] = "parameter"

    async def explain(self, situation: Situation, report: Report) -> None:
        """Put together what is known."""
        name = situation.words["argument"][-1]
        settings = situation.configuration.settings("posthouse")
        built = registry()
        known = describe(name, built)
        if known is None and not settings.is_set(name):
            near = catalog.did_you_mean(name, settings.explicit)
            raise UnknownNameError(f"{name}: no such parameter" + (f"; did you mean {near}?" if near else ""))
        section = Section(self.name, f"parameter {name}")
        report.sections.append(section)
        section.steps += _value(situation, settings, name, built)
        section.steps += _described(known) if known else [Step("fact", "meaning", result=OWN_NAME)]
        section.steps += _readers(name, known)
        section.steps += _overrides(situation, name)
        users = _users(settings, name)
        if users:
            section.steps.append(Step("fact", f"${name} is in", result=", ".join(users)))
        report.decision = section.result = f"{name} = {section.steps[0].result}"


def _value(situation: Situation, settings: Settings, name: str, built: Registry) -> Iterator[Step]:
    """Tell the value in force, how it is written, where, and whether it is legal."""
    raw = settings.raw(name) or ""
    try:
        value = settings.text(name)
    except ConfigError as error:
        value, problem = raw, error.why
    else:
        problem = _problem(settings, name, built)
    place = situation.place(settings, name)
    source = "" if place else HOST if name in derived.NAMES else DEFAULT
    yield Step("value", "value", result=value, text=problem and f"not legal: {problem}", place=place)
    if raw != value:
        yield Step("fact", "written", result=raw)
    if source:
        yield Step("fact", "set", result=f"nowhere: {source}")
    main = situation.configuration.main
    for earlier, later in main.overridden():
        if earlier.name == name:
            text = f"line {later.line} holds"
            yield Step("fact", "set before", result=earlier.value, text=text, place=Place(main.path, earlier.line))


def _problem(settings: Settings, name: str, built: Registry) -> str:
    """Say why the typed value cannot be had; "": it can."""
    row = built.find(name)
    if row is None:
        return ""
    try:
        settings[row]
    except ConfigError as error:
        return error.why
    return ""


def _described(known: Description) -> Iterator[Step]:
    """Tell what the catalogue and the row of code say."""
    support = f"{known.support}: {known.reason}" if known.reason else str(known.support)
    facts = {
        "meaning": known.doc,
        "default": known.default,
        "class": known.kind,
        "choices": ", ".join(known.choices),
        "range": known.range,
        "unit": known.unit,
        "family": known.family,
        "area": known.area,
        "support": support,
        "set instead": known.replacement,
        "since": known.since if known.since == "posthouse" else f"Postfix {known.since}" if known.since else "",
    }
    return (Step("fact", name, result=text) for name, text in facts.items() if text or name == "default")


def _readers(name: str, known: Description | None) -> Iterator[Step]:
    """Name the daemons whose declaration has the parameter."""
    readers = []
    for program, entry in PROGRAMS.items():
        if is_built(entry.package):
            daemon = importlib.import_module(f"posthouse.daemons.{entry.package}.daemon").DAEMON
            if any(row.name == name for row in daemon.parameters):
                readers.append(program)
    if readers:
        yield Step("fact", "read by", result=", ".join(readers))
    elif known is not None and known.support is Support.USED:
        yield Step("fact", "read by", result="commands, or what all daemons share")


def _overrides(situation: Situation, name: str) -> Iterator[Step]:
    """Name the services of master.cf that have a value of their own."""
    for service in situation.configuration.master.effective():
        for overridden, value in service.overrides:
            if overridden == name:
                named = f"{service.name}/{service.type}"
                yield Step("override", "overridden by", named, value, place=situation.place_of(service))


def _users(settings: Settings, name: str) -> list[str]:
    """Name the parameters whose value refers to this one."""
    names = dict.fromkeys((*settings.explicit, *catalog.entries()))
    users = [each for each in names if each != name and name in references(settings.raw(each) or "")]
    return [*users[:MAX_USERS], *(["..."] if len(users) > MAX_USERS else [])]


EXPLAINERS.add(ParameterExplainer())
