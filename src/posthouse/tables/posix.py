r"""POSIX regular expressions (as glibc's regcomp(3) takes them) rewritten in RE2's syntax.

What POSIX leaves open goes as in glibc: \w \W \s \S \b \B \< \> \` \' mean what they mean there, an unmatched ")" is
itself. Differences that stay: \< and \> are both \b. Sources: regex(7), regexp_table(5); IEEE 1003.1 chapter 9.
"""

import re
from typing import Final, NamedTuple

_BOUND: Final = re.compile(r"\{([0-9]*)(,?)([0-9]*)\}", re.ASCII)
_CLASS: Final = re.compile(r"\[([:.=])(.+?)\1\]", re.DOTALL)
_SPECIAL: Final = frozenset(r"\.+*?()|[]{}^$-&~# ")
_ESCAPES: Final = {**{letter: "\\" + letter for letter in "wWsSbB"}, "<": r"\b", ">": r"\b", "`": r"\A", "'": r"\z"}
_BASIC_OPERATORS: Final = frozenset("(){}|+?")


class PatternError(ValueError):
    """The pattern cannot be used; the text is regerror(3)'s."""


class Translated(NamedTuple):
    """A pattern in RE2's syntax. `has_back_reference`: it needs an engine that goes back."""

    text: str
    has_back_reference: bool


class _Translator:
    """Copies one extended regular expression, piece by piece."""

    def __init__(self, pattern: str, end: str) -> None:
        self.pattern = pattern
        self.end = end  # what "$" becomes
        self.at = 0
        self.out: list[str] = []
        self.groups: list[int] = []  # where in `out` the open groups begin
        self.atom = -1  # where in `out` the last atom begins; -1: nothing that could be repeated
        self.repeated = False
        self.has_back_reference = False

    def run(self) -> Translated:
        while self.at < len(self.pattern):
            character = self.pattern[self.at]
            handler = _HANDLERS.get(character, _Translator.literal)
            handler(self)
        if self.groups:
            raise PatternError("Unmatched ( or \\(")
        return Translated("".join(self.out), self.has_back_reference)

    def put(self, text: str, length: int = 1) -> None:
        """Add an atom that took `length` characters of the pattern."""
        self.atom, self.repeated = len(self.out), False
        self.out.append(text)
        self.at += length

    def literal(self) -> None:
        self.put(_quote(self.pattern[self.at]))

    def any_character(self) -> None:
        self.put(".")

    def anchor(self) -> None:
        character = self.pattern[self.at]
        self.put(self.end if character == "$" else character)
        self.atom = -1

    def escape(self) -> None:
        character = self.pattern[self.at + 1 : self.at + 2]
        if not character:
            raise PatternError("Trailing backslash")
        if character in "123456789":
            self.has_back_reference = True
            self.put("\\" + character, 2)
        else:
            self.put(_ESCAPES.get(character) or _quote(character), 2)

    def open_group(self) -> None:
        self.put("(")
        self.groups.append(self.atom)
        self.atom = -1

    def close_group(self) -> None:
        if not self.groups:
            self.literal()
            return
        start = self.groups.pop()
        self.put(")")
        self.atom = start

    def repeat(self) -> None:
        character = self.pattern[self.at]
        if self.atom < 0:
            raise PatternError("Invalid preceding regular expression")
        text, length = character, 1
        if character == "{":
            text, length = self._bound()
        if self.repeated:  # RE2 would read the second operator as "as little as possible"
            self.out.insert(self.atom, "(?:")
            self.out.append(")")
        self.out.append(text)
        self.repeated = True
        self.at += length

    def _bound(self) -> tuple[str, int]:
        found = _BOUND.match(self.pattern, self.at)
        if found is None or not (found[1] or found[2]):
            raise PatternError("Invalid content of \\{\\}" if "}" in self.pattern[self.at :] else "Unmatched { or \\{")
        least, comma, most = found.groups()
        if least and most and int(least) > int(most):
            raise PatternError("Invalid content of \\{\\}")
        return f"{{{least or 0}{comma}{most}}}", found.end() - self.at

    def bracket(self) -> None:
        out, at = ["["], self.at + 1
        if self.pattern.startswith("^", at):
            out.append("^")
            at += 1
        first = at
        while True:
            if at >= len(self.pattern):
                raise PatternError("Unmatched [, [^, [:, [., or [=")
            character = self.pattern[at]
            named = _CLASS.match(self.pattern, at)
            if character == "]" and at > first:
                break
            if named is not None:
                out.append(named[0] if named[1] == ":" else _quote_in_class(named[2]))
                at = named.end()
            else:
                out.append(character if character == "-" else _quote_in_class(character))
                at += 1
        self.put("".join(out) + "]", at + 1 - self.at)


_HANDLERS: Final = {
    "\\": _Translator.escape,
    "(": _Translator.open_group,
    ")": _Translator.close_group,
    "[": _Translator.bracket,
    ".": _Translator.any_character,
    **dict.fromkeys("|^$", _Translator.anchor),
    **dict.fromkeys("*+?{", _Translator.repeat),
}


def translate(pattern: str, *, extended: bool = True, multi_line: bool = False) -> Translated:
    """Rewrite a pattern. multi_line: "$" also holds before a newline. Raises PatternError."""
    end = "$" if multi_line else r"\z"
    return _Translator(pattern if extended else _extended(pattern), end).run()


def _extended(basic: str) -> str:
    """Turn a basic regular expression into an extended one: backslashes change sides."""
    out, at = list[str](), 0
    while at < len(basic):
        character, following = basic[at], basic[at + 1 : at + 2]
        at_start = not out or out[-1] in ("(", "|")
        if character == "\\" and following:
            out.append(following if following in _BASIC_OPERATORS else character + following)
            at += 2
            continue
        at_end = at + 1 == len(basic) or basic.startswith((r"\)", r"\|"), at + 1)
        is_text = (
            character in _BASIC_OPERATORS
            or (character == "*" and (at_start or out[-1] == "^"))
            or (character == "^" and not at_start)
            or (character == "$" and not at_end)
        )
        if character == "[":
            end = _bracket_end(basic, at)
            out.append(basic[at:end])
            at = end
            continue
        out.append("\\" + character if is_text else character)
        at += 1
    return "".join(out)


def _bracket_end(pattern: str, at: int) -> int:
    """Find where a bracket expression ends (one past it)."""
    at += 1
    at += pattern.startswith("^", at)
    at += pattern.startswith("]", at)
    while at < len(pattern) and pattern[at] != "]":
        named = _CLASS.match(pattern, at)
        at = named.end() if named else at + 1
    return min(at + 1, len(pattern))


def _quote(character: str) -> str:
    return "\\" + character if character in _SPECIAL else character


def _quote_in_class(text: str) -> str:
    return "".join("\\" + character if character in r"\[]^&~" else character for character in text)
