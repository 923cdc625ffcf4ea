"""Tables of patterns: what regexp: and pcre: have in common. The engines are in regexp.py and pcre.py.

Rules are tried in order; the first that matches gives its text, with $1 ... replaced. if ... endif blocks are kept as
jumps, so a block whose condition fails costs one test. Where there are many rules, a filter leaves out those that
cannot match (pattern_filter.py). Sources: regexp_table(5), pcre_table(5).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, Protocol

from posthouse.tables.file_table import FileTable, Origin
from posthouse.tables.pattern_filter import WORTH_IT, PatternFilter
from posthouse.tables.rules import Reporter, RuleError, inline_rules, is_keyword, result_of, rule_lines
from posthouse.tables.source import BLANKS, decode
from posthouse.util.errors import ConfigError

# $$, $1, ${1}, $(1); a name ($x and $1x are names) or a lone dollar sign is a mistake
_REFERENCE: Final = re.compile(r"\$(?:(\$)|([0-9A-Za-z_]+)|\{([0-9]+)\}|\(([0-9]+)\)|)", re.ASCII)
_GROUPS: Final = 6  # digits at most of a group's number


class Engine(Protocol):
    """One compiled pattern."""

    groups: int
    words: bytes | None  # the pattern for PatternFilter; None: it has to be tried with every text

    def test(self, text: bytes) -> bool:
        """Whether it matches. Raises TableError: the engine gives up."""

    def search(self, text: bytes) -> tuple[bytes | None, ...] | None:
        """Give what the groups matched ([0]: all of it), or None. Raises TableError."""


class Parsed(NamedTuple):
    """One pattern as written: /pattern/flags."""

    pattern: str
    flags: str
    rest: str  # what follows on the line


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition: [!]/pattern/, and for regexp also !/other pattern/."""

    engine: Engine
    negated: bool
    excluded: Engine | None = None

    def holds(self, text: bytes) -> bool:
        """Whether a rule or block with this condition applies."""
        if self.engine.test(text) is self.negated:
            return False
        return self.excluded is None or not self.excluded.test(text)


class Rule(NamedTuple):
    """A rule, or an if statement."""

    expression: Expression
    template: "tuple[str | int, ...] | None"  # None: an if statement
    jump: int  # the rule to go on with when an if statement does not hold
    text: str = ""  # the result, when nothing is to be replaced
    block: int = -1  # the if statement around it; -1: none


class PatternTable(FileTable, ABC):
    """Base of regexp and pcre tables."""

    is_fixed = False
    options: ClassVar[str]  # the letters that may follow a pattern
    where: str = ""  # "pcre map NAME, line N": of the rule that is read
    _filter: PatternFilter | None = None

    def _load(self, text: str) -> None:
        rules, blocks = list[Rule](), list[tuple[int, int]]()
        report = Reporter(self.origin)
        for number, line in rule_lines(text, report):
            self.where = f"{self.origin.type} map {self.origin.name}, line {number}"
            try:
                self._add(line, number, rules, blocks, report)
            except RuleError as error:
                report(f"{error}: skipping this rule")
            except ValueError as error:
                report(str(error))
        for number, place in reversed(blocks):
            report.at(number)
            report("IF has no matching ENDIF")
            rules[place] = rules[place]._replace(jump=len(rules))
        self._install(rules)

    def _install(self, rules: Sequence[Rule]) -> None:
        """Take the rules of a file, all at once."""
        patterns, always = dict[int, bytes](), list[int]()
        for place, rule in enumerate(rules):
            if rule.template is None:
                continue
            words = rule.expression.engine.words
            if words is None or rule.expression.negated:
                always.append(place)
            else:
                patterns[place] = words
        self._filter = PatternFilter(patterns, always) if len(patterns) >= WORTH_IT else None
        self._rules = rules

    def _add(self, line: str, number: int, rules: list[Rule], blocks: list[tuple[int, int]], report: Reporter) -> None:
        """Take one line. Raises RuleError, ValueError."""
        if is_keyword(line, "endif"):
            if line[5:].strip(BLANKS):
                report("ignoring extra text after ENDIF")
            if blocks:
                place = blocks.pop()[1]
                rules[place] = rules[place]._replace(jump=len(rules))
            else:
                report("ignoring ENDIF without matching IF")
        elif is_keyword(line, "if"):
            expression, rest = self._expression(line[2:])
            if rest:
                report(f'ignoring extra text after IF statement: "{rest}"')
                report("do not prepend whitespace to statements between IF and ENDIF")
            rules.append(Rule(expression, None, 0, block=blocks[-1][1] if blocks else -1))
            blocks.append((number, len(rules) - 1))
        elif line[:1].isalnum():
            report("ignoring unrecognized request")
        else:
            expression, rest = self._expression(line)
            if not rest:
                report("no replacement text: using empty string")
            rules.append(self._rule(expression, rest)._replace(block=blocks[-1][1] if blocks else -1))

    def _rule(self, expression: Expression, text: str) -> Rule:
        if self.flags.value_is_file:
            return Rule(expression, (), 0, result_of(text, self.flags, self.origin.base_dir))
        template = _template(text)
        numbers = [part for part in template if isinstance(part, int)]
        if not numbers:
            return Rule(expression, (), 0, "".join(str(part) for part in template))
        if not self.flags.substitution:
            raise RuleError("regular expression substitution is not allowed")
        if expression.negated:
            raise RuleError("$number found in negative match replacement text")
        if max(numbers) > expression.engine.groups:
            raise RuleError(f'out of range replacement index "{max(numbers)}"')
        return Rule(expression, template, 0)

    def _expression(self, text: str) -> tuple[Expression, str]:
        """Read the condition at the start of a line. Raises RuleError, ValueError."""
        negated, text = False, text.lstrip(BLANKS)
        while text.startswith("!"):
            negated, text = not negated, text[1:].lstrip(BLANKS)
        first = split_pattern(text, self.options)
        engine = self.compile(first.pattern, first.flags)
        rest, excluded = first.rest, None
        if rest.startswith("!") and "!" in self.options:
            second = split_pattern(rest[1:], self.options)
            excluded, rest = self.compile(second.pattern, second.flags), second.rest
        return Expression(engine, negated, excluded), rest.strip(BLANKS)

    @abstractmethod
    def compile(self, pattern: str, flags: str) -> Engine:
        """Compile one pattern. Raises ValueError, RuleError: it is wrong."""

    def _find(self, key: str) -> str | None:
        text = key.encode("utf-8", "surrogateescape")
        if self._filter is not None:
            return find_among(self._rules, self._filter.candidates(text), text)
        rules, at = self._rules, 0
        while at < len(rules):
            rule = rules[at]
            at += 1
            if not rule.expression.holds(text):
                if rule.template is None:
                    at = rule.jump
            elif rule.template is not None:
                return _result(rule, text) if rule.template else rule.text
        return None


def find_among(rules: Sequence[Rule], candidates: Iterable[int], text: bytes) -> str | None:
    """Give the result of the first of some rules that applies. Raises TableError.

    candidates: the places of all rules, but if statements, that may match; in order.
    """
    holds = {-1: True}  # of if statements, as far as anybody wanted to know
    for at in candidates:
        rule = rules[at]
        if _block_holds(rules, rule.block, text, holds) and rule.expression.holds(text):
            return _result(rule, text) if rule.template else rule.text
    return None


def _block_holds(rules: Sequence[Rule], block: int, text: bytes, holds: dict[int, bool]) -> bool:
    if block not in holds:
        rule = rules[block]
        holds[block] = _block_holds(rules, rule.block, text, holds) and rule.expression.holds(text)
    return holds[block]


def split_pattern(text: str, options: str) -> Parsed:
    """Read "/pattern/flags rest". Raises RuleError.

    options: the letters that may be flags, and "!" when another pattern may follow directly.
    """
    if not text:
        raise RuleError("no regexp")
    delimiter, end = text[0], 1
    while end < len(text) and text[end] != delimiter:
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise RuleError(f'no closing regexp delimiter "{delimiter}"')
    rest = text[end + 1 :]
    flags = 0
    while flags < len(rest) and rest[flags] not in BLANKS:
        if rest[flags] == "!" and "!" in options:
            break
        if rest[flags] not in options:
            raise RuleError(f'unknown regexp option "{rest[flags]}"')
        flags += 1
    return Parsed(text[1:end], rest[:flags], rest[flags:])


def _template(text: str) -> tuple[str | int, ...]:
    """Cut a result text at its references. Raises RuleError."""
    parts, at = list[str | int](), 0
    for found in _REFERENCE.finditer(text):
        parts.append(text[at : found.start()])
        at = found.end()
        number = found[2] or found[3] or found[4]
        if found[1]:
            parts.append("$")
        elif number is None or not number.isdigit():
            raise RuleError(f'non-numeric replacement index "{number or text[found.end() :][:20]}"')
        else:
            parts.append(_group(number))
    parts.append(text[at:])
    return tuple(part for part in parts if part != "")


def _group(digits: str) -> int:
    """Read the number of a group. Raises RuleError."""
    number = digits.lstrip("0")
    if not 0 < len(number) <= _GROUPS:
        raise RuleError(f'out of range replacement index "{number[:20] or "0"}"')
    return int(number)


def _result(rule: Rule, text: bytes) -> str | None:
    groups = rule.expression.engine.search(text)
    assert groups is not None, "a rule that applied does not match"
    assert rule.template is not None, "an if statement has no result"
    parts = (part if isinstance(part, str) else decode(groups[part] or b"") for part in rule.template)
    return "".join(parts)


def inline_text(origin: Origin) -> str | None:
    """Give the rules that stand in the table's name, or None. Raises ConfigError."""
    try:
        return inline_rules(origin.name, origin.type)
    except ValueError as error:
        raise ConfigError(str(error)) from None
