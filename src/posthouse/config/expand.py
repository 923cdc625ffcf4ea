"""The macro language of main.cf values: $name, ${name?{x}:{y}}, comparisons and function calls.

Knows the syntax only. What a name stands for is asked of `lookup`, which gives the *raw* text of a parameter;
with `recurse` that text is expanded in turn. A test such as ${name?x} looks at the raw text, as Postfix does:
a parameter that refers to an empty one counts as set.
Invariant: no text makes it raise anything but ExpansionLoopError (tests/unit/config/test_expand.py).
Sources: postconf(5); facts B01.02.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from posthouse.config.level import LEVEL_OPERATORS
from posthouse.config.lists import WHITE

Lookup = Callable[[str], str | None]
Function = Callable[[str], str]
Operator = Callable[[str, str], bool]

MAX_DEPTH: Final = 100  # nested references; Postfix stops at the same depth
MAX_EFFORT: Final = 20_000_000  # characters read and written in one expansion: names that double each other end here
_REFERENCE_EFFORT: Final = 50  # one reference takes as long as so many characters
MAX_LABEL: Final = 63  # characters; what is longer is no domain name, and the encoding takes quadratic time
_CONTEXT: Final = 20  # characters shown after the place of a mistake

_NAME: Final = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)
_OPERATOR: Final = re.compile(r"[<>=!]+", re.ASCII)
_SUFFIX: Final = re.compile(r"[A-Za-z0-9]*", re.ASCII)
_BLANKS: Final = re.compile(r"[ \t\r\n\v\f]*", re.ASCII)
_BRACKETS: Final = {"{": re.compile(r"[{}]"), "(": re.compile(r"[()]")}
_OPERATORS_EXPECTED: Final = '"==" or "!="" or "<"" or "<="" or ">="" or ">" expected'


class ExpansionLoopError(ValueError):
    """Parameters refer to each other in a circle, are nested too deeply, or come to too much text."""


class Expansion(NamedTuple):
    """What came out. After a syntax error `text` is what was made before it."""

    text: str
    syntax_error: bool = False
    undefined: bool = False  # a name without a value was asked for
    problems: tuple[str, ...] = ()  # one line for each syntax error


def compare(operator: str, left: str, right: str) -> bool:
    """Compare as numbers when both sides are digits only, else as text."""
    a, b = left, right
    if _DIGITS.fullmatch(left) and _DIGITS.fullmatch(right):
        width = max(len(left), len(right))
        a, b = left.zfill(width), right.zfill(width)
    return {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]


def domain_to_ascii(domain: str) -> str:
    """Give the A-label form of a domain name (RFC 5891, without the registration checks)."""
    labels = []
    for label in domain.strip(WHITE).split("."):
        is_plain = label.isascii() or len(label) > MAX_LABEL
        ascii_form = label if is_plain else "xn--" + label.casefold().encode("punycode").decode("ascii")
        labels.append(ascii_form)
    return ".".join(labels)


FUNCTIONS: Final[Mapping[str, Function]] = {"domain_to_ascii": domain_to_ascii}


def expand(
    text: str,
    lookup: Lookup,
    functions: Mapping[str, Function] | None = None,
    operators: Mapping[str, Operator] | None = None,
    *,
    recurse: bool = False,
) -> Expansion:
    """Expand `text`. `operators` are further comparisons; a ValueError from one is a syntax error.

    Raises ExpansionLoopError: the text is nested too deeply or comes to too much; with `recurse`, also when names refer
    to each other in a circle.
    """
    if "$" not in text:
        return Expansion(text)
    run = _Run(lookup, functions or {}, operators or {}, recurse=recurse)
    run.parse(text)
    return Expansion("".join(run.out), run.error, run.undefined, tuple(run.problems))


def expand_value(text: str, lookup: Lookup) -> Expansion:
    """Expand a parameter value the way main.cf needs it: recursive, with level operators and functions."""
    return expand(text, lookup, FUNCTIONS, LEVEL_OPERATORS, recurse=True)


class _Choice(NamedTuple):
    """The alternatives after ? and : of one expression; None when there is none."""

    if_true: str | None = None
    if_false: str | None = None


class _Run:
    """One expansion: a small recursive-descent parser that evaluates while it reads."""

    def __init__(
        self,
        lookup: Lookup,
        functions: Mapping[str, Function],
        operators: Mapping[str, Operator],
        *,
        recurse: bool,
    ) -> None:
        self.lookup = lookup
        self.functions = functions
        self.operators = operators
        self.recurse = recurse
        self.out: list[str] = []
        self.problems: list[str] = []
        self.error = False
        self.undefined = False
        self.names: list[str] = []  # being expanded now, outermost first
        self.depth = 0
        self.effort = 0

    def spend(self, characters: int) -> None:
        """Count what is read and written. Raises ExpansionLoopError: it is too much."""
        self.effort += characters
        if self.effort > MAX_EFFORT:
            raise ExpansionLoopError("the value comes to too much text; take out some of its references")

    def parse(self, text: str) -> None:
        """Copy `text` to the output, with its references replaced."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpansionLoopError(f'unreasonable macro call nesting: "{text[:60]}"')
        self.spend(len(text))
        at = 0
        while not self.error and at < len(text):
            dollar = text.find("$", at)
            if dollar < 0:
                self.out.append(text[at:])
                break
            self.out.append(text[at:dollar])
            at = self._reference(text, dollar + 1)
        self.depth -= 1

    def _reference(self, text: str, at: int) -> int:
        """Handle what follows a dollar sign; return where the text goes on."""
        self.spend(_REFERENCE_EFFORT)
        following = text[at : at + 1]
        if following == "$":
            self.out.append("$")
            return at + 1
        if following in ("{", "("):
            end = self._closing(text, at, following)
            if end < 0:
                self._problem(f'truncated macro reference: "{text}"')
                return len(text)
            self._expression(text[at + 1 : end])
            return end + 1
        name = _NAME.match(text, at)
        if name is None:
            self._problem(f'empty macro name: "{text}"')
            return len(text)
        self._value(name.group())
        return name.end()

    def _expression(self, body: str) -> None:
        """Handle the inside of ${...}."""
        start = _skip_blanks(body, 0)
        if body.startswith("{", start):
            self._comparison(body, start)
            return
        name = _NAME.match(body, start)
        after = _skip_blanks(body, name.end()) if name else start
        if name is not None and after == len(body):
            self._value(name.group())
        elif name is not None and body[after] in "?:":
            choice = self._choice(body, after)
            self._choose(bool(self.lookup(name.group())), choice)  # a test alone does not make it undefined
        elif name is not None and body[after] == "{" and name.group() in self.functions:
            self._call(name.group(), body, after)
        else:
            self._problem_at("attribute name syntax error", body, 0, name.end() if name else start)

    def _value(self, name: str) -> None:
        """Put the value of a plain $name into the output."""
        value = self.lookup(name)
        if value is None:
            self.undefined = True
        elif not self.recurse or "$" not in value:
            self.spend(len(value))
            self.out.append(value)
        elif name in self.names:
            circle = " -> ".join([*self.names[self.names.index(name) :], name])
            raise ExpansionLoopError(f"the value refers to itself ({circle}); take one of these references out")
        else:
            self.names.append(name)
            self.parse(value)
            self.names.pop()

    def _call(self, name: str, body: str, at: int) -> None:
        """Handle ${function{text}}."""
        end = self._closing(body, at)
        if end < 0:
            self._problem_at('"}" expected', body, at, len(body))
        elif (rest := _skip_blanks(body, end + 1)) < len(body):
            self._problem_at("unexpected input", body, at + 1, rest)
        else:
            self.out.append(self.functions[name](self._inner(body[at + 1 : end].strip(WHITE))))

    def _inner(self, text: str) -> str:
        """Expand a part on its own and return it instead of putting it out."""
        outer, self.out = self.out, []
        self.parse(text)
        made, self.out = "".join(self.out), outer
        return made

    def _comparison(self, body: str, at: int) -> None:
        """Handle ${{a} == {b} ? {x} : {y}}."""
        end = self._closing(body, at)
        if end < 0:
            self._problem_at('"}" expected', body, at, len(body))
            return
        left, left_start = body[at + 1 : end], at + 1
        at = _skip_blanks(body, end + 1)
        operator = _OPERATOR.match(body, at)
        if operator is None or operator.group() not in ("==", "!=", "<", "<=", ">", ">="):
            # The message shows the text from the left operand on, without the blanks before the place.
            self._show(_OPERATORS_EXPECTED, body[left_start : end + 1], body[at:])
            return
        suffix = _SUFFIX.match(body, operator.end())
        word = operator.group() + (suffix.group() if suffix else "")
        if word != operator.group() and word not in self.operators:
            self._show("bad operator suffix", operator.group(), word[len(operator.group()) :])
            return
        at = _skip_blanks(body, at + len(word))
        end = self._closing(body, at) if body.startswith("{", at) else -1
        if end < 0:
            self._problem_at('"{" expected', body, at, at)
            return
        self._decide(word, left, body, at, end)

    def _decide(self, word: str, left: str, body: str, at: int, end: int) -> None:
        """Read what follows the right operand, compare, and put out the alternative that holds."""
        after = _skip_blanks(body, end + 1)
        choice = _Choice("true", "")
        if after < len(body):
            if body[after] not in "?:":
                self._show('"?" or ":" expected', body[at + 1 : end + 1], body[after:])
                return
            choice = self._choice(body, after)
        had_error, self.error = self.error, False
        holds = self._compare(word, self._inner(left), self._inner(body[at + 1 : end]))
        if self.error:
            return
        self._choose(holds, choice)
        self.error |= had_error

    def _compare(self, word: str, left: str, right: str) -> bool:
        """Compare two expanded operands; an operand the operator does not understand is a syntax error."""
        if word not in self.operators:
            return compare(word, left, right)
        try:
            return self.operators[word](left, right)
        except ValueError as error:
            self._problem(str(error))
            return False

    def _choice(self, body: str, at: int) -> _Choice:
        """Read `?x`, `:x`, `?{x}` or `?{x}:{y}` (y may go without braces) from `at` on."""
        first_is_true = body[at] == "?"
        alternative, start, rest = self._alternative(body, at + 1)
        choice = _Choice(alternative, None) if first_is_true else _Choice(None, alternative)
        if rest == len(body):
            return choice
        if not first_is_true:
            self._show("unexpected input", body[start:rest].rstrip(WHITE), body[rest:])
        elif body[rest] != ":":
            self._show('":" expected', body[start:rest].rstrip(WHITE), body[rest:])
        else:
            other, start, rest = self._alternative(body, rest + 1)
            if rest < len(body):
                self._show("unexpected input", body[start:rest].rstrip(WHITE), body[rest:])
            return _Choice(alternative, other)
        return choice

    def _alternative(self, body: str, at: int) -> tuple[str, int, int]:
        """Read one alternative: its text, where that begins, and where the rest of `body` begins.

        Without braces it reaches to the end: the form of Postfix 2.11 and before.
        """
        start = _skip_blanks(body, at)
        if body.startswith("{", start):
            end = self._closing(body, start)
            if end >= 0:
                return body[start + 1 : end], start + 1, _skip_blanks(body, end + 1)
        return body[at:], at, len(body)

    def _closing(self, text: str, at: int, opening: str = "{") -> int:
        """Find the bracket that closes the one at `at`; -1 when there is none."""
        level = 0
        for match in _BRACKETS[opening].finditer(text, at):
            level += 1 if match.group() == opening else -1
            if level == 0:
                self.spend(match.start() - at)
                return match.start()
        self.spend(len(text) - at)
        return -1

    def _choose(self, holds: bool, choice: _Choice) -> None:
        """Put out one alternative. A syntax error found while reading them does not stop this."""
        text = choice.if_true if holds else choice.if_false
        had_error, self.error = self.error, False
        if text:
            self.parse(text)
        self.error |= had_error

    def _problem(self, line: str) -> None:
        self.error = True
        self.problems.append(line)

    def _problem_at(self, what: str, body: str, start: int, at: int) -> None:
        self._show(what, body[start:at], body[at:])

    def _show(self, what: str, before: str, after: str) -> None:
        self._problem(f'{what} at: "...{before}>>>{after[:_CONTEXT]}"')


def _skip_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at
