"""master.cf: the services, one record each.

Knows the syntax of the eight columns and of "-o name=value". Which programs exist is not known here.
Sources: master(5), facts B01.05, postconf(1) for the messages.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from posthouse.config.lists import BLANKS, WHITE, split_name_value, split_tokens, unwrap
from posthouse.config.logical import LogicalLine, read_lines
from posthouse.util.errors import ConfigError

FILE_NAME: Final = "master.cf"
TYPES: Final = ("inet", "unix", "unix-dgram", "fifo", "pass")
FIELDS: Final = ("service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command")
_PLACES: Final = (0, 11, 17, 25, 33, 41, 49, 57)  # where postconf(1) puts the columns
_FLAG: Final = re.compile(r"[yn-]", re.ASCII)
_PATTERNS: Final = {
    "service": re.compile(r"\S+", re.ASCII),
    "type": re.compile("|".join(TYPES), re.ASCII),
    "private": _FLAG,
    "unprivileged": _FLAG,
    "chroot": _FLAG,
    "wakeup": re.compile(r"-|[0-9]{1,9}\??", re.ASCII),
    "process_limit": re.compile(r"-|[0-9]{1,9}", re.ASCII),
    "command": re.compile(r"[^\s]+.*", re.ASCII | re.DOTALL),
}
_RIGHT: Final = {
    "type": "inet, unix, unix-dgram, fifo or pass",
    "private": "y, n or -",
    "unprivileged": "y, n or -",
    "chroot": "y, n or -",
    "wakeup": "a number of seconds, perhaps with ? after it, or -",
    "process_limit": "a number or -",
}


class Service(NamedTuple):
    """One service. `arguments` is the command line after the program, as options were written."""

    columns: tuple[str, ...]  # the first eight fields as written
    arguments: tuple[str, ...]  # normalized: "-o", "name=value" are two items, braces of values taken away
    overrides: tuple[tuple[str, str], ...]  # what -o sets, in order
    line: int

    @property
    def name(self) -> str:
        """First column: a socket's name, or host:port."""
        return self.columns[0]

    @property
    def type(self) -> str:
        """Second column: inet, unix, unix-dgram, fifo or pass."""
        return self.columns[1]

    @property
    def private(self) -> bool:
        """Whether the socket is below private/ and not public/ (default yes)."""
        return self.columns[2] != "n"

    @property
    def unprivileged(self) -> bool:
        """Whether the daemon runs without root's rights (default yes)."""
        return self.columns[3] != "n"

    @property
    def chroot(self) -> bool | None:
        """Whether the daemon runs chrooted; None: "-", which depends on the compatibility level."""
        return {"y": True, "n": False}.get(self.columns[4])

    @property
    def wakeup_s(self) -> int:
        """Seconds between wake-up calls; 0: none."""
        text = self.columns[5].removesuffix("?")
        return 0 if text == "-" else int(text)

    @property
    def wakeup_only_if_used(self) -> bool:
        """Whether wake-up calls begin only when the service was used ("?")."""
        return self.columns[5].endswith("?")

    @property
    def process_limit(self) -> int | None:
        """How many clients at once; 0: no limit; None: default_process_limit."""
        return None if self.columns[6] == "-" else int(self.columns[6])

    @property
    def program(self) -> str:
        """Eighth column: the daemon's name."""
        return self.columns[7]

    @property
    def plain_arguments(self) -> tuple[str, ...]:
        """The arguments that are neither -o nor a flag such as -v: what pipe(8) and spawn(8) read."""
        skip = 0
        for index, argument in enumerate(self.arguments):
            if skip:
                skip -= 1
            elif argument == "--":
                return self.arguments[index + 1 :]
            elif argument == "-o":
                skip = 1
            elif not argument.startswith("-") or argument == "-":
                return self.arguments[index:]
        return ()

    @property
    def verbosity(self) -> int:
        """How many -v were given."""
        plain = len(self.plain_arguments)
        options = self.arguments[: len(self.arguments) - plain]
        values = {index + 1 for index, item in enumerate(options) if item == "-o"}
        return sum(item.count("v") for index, item in enumerate(options) if index not in values)

    @property
    def key(self) -> tuple[str, str]:
        """What must be unique: name and type."""
        return self.columns[0], self.columns[1]


class MasterCf(NamedTuple):
    """A master.cf as it was read."""

    path: str
    services: tuple[Service, ...] = ()
    exists: bool = True
    problems: tuple[ConfigError, ...] = ()  # odd braces and double entries: read on, but say so

    def effective(self) -> tuple[Service, ...]:
        """Give the services that count: of two entries with one name and type the later one."""
        return tuple({service.key: service for service in self.services}.values())


def parse_master_cf(data: bytes, path: str) -> MasterCf:
    """Read the text of a master.cf. Raises ConfigError: a line is no service; with its number."""
    services: list[Service] = []
    problems: list[ConfigError] = []
    seen: dict[tuple[str, str], int] = {}
    for line in read_lines(data):
        if not isinstance(line, LogicalLine):
            problems.append(ConfigError("a continuation line stands before any service", file=path, line=line.first))
            continue
        text = line.text.decode("utf-8", "surrogateescape")
        try:
            service, odd = parse_service(text, line.first)
        except ValueError as error:
            raise ConfigError(str(error), file=path, line=line.first) from error
        problems += [ConfigError(why, file=path, line=line.first) for why in odd]
        if service.key in seen:
            why = f'service "{service.name} {service.type}" is also on line {seen[service.key]}; the later one counts'
            problems.append(ConfigError(why, file=path, line=line.first))
        seen[service.key] = line.first
        services.append(service)
    return MasterCf(path, tuple(services), exists=True, problems=tuple(problems))


def read_master_cf(directory: str) -> MasterCf:
    """Read master.cf of a configuration directory. Without one the built-in services run. Raises ConfigError."""
    shown = f"{directory}/{FILE_NAME}"
    try:
        with open(shown, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return MasterCf(shown, exists=False)
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", file=shown) from None
    return parse_master_cf(data, shown)


def parse_service(text: str, line: int = 0) -> tuple[Service, tuple[str, ...]]:
    """Read one entry; the second result tells of odd braces. Raises ValueError."""
    tokens = list(split_tokens(text, BLANKS))
    if len(tokens) < len(FIELDS):
        raise ValueError(
            f"bad field count: {len(tokens)} instead of {len(FIELDS)}; an entry is: "
            + ", ".join(FIELDS[:-1])
            + ", program"
        )
    columns = tuple(tokens[: len(FIELDS)])
    for name, field in zip(FIELDS, columns, strict=True):
        if _PATTERNS[name].fullmatch(field) is None:
            right = f"; write {_RIGHT[name]}" if name in _RIGHT else ""
            raise FieldError(name, field, " ".join(tokens), right)
    odd: list[str] = []
    arguments = tuple(normalize_arguments(tokens[len(FIELDS) :], odd))
    return Service(columns, arguments, tuple(overrides_of(arguments)), line), tuple(odd)


class FieldError(ValueError):
    """One column has a value that is not legal. `plain` is the message without the advice."""

    def __init__(self, field: str, value: str, entry: str, right: str) -> None:
        self.plain = f'invalid {field} field "{value}" in "{entry}"'
        super().__init__(self.plain + right)


def normalize_arguments(tokens: list[str], odd: list[str]) -> Iterator[str]:
    """Take option clusters apart: -voname=value becomes -v, -o, name=value. `odd` collects wrong braces."""
    words = iter(tokens)
    for token in words:
        if not token.startswith("-") or token in ("-", "--"):
            yield _argument(token, odd)
            for word in words:
                yield _argument(word, odd)
            return
        flags, is_option, value = token[1:].partition("o")
        if flags:
            yield f"-{flags}"
        if is_option:
            value = value or next(words, "")
            yield "-o"
            if value:
                yield _override(value, odd)


def _argument(token: str, odd: list[str]) -> str:
    """Take the braces of "{ a b }" away."""
    text, fault = unwrap(token)
    odd += [fault] if fault else []
    return text


def _override(token: str, odd: list[str]) -> str:
    """Give "name=value" of an override, with or without braces."""
    if not token.startswith("{"):
        return token
    text = _argument(token, odd)
    try:
        return "=".join(split_name_value(text))
    except ValueError as error:
        odd.append(f'{error}: "{text}"')
        return text


def overrides_of(arguments: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Find the -o settings among normalized arguments; they end where other arguments begin."""
    words = iter(arguments)
    for word in words:
        if word == "-o":
            name, equals, value = next(words, "").partition("=")
            if equals and name.strip(WHITE):
                yield name.strip(WHITE), value.strip(WHITE)
        elif not word.startswith("-") or word in ("-", "--"):
            return


def format_command(service: Service) -> list[str]:
    """Give program and arguments as they may be written again: braces round what contains white space."""
    return [service.program, *(format_argument(argument) for argument in service.arguments)]


def format_argument(argument: str) -> str:
    """Write one argument, in braces when it needs them."""
    if argument and not any(character in BLANKS for character in argument):
        return argument
    return "{" + argument + "}"


def format_columns(columns: tuple[str, ...]) -> str:
    """Write the first eight columns, each at its place, or one blank later when the one before is too long."""
    line = ""
    for column, place in zip(columns, _PLACES, strict=True):
        line = (line + " ").ljust(place) + column if line else column
    return line


def format_service(service: Service) -> str:
    """Write the entry on one line, as `postconf -M` shows it."""
    return " ".join([format_columns(service.columns), *format_command(service)[1:]])
