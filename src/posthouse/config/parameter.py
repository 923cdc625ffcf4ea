"""Typed parameters: one row says name, default, meaning and limits; `parse` turns text into the value.

A row does not know where its text comes from: Settings expands $name first and calls `parse`.
The classes are written out, not dataclasses: every command pays for their import.
Bad text is never repaired: `parse` raises ConfigValueError, which says what would be right (facts B01.04).
"""

import re
from abc import ABC, abstractmethod
from copy import copy
from typing import ClassVar, Final, Generic, Self, TypeVar

from posthouse.config.lists import ListSyntaxError, parse_items, parse_words

T_co = TypeVar("T_co", covariant=True)

UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
MAX_INTEGER: Final = 2**31 - 1  # what Postfix's int holds; larger values would not carry over
MAX_SIZE: Final = 2**63 - 1  # its 64-bit sizes, e.g. message_size_limit

_NUMBER: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_TIME: Final = re.compile(r"([0-9]{1,19})([smhdw]?)", re.ASCII)
_TIME_DEFAULT: Final = re.compile(r"(?:^|[0-9}])([smhdw])$", re.ASCII)
_TABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*:", re.ASCII)


class ConfigValueError(ValueError):
    """A parameter's text is no legal value. The reason says what to write instead.

    parameter: whose value it is, when that is another one than was asked for.
    """

    def __init__(self, reason: str, parameter: str = "") -> None:
        super().__init__(reason)
        self.parameter = parameter


def parse_number(text: str) -> int:
    """Read a decimal number. Raises ConfigValueError: anything else, also blanks and '+'."""
    if _NUMBER.fullmatch(text) is None:
        raise ConfigValueError(f'"{text}" is not a whole number; write digits only, for example 100')
    return int(text)


def parse_time(text: str, default_unit: str = "s") -> int:
    """Read a time such as "5m" as seconds. Raises ConfigValueError: not a number with a unit of smhdw."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ConfigValueError(
            f'"{text}" is not a time; write a number and one of s (seconds), m, h, d (days), w, for example 5m'
        )
    seconds = int(match.group(1)) * UNIT_SECONDS[match.group(2) or default_unit]
    if seconds > MAX_INTEGER:
        raise ConfigValueError(f'"{text}" is more than {MAX_INTEGER} seconds; write a smaller time, for example 100w')
    return seconds


def parse_boolean(text: str) -> bool:
    """Read yes or no, in any case. Raises ConfigValueError."""
    folded = text.lower()
    if folded not in ("yes", "no"):
        raise ConfigValueError(f'"{text}" is neither "yes" nor "no"')
    return folded == "yes"


def check_range(value: float, minimum: float, maximum: float | None) -> None:
    """Raise ConfigValueError when `value` is outside."""
    if value < minimum:
        raise ConfigValueError(f"{value:g} is too small; the least is {minimum:g}")
    if maximum is not None and value > maximum:
        raise ConfigValueError(f"{value:.15g} is too large; the most is {maximum:.15g}")


class Parameter(ABC, Generic[T_co]):
    """One parameter of main.cf. `default` is raw text, as `postconf -d` shows it."""

    expanded: ClassVar[bool] = True  # $name is replaced at load; Raw says no (facts B01.03)

    def __init__(self, name: str, default: str, *, doc: str) -> None:
        self.name = name
        self.default = default
        self.doc = doc

    def __repr__(self) -> str:
        """Show class, name and default."""
        return f"{type(self).__name__}({self.name!r}, {self.default!r})"

    @abstractmethod
    def parse(self, text: str) -> T_co:
        """Turn expanded text into the value. Raises ConfigValueError."""

    def renamed(self, name: str, default: str | None = None) -> Self:
        """Give the same row under another name: lmtp_x for smtp_x, local_x for a transport family."""
        row = copy(self)
        row.name = name
        row.default = self.default if default is None else default
        return row


class String(Parameter[str]):
    """Text, with limits on its length (0: no upper limit)."""

    def __init__(self, name: str, default: str, *, doc: str, minimum_length: int = 0, maximum_length: int = 0) -> None:
        super().__init__(name, default, doc=doc)
        self.minimum_length = minimum_length
        self.maximum_length = maximum_length

    def parse(self, text: str) -> str:
        """Check the length."""
        if len(text) < self.minimum_length:
            why = "must not be empty" if not text else f"is shorter than {self.minimum_length} characters"
            raise ConfigValueError(f"the value {why}; set it, or take the line out to get the default")
        if self.maximum_length and len(text) > self.maximum_length:
            raise ConfigValueError(f"the value is longer than {self.maximum_length} characters; shorten it")
        return text


class Raw(String):
    """Text that is not expanded at load: the daemon expands it at use, with names of its own (facts B01.03)."""

    expanded: ClassVar[bool] = False


class Integer(Parameter[int]):
    """A whole number within limits."""

    def __init__(
        self, name: str, default: str, *, doc: str, minimum: int = 0, maximum: int | None = MAX_INTEGER
    ) -> None:
        super().__init__(name, default, doc=doc)
        self.minimum = minimum
        self.maximum = maximum

    def parse(self, text: str) -> int:
        """Read the number and check its range."""
        value = parse_number(text)
        check_range(value, self.minimum, self.maximum)
        return value


class Size(Integer):
    """A number of bytes: 64 bits."""

    def __init__(self, name: str, default: str, *, doc: str, minimum: int = 0, maximum: int = MAX_SIZE) -> None:
        super().__init__(name, default, doc=doc, minimum=minimum, maximum=maximum)


class Time(Parameter[float]):
    """A time in seconds. A bare number takes `unit`, or else the unit of the default."""

    def __init__(
        self,
        name: str,
        default: str,
        *,
        doc: str,
        unit: str = "",
        minimum_s: float = 0,
        maximum_s: float | None = None,
    ) -> None:
        super().__init__(name, default, doc=doc)
        self.unit = unit or unit_of_default(default)
        self.minimum_s = minimum_s
        self.maximum_s = maximum_s

    def parse(self, text: str) -> float:
        """Read number and unit and check the range."""
        value = float(parse_time(text, self.unit))
        check_range(value, self.minimum_s, self.maximum_s)
        return value


def unit_of_default(default: str) -> str:
    """Find the unit at the end of a default such as "300s" or "${stress?{10}:{300}}s"; "s" when it has none."""
    match = _TIME_DEFAULT.search(default)
    return match.group(1) if match else "s"


class Boolean(Parameter[bool]):
    """yes or no."""

    def parse(self, text: str) -> bool:
        """Read yes or no."""
        return parse_boolean(text)


class Enum(Parameter[str]):
    """One word out of a few, in any case; the value is spelled as in `choices`."""

    def __init__(self, name: str, default: str, *, doc: str, choices: tuple[str, ...]) -> None:
        super().__init__(name, default, doc=doc)
        self.choices = choices

    def parse(self, text: str) -> str:
        """Find the choice."""
        for choice in self.choices:
            if choice.lower() == text.lower():
                return choice
        shown = ", ".join(choice or "(empty)" for choice in self.choices)
        raise ConfigValueError(f'"{text}" is not one of: {shown}')


class NameList(Parameter[tuple[str, ...]]):
    """A list of words between commas or white space. The braces of `{ a = b }` are taken away."""

    def __init__(self, name: str, default: str, *, doc: str, minimum_items: int = 0) -> None:
        super().__init__(name, default, doc=doc)
        self.minimum_items = minimum_items

    def parse(self, text: str) -> tuple[str, ...]:
        """Split the list."""
        try:
            items = self._split(text)
        except ListSyntaxError as error:
            advice = "close the brace" if str(error).startswith("missing") else "put a blank behind the closing brace"
            raise ConfigValueError(f"{error}; {advice}") from None
        if len(items) < self.minimum_items:
            raise ConfigValueError("the list must not be empty; set it, or take the line out to get the default")
        return items

    def _split(self, text: str) -> tuple[str, ...]:
        return parse_words(text)


class Patterns(NameList):
    """A match list: names, "!" patterns, /file names and type:name tables. Braces stay."""

    def _split(self, text: str) -> tuple[str, ...]:
        return parse_items(text)


class Restrictions(Patterns):
    """A restriction list: names with their arguments as further items; `{ name argument }` is one item."""


class Tables(Patterns):
    """A list of lookup tables, each "type:name"; `inline:{...}` and the like stay one item."""

    def parse(self, text: str) -> tuple[str, ...]:
        """Split the list and check the form of each item."""
        items = super().parse(text)
        for item in items:
            if _TABLE.match(item) is None:
                raise ConfigValueError(f'"{item}" is no lookup table; write type:name, for example lmdb:/etc/aliases')
        return items


class Family(Generic[T_co]):
    """A row that exists once for each transport or service: <name>_destination_recipient_limit and so on.

    The template's name is the part after the transport, with the underscore; `defaults` has the transports with a
    default of their own.
    """

    def __init__(self, template: Parameter[T_co], defaults: tuple[tuple[str, str], ...] = ()) -> None:
        self.template = template
        self.defaults = defaults

    def of(self, transport: str) -> Parameter[T_co]:
        """Give the row of one transport."""
        default = dict(self.defaults).get(transport, self.template.default)
        return self.template.renamed(transport + self.template.name, default)
