"""Restriction lists: compiled once at start into rules, evaluated in order until one decides.

What Postfix has and we have not yet, and what nobody knows, both become a rule that answers 451 4.3.5 and logs, so that
a list never becomes laxer than it was written (facts B04.23). Sources: SMTPD_ACCESS_README, postconf(5).
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from posthouse.config.lists import ListSyntaxError, parse_items
from posthouse.config.parameter import Boolean, Restrictions
from posthouse.daemons.smtpd import parameters as p
from posthouse.daemons.smtpd.access import address, generic, tables
from posthouse.daemons.smtpd.access.check import (
    CLIENT,
    HELO,
    RECIPIENT,
    SENDER,
    Check,
    Rule,
    Verdict,
)
from posthouse.daemons.smtpd.access.environment import Environment, Named
from posthouse.daemons.smtpd.access.names import NOT_BUILT, NOT_BUILT_WITH_ARGUMENT
from posthouse.util import log

SIMPLE: Final[dict[str, Callable[[Environment], Rule]]] = {**generic.SIMPLE, **address.SIMPLE}

# Which relay guards a list must have one of (facts B04.24); the words count, not what they do.
RELAY_GUARDS: Final = frozenset(
    {
        "reject_unauth_destination",
        "defer_unauth_destination",
        "reject",
        "defer",
        "defer_if_permit",
        "check_relay_domains",
    }
)
_ARGUMENTS: Final = frozenset((*tables.KINDS, *NOT_BUILT_WITH_ARGUMENT, "sleep"))
# What "type:table" alone means in each list.
_DEFAULT_CHECK: Final = {CLIENT: CLIENT, HELO: HELO, SENDER: SENDER, RECIPIENT: RECIPIENT}
_SECONDS: Final = re.compile(r"[0-9]{1,6}", re.ASCII)


class RuleList:
    """A parameter's rules. False when it is empty."""

    def __init__(self, kind: str, rules: list[Rule], name: str = "") -> None:
        self.kind = kind
        self.name = name  # the parameter
        self.rules = rules

    def __bool__(self) -> bool:
        return bool(self.rules)

    async def evaluate(self, check: Check) -> Verdict:
        """Ask the rules in order; the first with an opinion decides."""
        check.about(self.kind)
        for rule in self.rules:
            verdict = await rule(check)
            if verdict is not None:
                return verdict
        return None


async def run_rules(rules: Sequence[Rule], check: Check) -> Verdict:
    """Evaluate rules inside of another list."""
    for rule in rules:
        verdict = await rule(check)
        if verdict is not None:
            return verdict
    return None


class Compiler:
    """Turns restriction lists into rules; reports what is not known or not built, once each."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._classes = {name.lower(): name for name in env.settings[p.SMTPD_RESTRICTION_CLASSES]}
        self._compiled_classes: dict[tuple[str, str], list[Rule]] = {}
        self._answers: dict[tuple[str, str], list[Rule] | None] = {}

    def compile(self, parameter: Restrictions, kind: str) -> RuleList:
        """Compile one parameter's list. Raises ConfigError for a table that cannot be opened."""
        rules = self._rules(self._env.settings[parameter], kind, parameter.name, in_table=False) or []
        return RuleList(kind, rules, parameter.name)

    def implied(self, parameter: Boolean, name: str, kind: str) -> RuleList:
        """Make the list of one restriction that a parameter of its own turns on."""
        named = Named(parameter.name, name)
        rules = (
            [self._watched(named, _unless_discarded(SIMPLE[name](self._env)))] if self._env.settings[parameter] else []
        )
        return RuleList(kind, rules, parameter.name)

    def _rules(self, items: Sequence[str], kind: str, where: str, *, in_table: bool) -> list[Rule] | None:
        """Compile items; None only for an access table's answer that is no list of known names."""
        rules: list[Rule] = []
        words = _words(items)
        position, warn = 0, False
        while position < len(words):
            word = words[position]
            name = word.lower()
            position += 1
            if name == "warn_if_reject":
                warn = True
                continue
            argument = ""
            if name in _ARGUMENTS and position < len(words):
                argument = words[position]
                position += 1
            rule = self._rule(name, word, argument, kind, where)
            if rule is None or (in_table and (":" in word or name in tables.KINDS)):
                log.warning(f'unknown smtpd restriction: "{word}" in {where}')
                if in_table:
                    return None
                rule = _broken
            named = Named(where, word, argument, warn)
            rules.append(self._watched(named, _warning_only(rule) if warn else rule))
            warn = False
        return rules

    def _watched(self, named: Named, rule: Rule) -> Rule:
        observer = self._env.observer
        return rule if observer is None else observer.watch(named, rule)

    def _rule(self, name: str, word: str, argument: str, kind: str, where: str) -> Rule | None:
        if name in SIMPLE:
            return SIMPLE[name](self._env)
        if name in self._classes:
            return self._class(name, kind)
        if name == "sleep":
            return generic.make_sleep(float(int(argument))) if _SECONDS.fullmatch(argument) else None
        if name in tables.KINDS:
            return self._access(argument, tables.KINDS[name]) if argument else None
        if name in NOT_BUILT or name in NOT_BUILT_WITH_ARGUMENT:
            self._env.not_built.add(name)
            return _broken
        if ":" in word and kind in _DEFAULT_CHECK:
            return self._access(word, _DEFAULT_CHECK[kind])
        return None

    def _access(self, spec: str, kind: str) -> Rule:
        def names(answer: str) -> list[Rule] | None:
            key = (answer, kind)
            if key not in self._answers:
                self._answers[key] = self._rules(_split(answer), kind, f"{spec} result", in_table=True)
            return self._answers[key]

        return tables.Access(self._env, spec, kind, names, run_rules).rule()

    def _class(self, name: str, kind: str) -> Rule:
        """Compile a restriction class when it is first named; one that names itself ends at the depth limit."""
        key = (name, kind)
        if key not in self._compiled_classes:
            rules = self._compiled_classes[key] = []
            parameter = self._classes[name]
            items = _split(self._env.settings.text(parameter))
            rules += self._rules(items, kind, parameter, in_table=False) or []
        rules = self._compiled_classes[key]

        async def restriction_class(check: Check) -> Verdict:
            if check.depth >= tables.MAX_DEPTH:
                log.warning(f"restriction class {name}: nested too deeply")
                return check.configuration_error()
            check.depth += 1
            try:
                return await run_rules(rules, check)
            finally:
                check.depth -= 1

        return restriction_class


async def _broken(check: Check) -> Verdict:
    return check.configuration_error()


def _warning_only(rule: Rule) -> Rule:
    async def warn_if_reject(check: Check) -> Verdict:
        outside, check.warn = check.warn, True
        try:
            return await rule(check)
        finally:
            check.warn = outside

    return warn_if_reject


def _unless_discarded(rule: Rule) -> Rule:
    def unless_discarded(check: Check) -> Awaitable[Verdict]:
        return address.no_opinion(check) if check.discards else rule(check)

    return unless_discarded


def _split(text: str) -> Sequence[str]:
    try:
        return parse_items(text)
    except ListSyntaxError:
        return (text,)


def _words(items: Sequence[str]) -> list[str]:
    """Take "{ name argument }" apart; a table in braces (inline:{...}) is one word already."""
    words: list[str] = []
    for item in items:
        if item.startswith("{") and item.endswith("}"):
            words += _split(item[1:-1])
        else:
            words.append(item)
    return words


def has_relay_guard(items: Sequence[str], classes: Callable[[str], Sequence[str] | None], depth: int = 0) -> bool:
    """Whether a list has a word that keeps strangers from relaying, maybe in a restriction class."""
    for word in _words(items):
        if word.lower() in RELAY_GUARDS:
            return True
        inner = classes(word) if depth < tables.MAX_DEPTH else None
        if inner is not None and has_relay_guard(inner, classes, depth + 1):
            return True
    return False
