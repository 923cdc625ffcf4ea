"""postconf's main.cf mode: list, expand, edit; and what it has to say about names that nobody uses."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from posthouse.commands.postconf_text import Printer, UsageError, printable, warn
from posthouse.config import catalog, deprecated, edit
from posthouse.config.lists import split_name_value
from posthouse.config.load import Configuration, level_facts
from posthouse.config.main_cf import FILE_NAME, read_main_cf
from posthouse.config.master_cf import FILE_NAME as MASTER_NAME
from posthouse.config.master_cf import read_master_cf
from posthouse.config.settings import DEFAULT_CONFIG_DIRECTORY, Identity, Settings
from posthouse.config.usage import Usage, find_usage, service_parameters
from posthouse.util.errors import ConfigError

CLASSES: Final = ("builtin", "service", "user", "all")
PROGRAM: Final = "postconf"


class Listing:
    """Lists main.cf settings."""

    def __init__(
        self, directory: str, flags: frozenset[str], classes: frozenset[str], overrides: dict[str, str], *, named: bool
    ) -> None:
        self._flags = flags
        self._classes = classes
        self._named = named  # whether -c or MAIL_CONFIG chose the directory
        self._printer = Printer(flags)
        self.configuration = read_configuration(directory, overrides)
        self._services = service_parameters(self.configuration.master.services)
        values = self.configuration.main.values
        self.usage: Usage = find_usage(values, self.configuration.master.services)
        self._settings = self.configuration.settings(PROGRAM)
        if "d" in flags:
            self._settings = Settings({}, Identity("", PROGRAM, DEFAULT_CONFIG_DIRECTORY), {}, {})
        elif self._settings.service_name == PROGRAM:
            self._settings = Settings(
                self._settings.explicit, Identity("", PROGRAM, directory), self._settings.facts, self._settings.origins
            )

    def show(self, names: list[str]) -> None:
        """Show the named parameters, or all of the chosen classes."""
        known = self._known_names()
        for name in names or sorted(known):
            if name not in known and name not in catalog.entries():
                warn(f"{name}: unknown parameter")
            else:
                self._printer.show(name, self._value(name))

    def _known_names(self) -> set[str]:
        """Choose the names that a listing without arguments shows."""
        entries = catalog.entries()
        services = self._services.keys()
        builtin = {name for name, entry in entries.items() if entry.is_shown} | catalog.READ_ONLY
        explicit = set(self.configuration.main.values)
        old_names = {name for name in explicit & entries.keys() if entries[name].status == "alias"}
        found: set[str] = set()
        if "builtin" in self._classes:
            found |= builtin - services
        if "service" in self._classes:
            found |= services
        if "user" in self._classes and "d" not in self._flags:
            found |= self.usage.macros & explicit | old_names
        if "n" in self._flags:
            set_here = explicit | ({"config_directory"} if self._named else set())
            found &= set_here - catalog.READ_ONLY
        return found

    def _value(self, name: str) -> str:
        entry = catalog.entries().get(name)
        is_raw = entry is not None and entry.is_raw  # expanded at use, with names that are not known here
        if "x" in self._flags and not is_raw:
            return self._settings.text(name)
        return self._settings.raw(name) or ""


def read_configuration(directory: str, overrides: dict[str, str]) -> Configuration:
    """Read main.cf and master.cf, and lay the -o options on top."""
    main = read_main_cf(directory)
    main = main._replace(values={**main.values, **overrides})
    # What the host decides is computed when it is asked for: most calls do not.
    return Configuration(directory, main, read_master_cf(directory), level_facts(main))


def warn_of_form(configuration: Configuration) -> None:
    """Tell of lines that read well and mean nothing."""
    main, master = configuration.main, configuration.master
    if not master.exists:
        warn(f"open {master.path}: No such file or directory")
    for problem in master.problems:
        if "'}'" in problem.why or problem.why.startswith("missing"):
            warn(f"{MASTER_NAME}: {problem.why}")
    for _, text in main.stray_lines:
        warn(f'{main.path}: logical line must not start with whitespace: "{text[:40]}"')
    for earlier, later in main.overridden():
        warn(f"{main.path}, line {later.line}: overriding earlier entry: {earlier.name}={earlier.value}")
    settings = [(main.path, name, value) for name, value in main.values.items()]
    settings += [(master.path, *override) for service in master.services for override in service.overrides]
    for path, name, value in settings:
        if name in catalog.READ_ONLY:
            warn(f"{path}: read-only parameter assignment: {name}={value}")


def warn_of_references(configuration: Configuration, usage: Usage) -> None:
    """Tell of names that values refer to and nobody sets, and of tables with wrong braces or comments."""
    for fault in (*usage.brace_faults, *usage.comment_faults):
        warn(f"{configuration.main.path}: {fault}")
    for name in usage.undefined:
        warn(f"{configuration.main.path}: undefined parameter: {name}")
    for name in usage.undefined_overrides:
        warn(f"{configuration.master.path}: undefined parameter: {name}")


def warn_of_use(configuration: Configuration, usage: Usage, *, with_main: bool) -> None:
    """Tell of settings that nobody uses, and of those that will go away. The modes for master.cf leave main.cf out."""
    main, master = configuration.main, configuration.master
    for kind, path in usage.table_files:
        _warn_of_table(kind, path)
    for name in sorted(usage.unused) if with_main else ():
        warn(f"{main.path}: unused parameter: {name}={main.values[name]}")
    for override in sorted(usage.unused_overrides, key=lambda item: (item.name, item.value)):
        warn(f"{master.path}: unused parameter: {override.name}={override.value}")
    overridden = [name for service in master.services for name, _ in service.overrides]
    deprecations = [
        *_deprecations(main.path, main.values if with_main else ()),
        *_deprecations(master.path, overridden),
    ]
    for line in deprecations:
        warn(line)
    if deprecations:
        warn(deprecated.README)


def _deprecations(path: str, names: Iterable[str]) -> Iterable[str]:
    for name in sorted(set(names)):
        if name in deprecated.REMOVED:
            yield f"{path}: support for parameter {name} has been removed; instead, {deprecated.REMOVED[name]}"
        elif name in deprecated.REPLACEMENTS:
            yield f'{path}: support for parameter "{name}" will be removed; instead, {deprecated.advice(name)}'


def _warn_of_table(kind: str, path: str) -> None:
    """Look at the attributes in a table's own file; one that may not be read here is its daemons' business."""
    from posthouse.config.main_cf import parse_main_cf
    from posthouse.config.usage import TABLE_ATTRIBUTES

    try:
        values = parse_main_cf(Path(path).read_bytes(), path).values
    except (PermissionError, IsADirectoryError):  # a macro may hold the first part of a path
        return
    except OSError as error:
        warn(f'open "{kind}" configuration "{path}": {error.strerror}')
        return
    except ConfigError as error:
        warn(str(error))
        return
    for name, value in values.items():
        if name not in TABLE_ATTRIBUTES[kind]:
            warn(f"{kind}:{path}: unused parameter: {name}={value}")


def parse_settings(arguments: list[str]) -> dict[str, str]:
    """Read the arguments of `postconf -e name=value ...`. Raises UsageError."""
    if not arguments:
        raise UsageError("-e requires name=value argument")
    settings: dict[str, str] = {}
    for argument in arguments:
        _refuse_odd_text(argument)
        try:
            name, value = split_name_value(argument)
        except ValueError as error:
            raise UsageError(f'{error}: "{printable(argument)}"') from None
        settings[name] = value
    return settings


def set_parameters(directory: str, settings: dict[str, str]) -> None:
    """Do `postconf -e`."""
    with edit.editing(Path(directory) / FILE_NAME) as file:
        file.new, twice = edit.set_parameters(file.old, settings)
    _warn_twice(directory, twice)


def change_parameters(directory: str, names: list[str], change: edit.Change) -> None:
    """Do `postconf -X name ...` and `postconf -# name ...`."""
    if not names:
        raise UsageError("missing service argument")
    for name in names:
        _refuse_odd_text(name)
    chosen = dict.fromkeys(name.strip() for name in names)
    with edit.editing(Path(directory) / FILE_NAME) as file:
        file.new = edit.change_parameters(file.old, frozenset(chosen), change)
        counts = edit.count_assignments(file.old)
    _warn_twice(directory, (name for name in chosen if counts[name] > 1))


def _warn_twice(directory: str, names: Iterable[str]) -> None:
    """Tell which parameters the file sets more than once: all of the places are changed."""
    for name in names:
        warn(f'{directory}/{FILE_NAME}: multiple entries for "{name}"')


def _refuse_odd_text(argument: str) -> None:
    if "\n" in argument:
        raise UsageError("-e, -X, or -# accepts no multi-line input")
    if argument.lstrip().startswith("#"):
        raise UsageError("-e, -X, or -# accepts no comment input")
