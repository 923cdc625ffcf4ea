"""The common part of postmap(1) and postalias(1): options, and what each of them does.

A table is written under the identity of its source file's owner, never as root for somebody else, and in one
transaction, so that nobody sees half of it. Exit status: 0 done or found, 1 not found or failed.
Sources: postmap(1), postalias(1); facts B14.17, B17.20.
"""

import base64
import getopt
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from posthouse.commands.table_text import StderrSink, format_entry, input_lines, message_lines, mime_lines, write
from posthouse.commands.table_writer import SourceKind, TableWriter, WriteOptions
from posthouse.config.load import config_directory, load_settings
from posthouse.config.parameters import DEFAULT_DATABASE_TYPE
from posthouse.tables.blocking import BlockingLookups
from posthouse.tables.open import Opener
from posthouse.tables.remote import RemoteTable
from posthouse.tables.table import LocalTable, Table, TableFlags, WritableTable
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError

T = TypeVar("T")
MODES: Final = "diqs"


class CommandError(Exception):
    """The command stops with one fatal line and exit status 1."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is particular to one of the two commands."""

    name: str
    options: str  # for getopt
    usage: str
    source: SourceKind
    separator: str  # between key and value in what is printed


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line, read."""

    letters: frozenset[str]
    mode: str  # of MODES, or "" for building tables
    key: str
    directory: str
    tables: tuple[str, ...]
    nul: bool | None  # -N or -n, the last one

    def has(self, letter: str) -> bool:
        """Whether an option was given."""
        return letter in self.letters


def run(command: Command, argv: list[str]) -> int:
    """Run the command on its arguments (without the program's name); returns the exit status."""
    log.LOG.open(command.name, StderrSink(command.name))
    try:
        status = _run(command, _parse(command, argv))
        sys.stdout.flush()
    except CommandError as error:
        log.fatal(str(error))
    except ConfigError as error:
        log.fatal(str(error) if error.line else error.why)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads any more; the interpreter must not complain
    else:
        return status
    return 1


def _parse(command: Command, argv: list[str]) -> Arguments:
    try:
        options, names = getopt.getopt(argv, command.options, ["json"])
    except getopt.GetoptError as error:
        sys.stderr.write(f"{command.name}: {error}\n")
        raise CommandError(command.usage) from None
    options = [("-j" if name == "--json" else name, value) for name, value in options]
    modes = [(name[1], value) for name, value in options if name[1] in MODES]
    if len(modes) > 1:
        raise CommandError("specify only one of -d -i -q or -s")
    if not names:
        raise CommandError(command.usage)
    mode, key = modes[0] if modes else ("", "")
    directory = next((value for name, value in options if name == "-c"), None)
    letters = frozenset(name[1] for name, _ in options)
    nul = [name == "-N" for name, _ in options if name in ("-n", "-N")]
    return Arguments(letters, mode, key, config_directory(directory), tuple(names), nul[-1] if nul else None)


def _run(command: Command, arguments: Arguments) -> int:
    settings = load_settings(arguments.directory, command.name)
    default_type = settings[DEFAULT_DATABASE_TYPE]
    specs = [name if ":" in name else f"{default_type}:{name}" for name in arguments.tables]
    # What mail contains need not be UTF-8, so header and body lines are looked up as they are, as cleanup(8) does.
    utf8 = arguments.has("U") if arguments.has("h") or arguments.has("b") else not arguments.has("u")
    flags = TableFlags(not arguments.has("f"), utf8, arguments.has("F"))
    if arguments.mode in ("", "i"):
        options = WriteOptions(
            flags,
            incremental=arguments.mode == "i",
            replace=arguments.has("r"),
            silent=arguments.has("w"),
            as_owner=not arguments.has("o"),
            inherit_mode=not arguments.has("p"),
            nul=arguments.nul,
        )
        for spec in specs:
            _guarded(spec, "write", TableWriter(spec, command.source, options, settings).write)
        return 0
    opener = Opener(settings)
    tables = [opener.open(spec, flags) for spec in specs]
    if arguments.mode == "q":
        with BlockingLookups() as lookups:
            try:
                return _query(command, arguments, tables, lookups)
            finally:
                opener.close()
    if arguments.mode == "d":
        return _delete(arguments, tables)
    for table in tables:
        _guarded(table.name, "sequence", lambda table=table: _dump(command, arguments, table))  # type: ignore[misc]
    return 0


def _guarded(name: str, what: str, action: Callable[[], T]) -> T:
    """Do something with a table; its errors end the command."""
    try:
        return action()
    except TableError as error:
        if name.startswith("fail:"):
            raise CommandError(f"table {name}: {what} error: Application error") from None
        if "not supported" in str(error):
            raise CommandError(f"table {error}") from None
        raise CommandError(f"table {name}: {what} error: {str(error).removeprefix(f'{name}: ')}") from None


def _query(command: Command, arguments: Arguments, tables: list[Table], lookups: BlockingLookups) -> int:
    """Look up one key, or all keys of standard input; 0 when any was found."""
    if arguments.has("h") or arguments.has("b"):
        if arguments.key != "-":
            raise CommandError('specify -b -h or -m only with "-q -"')
        lines = mime_lines if arguments.has("m") else message_lines
        keys: Iterable[str] = lines(headers=arguments.has("h"), body=arguments.has("b"))
    elif arguments.key == "-":
        keys = input_lines()
    else:
        value = _find(lookups, tables, arguments.key)
        if value is None:
            return 1
        shown = _shown(arguments, value)
        write(format_entry(arguments.key, shown, as_json=True) if arguments.has("j") else shown + "\n")
        return 0
    found = False
    for key in keys:
        value = _find(lookups, tables, key)
        if value is not None:
            found = True
            shown = _shown(arguments, value)
            write(format_entry(key, shown, separator=command.separator, as_json=arguments.has("j")))
    return 0 if found else 1


def _find(lookups: BlockingLookups, tables: list[Table], key: str) -> str | None:
    for table in tables:
        value: str | None = _guarded(table.name, "query", lambda table=table: lookups.ask(table, key))  # type: ignore[misc]
        if value is not None:
            if not value:
                log.warning(f"table {table.name}: key {key}: empty string result is not allowed")
                log.warning(f"table {table.name} should return NO RESULT in case of NOT FOUND")
            return value
    return None


def _shown(arguments: Arguments, value: str) -> str:
    """Give a value as it is printed: -F tables hold files, in base64."""
    if not arguments.has("F"):
        return value
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
    except ValueError:
        raise CommandError(f"malformed base64 value: {value[:30]}") from None


def _dump(command: Command, arguments: Arguments, table: Table) -> None:
    if not isinstance(table, (LocalTable, RemoteTable)):
        raise TableError(f"{table.name}: sequence operation is not supported")
    for key, value in table.items():
        shown = _shown(arguments, value)
        write(format_entry(key, shown, separator=command.separator, as_json=arguments.has("j")))


def _delete(arguments: Arguments, tables: list[Table]) -> int:
    """Take keys out of all tables; 0 when any was there."""
    keys: Iterator[str] = input_lines() if arguments.key == "-" else iter((arguments.key,))
    found = False
    for key in keys:
        for table in tables:
            if not isinstance(table, WritableTable):
                raise CommandError(f"{table.name} map requires O_RDONLY access mode")
            if _guarded(table.name, "delete", lambda table=table, key=key: table.delete(key)):  # type: ignore[misc]
                found = True
    return 0 if found else 1
