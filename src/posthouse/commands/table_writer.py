"""Making a table from its source text, for postmap(1) and postalias(1)."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from posthouse.config.index_files import OLD_SUFFIX
from posthouse.config.parameters import MYHOSTNAME
from posthouse.config.settings import Settings
from posthouse.rewriting.alias_source import alias_entries
from posthouse.tables.file_table import Origin
from posthouse.tables.index_writer import FORMATS, write_index
from posthouse.tables.open import TYPES, WRITABLE, Opener, split_spec, unknown_type
from posthouse.tables.source import Entry, Report, decode, entries
from posthouse.tables.table import LocalTable, TableFlags, files_as_value, fold_key
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError


class SourceKind(Enum):
    """The two formats of source texts."""

    MAP = "key whitespace value"
    ALIASES = "name: value"


_PARSERS: dict[SourceKind, Callable[[str, Report], Iterator[Entry]]] = {
    SourceKind.MAP: entries,
    SourceKind.ALIASES: alias_entries,
}


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """The command's options: -i, -r, -w, -o, -p, -n, -N, and what they mean."""

    flags: TableFlags
    incremental: bool = False  # -i: keep what is there, read standard input
    replace: bool = False  # -r: the last of several entries counts, without warning
    silent: bool = False  # -w: no warning about the others
    as_owner: bool = True  # not -o: root becomes the owner of the source file
    inherit_mode: bool = True  # not -p: a new file is readable for who can read the source
    nul: bool | None = None  # -N, -n: keys and values end in NUL, or do not; None: as is usual for the type


class TableWriter:
    """One table to be written."""

    def __init__(self, spec: str, source: SourceKind, options: WriteOptions, settings: Settings) -> None:
        """Check the type. Raises ConfigError: it is unknown, or cannot be written."""
        self.spec = spec
        self._kind, self._name = split_spec(spec)
        self._source = source
        self._options = options
        self._settings = settings
        if self._kind not in WRITABLE and self._kind != "fail":
            if self._kind not in TYPES:
                raise unknown_type(self._kind)
            raise ConfigError(f"unsupported dictionary type: {self._kind} does not support bulk-mode creation.")

    def write(self) -> None:
        """Read the source and write the table. Raises ConfigError, TableError."""
        if self._kind == "fail":
            raise TableError(f"{self.spec}: write error")
        if self._kind == "cdb" and self._options.incremental:
            raise ConfigError("a cdb table cannot be changed entry by entry: it is only ever made anew as a whole")
        origin = Origin(self._kind, self._name, self._options.flags)
        text, status = self._read()
        groups = os.getgroups()
        becomes = self._options.as_owner and os.geteuid() == 0 and status.st_uid != 0
        if becomes:
            os.setgroups([status.st_gid])
            os.setegid(status.st_gid)
            os.seteuid(status.st_uid)
        try:
            contents = self._collect(text, self._existing())
            mode = 0o644 & ~(~status.st_mode & 0o077) if self._options.inherit_mode else 0o644
            _warn_about_directory(origin.path + FORMATS[self._kind].suffix)
            write_index(origin, contents, nul=self._options.nul, mode=mode)
        except OSError as error:
            suffix = FORMATS[self._kind].suffix
            raise ConfigError(f"open database {self._name}{suffix}: {error.strerror}") from None
        finally:
            if becomes:
                os.seteuid(0)
                os.setegid(0)
                os.setgroups(groups)

    def _read(self) -> tuple[str, os.stat_result]:
        if self._options.incremental:
            return decode(sys.stdin.buffer.read()), os.fstat(sys.stdin.fileno())
        try:
            with open(self._name, "rb") as file:
                return decode(file.read()), os.fstat(file.fileno())
        except OSError as error:
            raise ConfigError(f"open {self._name}: {error.strerror}") from None

    def _existing(self) -> dict[str, str]:
        files = [self._name + suffix for suffix in (FORMATS[self._kind].suffix, OLD_SUFFIX)]
        if not self._options.incremental or not any(map(os.path.exists, files[: 1 + (self._kind != "lmdb")])):
            return {}
        opener = Opener(self._settings)
        table = opener.open(self.spec, self._options.flags)
        assert isinstance(table, LocalTable), "only tables in files can be written"
        found = dict(table.items())
        opener.close()
        return found

    def _collect(self, text: str, contents: dict[str, str]) -> dict[str, str]:
        """Add the entries of the source to what is there."""
        source_name = "stdin" if self._options.incremental else self._name

        def report(problem: str) -> None:
            log.warning(f"{source_name}, {problem}")

        flags = self._options.flags
        for number, raw_key, raw_value in _PARSERS[self._source](text, report):
            key = fold_key(raw_key, utf8=flags.utf8) if flags.fold else raw_key
            value = raw_value
            if key in contents and not self._options.replace:
                if not self._options.silent:
                    log.warning(f'{self.spec}: duplicate entry: "{key}"')
                continue
            if flags.value_is_file:
                try:
                    value = files_as_value(raw_value)
                except ValueError as error:
                    report(f"line {number}: {error}: skipping this entry")
                    continue
            contents[key] = value
        if self._source is SourceKind.ALIASES:  # what sendmail and NIS look for in an alias table
            contents |= {
                "@": "@",
                "YP_LAST_MODIFIED": str(int(time.time())),
                "YP_MASTER_NAME": self._settings[MYHOSTNAME],
            }
        return contents


def _warn_about_directory(path: str) -> None:
    """A root-owned table in somebody else's directory is a trap for root."""
    directory = os.path.dirname(path) or "."
    if os.geteuid() == 0 and not os.path.exists(path) and os.stat(directory).st_uid != 0:
        log.warning(f"creating {path} as root in directory {directory}, which root does not own")
