"""postconf's master.cf modes: -M whole entries, -F single columns, -P the -o settings; show and edit."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from posthouse.commands.postconf_text import INDENT, LINE_LIMIT, Printer, UsageError, json_pair, warn
from posthouse.config import catalog, edit
from posthouse.config.lists import split_name_value
from posthouse.config.load import Configuration
from posthouse.config.master_cf import (
    FIELDS,
    FILE_NAME,
    FieldError,
    Service,
    format_argument,
    format_columns,
    parse_master_cf,
    parse_service,
)
from posthouse.config.usage import merged, service_parameters

Pattern = tuple[str, ...]
_WANTS_PARAMETER: Final = "-Pe or -PX requires service_name/type/parameter"


class Entries:
    """Shows master.cf."""

    def __init__(self, configuration: Configuration, flags: frozenset[str]) -> None:
        self._configuration = configuration
        self._flags = flags
        self._printer = Printer(flags)
        self._merged = {service.key: service for service in merged(configuration.master.services)}

    def show(self, requests: list[str], parts: int, show: Callable[[Service, str], bool]) -> None:
        """Call `show` for each service and part that is asked for; say which requests found nothing."""
        services = self._configuration.master.services
        if not requests:
            for service in services:
                show(service, "*")
            return
        patterns = [parse_request(request, parts) for request in requests]
        found = set()
        for service in services:
            for request, pattern in zip(requests, patterns, strict=True):
                if matches(pattern, service.key) and show(service, pattern[2] if parts == 3 else "*"):
                    found.add(request)
        for request in requests:
            if request not in found:
                warn(f'unmatched request: "{request}"')

    def show_entry(self, service: Service, _part: str) -> bool:
        """-M: one entry."""
        command = self._command(service)
        if "j" in self._flags:
            self._printer.write(json_pair("/".join(service.key), " ".join([*service.columns[:7], *command])))
            return True
        line = format_columns(service.columns)
        words = command[1:]
        text = fold_entry(line, words) if "f" in self._flags else " ".join([line, *words])
        sys.stdout.write(text + "\n")
        return True

    def show_fields(self, service: Service, part: str) -> bool:
        """-F: the columns of one entry."""
        if part != "*" and part not in FIELDS:
            raise UsageError(f'invalid service attribute name: "{part}"')
        for index, field in enumerate(FIELDS):
            if part in ("*", field):
                words = self._command(service) if field == "command" else [service.columns[index]]
                self._printer.show_words(f"{service.name}/{service.type}/{field}", words)
        return True

    def show_overrides(self, service: Service, part: str) -> bool:
        """-P: the -o settings of one entry, by name; with -PP also what is not set there."""
        service = self._merged[service.key]
        own = dict(service.overrides)
        names = set(own)
        if "PP" in self._flags:
            names |= self._inherited_names(service)
        chosen = sorted(name for name in names if part in ("*", name))
        for name in chosen:
            self._printer.show(f"{service.name}/{service.type}/{name}", self._override(service, name, own))
        return bool(chosen)

    def _inherited_names(self, service: Service) -> set[str]:
        builtin = {name for name, entry in catalog.entries().items() if entry.is_shown}
        explicit = {name for name in self._configuration.main.values if name in catalog.entries()}
        transports = service_parameters(self._configuration.master.services)
        return builtin | explicit | catalog.READ_ONLY | transports.keys()

    def _override(self, service: Service, name: str, own: dict[str, str]) -> str:
        if "x" in self._flags:
            return self._configuration.settings(service.program, service).text(name)
        if name in own:
            return own[name]
        return self._configuration.settings(service.program, service).raw(name) or ""

    def _command(self, service: Service) -> list[str]:
        """Program and arguments as Postfix shows them: the first that is no option never gets braces."""
        arguments = list(service.arguments)
        if "x" in self._flags:
            settings = self._configuration.settings(service.program, service)
            for index, argument in enumerate(arguments[: len(arguments) - len(service.plain_arguments)]):
                if index and arguments[index - 1] == "-o":
                    name, equals, value = argument.partition("=")
                    arguments[index] = name + equals + settings.expand(value)
        words = [format_argument(argument) for argument in arguments]
        plain = len(arguments) - len(service.plain_arguments)
        if plain < len(words):
            words[plain] = arguments[plain]
        return [service.program, *words]


def fold_entry(line: str, words: list[str]) -> str:
    """Write an entry with -f: each -o with its value on a line of its own, the rest in lines of 80 columns."""
    lines = [line]
    force, value_next, in_options = False, False, True
    for index, word in enumerate(words):
        in_options = in_options and (value_next or (word.startswith("-") and word != "--"))
        if value_next:
            lines[-1] += " " + word
            force, value_next = True, False
            continue
        value_next = in_options and word == "-o" and index + 1 < len(words)
        if force or value_next or len(lines[-1]) + 1 + len(word) >= LINE_LIMIT:
            lines.append(INDENT + word)
        else:
            lines[-1] += " " + word
        force = False
    return "\n".join(lines)


def parse_request(request: str, parts: int) -> Pattern:
    """Read service/type or service/type/name; missing parts are *."""
    pieces = tuple(request.split("/", parts - 1))
    if parts == 2 and request.count("/") > 1:
        raise UsageError("-M option requires service_name[/type]")
    return pieces + ("*",) * (parts - len(pieces))


def matches(pattern: Pattern, key: tuple[str, str]) -> bool:
    """Tell whether an entry is meant."""
    return all(wanted in ("*", have) for wanted, have in zip(pattern, key, strict=False))


# --------------------------------------------------------------------------------------------------------------- edit


class Block:
    """The physical lines of one entry, or comments between entries (then `service` is None)."""

    def __init__(self, lines: list[bytes], service: Service | None) -> None:
        self.lines = lines
        self.service = service

    def put(self, service: Service) -> None:
        """Write the entry anew; comments inside it stay, after it."""
        comments = [line for line in self.lines if not edit.is_text_line(line)]
        text = fold_entry(format_columns(service.columns), [format_argument(word) for word in service.arguments])
        self.lines = [(text + "\n").encode("utf-8", "surrogateescape"), *comments]
        self.service = service


def blocks_of(data: bytes, path: str) -> list[Block]:
    """Cut master.cf into entries and what is between them."""
    services = {service.line: service for service in parse_master_cf(data, path).services}
    blocks = [Block([], None)]
    for number, line in enumerate(edit.physical_lines(data), 1):
        if number in services:
            blocks.append(Block([line], services[number]))
        elif edit.is_text_line(line) or blocks[-1].service is None:
            blocks[-1].lines.append(line)
        else:
            _append_comment(blocks, line)
    return blocks


def _append_comment(blocks: list[Block], line: bytes) -> None:
    """Comments after an entry belong to it as far as we know; an edit keeps them where they are."""
    blocks[-1].lines.append(line)


Edit = Callable[[list[Block]], None]


def edit_master(directory: str, change: Edit) -> None:
    """Change master.cf in place."""
    path = Path(directory) / FILE_NAME
    with edit.editing(path) as file:
        blocks = blocks_of(file.old, str(path))
        change(blocks)
        file.new = b"".join(line for block in blocks for line in block.lines)


def change_entries(requests: list[str], change: edit.Change) -> Edit:
    """-MX and -M#: remove entries, or comment them out."""
    patterns = [_exact_pattern(request, "-Me, -MX or -M# requires service_name/type") for request in requests]

    def run(blocks: list[Block]) -> None:
        for block in _chosen(blocks, patterns):
            if change is edit.Change.REMOVE:
                _drop(block)
            else:
                block.lines = [b"#" + line if edit.is_text_line(line) else line for line in block.lines]

    return run


def set_entries(arguments: list[str]) -> Edit:
    """-M service/type=entry: replace an entry, or add one."""
    wanted = []
    for argument in arguments:
        request, text = _split(argument)
        wanted.append((_exact_pattern(request, "-Me, -MX or -M# requires service_name/type"), _service(text)))

    def run(blocks: list[Block]) -> None:
        for pattern, service in wanted:
            same = list(_chosen(blocks, [pattern])) or list(_chosen(blocks, [service.key]))
            if not same:
                same = [Block([], None)]
                blocks += same
            same[0].put(service)
            for double in same[1:]:
                _drop(double)

    return run


def set_fields(arguments: list[str]) -> Edit:
    """-F service/type/field=value."""
    wanted = []
    for argument in arguments:
        request, value = _split(argument)
        pattern = _exact_pattern(request, "-Fe or -FX requires service_name/type/field_name", 3)
        if pattern[2] not in FIELDS:
            raise UsageError(f'invalid service attribute name: "{pattern[2]}"')
        wanted.append((pattern, value, argument))

    def run(blocks: list[Block]) -> None:
        for pattern, value, argument in wanted:
            for block in _needed(blocks, pattern, argument):
                assert block.service is not None
                columns = list(block.service.columns)
                words = [format_argument(word) for word in block.service.arguments]
                columns[FIELDS.index(pattern[2])] = value
                keep = [] if pattern[2] == "command" else words
                block.put(_service(" ".join([*columns, *keep])))

    return run


def set_overrides(arguments: list[str]) -> Edit:
    """-P service/type/name=value."""
    wanted = []
    for argument in arguments:
        request, value = _split(argument)
        wanted.append((_exact_pattern(request, _WANTS_PARAMETER, 3), value, argument))

    def run(blocks: list[Block]) -> None:
        for pattern, value, argument in wanted:
            for block in _needed(blocks, pattern, argument):
                assert block.service is not None
                block.put(_with_override(block.service, pattern[2], value))

    return run


def remove_overrides(requests: list[str]) -> Edit:
    """-PX service/type/name."""
    patterns = [_exact_pattern(request, _WANTS_PARAMETER, 3) for request in requests]

    def run(blocks: list[Block]) -> None:
        for pattern, request in zip(patterns, requests, strict=True):
            for block in _needed(blocks, pattern, request):
                assert block.service is not None
                block.put(_with_override(block.service, pattern[2], None))

    return run


def _with_override(service: Service, name: str, value: str | None) -> Service:
    """Set, replace or remove one -o setting."""
    plain = service.plain_arguments
    options = list(service.arguments[: len(service.arguments) - len(plain)])
    kept: list[str] = []
    done = value is None
    words = iter(options)
    for word in words:
        if word != "-o":
            kept.append(word)
            continue
        setting = next(words, "")
        if setting.partition("=")[0].strip() != name:
            kept += [word, setting]
        elif not done:
            kept += ["-o", f"{name}={value}"]
            done = True
    if not done:
        kept += ["-o", f"{name}={value}"]
    return service._replace(arguments=(*kept, *plain))


def _chosen(blocks: list[Block], patterns: list[Pattern]) -> Iterator[Block]:
    for block in blocks:
        service = block.service
        if service is not None and any(matches(pattern, service.key) for pattern in patterns):
            yield block


def _drop(block: Block) -> None:
    """Take an entry away; comments inside it stay."""
    block.lines = [line for line in block.lines if not edit.is_text_line(line)]
    block.service = None


def _needed(blocks: list[Block], pattern: Pattern, argument: str) -> list[Block]:
    """Give the entries that are to be changed; say so when there is none."""
    found = list(_chosen(blocks, [pattern[:2]]))
    if not found:
        warn(f'unmatched service_name/type: "{argument}"')
    return found


def _split(argument: str) -> tuple[str, str]:
    if "\n" in argument:
        raise UsageError("-e, -X, or -# accepts no multi-line input")
    try:
        return split_name_value(argument)
    except ValueError as error:
        raise UsageError(f'{error}: "{argument}"') from None


def _exact_pattern(request: str, message: str, parts: int = 2) -> Pattern:
    pieces = tuple(request.split("/", parts - 1))
    if len(pieces) != parts or not all(pieces):
        raise UsageError(message)
    return pieces


def _service(text: str) -> Service:
    try:
        service, odd = parse_service(text)
    except FieldError as error:
        raise UsageError(error.plain) from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    for why in odd:
        warn(f"{FILE_NAME}: {why}")
    return service


COMMON_FLAGS: Final = frozenset("cfjhHoqvx")
