"""Looks into the tables that a configuration names, with the readers that the daemons use.

Only text is read: that of texthash:, cidr:, regexp:, pcre:, inline: tables, and the source text of indexed ones, when
it is not newer than the index. Of a file of more than MAX_BYTES nothing but the beginning is read, and of any table no
more than MAX_ENTRIES are given: a check takes a moment, whatever the tables are.
"""

import os
import re
from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from posthouse.config.checks.context import Entry
from posthouse.config.index_files import INDEX_SUFFIXES, index_path
from posthouse.config.lists import split_name_value, split_tokens
from posthouse.config.settings import Settings
from posthouse.rewriting.alias_source import alias_entries
from posthouse.tables.open import Opener
from posthouse.tables.pattern_source import KINDS as PATTERNS
from posthouse.tables.pattern_source import pattern_entries
from posthouse.tables.source import decode, entries
from posthouse.util.errors import ConfigError
from posthouse.util.log import LOG

MAX_BYTES: Final = 512 * 1024  # of a table's text
MAX_ENTRIES: Final = 5000
_AT_LINE: Final = re.compile(r"(?:warning: )?(?:\S+ map [^,]*, )?line ([0-9]+): (.*)", re.ASCII | re.DOTALL)


class _Content(NamedTuple):
    entries: list[Entry]
    problems: list[tuple[int, str]]


class TableProbe:
    """Reads each table once."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str, bool], _Content] = {}

    def problems(self, kind: str, name: str, *, aliases: bool) -> Iterable[tuple[int, str]]:
        """Give (line, what is wrong) pairs of a table's text."""
        return self._content(kind, name, aliases=aliases).problems

    def entries(self, kind: str, name: str, *, aliases: bool) -> Iterable[Entry]:
        """Give the entries of a table whose text can be read; a pattern counts as the key."""
        return self._content(kind, name, aliases=aliases).entries

    def _content(self, kind: str, name: str, *, aliases: bool) -> _Content:
        key = (kind, name, aliases)
        if key not in self._read:
            self._read[key] = _read(kind, name, aliases=aliases)
        return self._read[key]


def _read(kind: str, name: str, *, aliases: bool) -> _Content:
    if kind in PATTERNS:
        written = pattern_entries(kind, _text(name)) if name.startswith("/") else ()
        rules = [Entry(*rule) for rule in islice(written, MAX_ENTRIES)]
        return _Content(rules, _pattern_problems(kind, name))
    if kind == "inline":
        return _Content(_inline_entries(name), [])
    if not name.startswith("/") or not (kind == "texthash" or kind in INDEX_SUFFIXES):
        return _Content([], [])
    if kind in INDEX_SUFFIXES and _is_newer(name, index_path(kind, name)):
        return _Content([], [])
    reports: list[str] = []
    text = _text(name)
    reader = alias_entries(text, reports.append) if aliases else entries(text, reports.append)
    found = [Entry(*entry) for entry in islice(reader, MAX_ENTRIES)]
    return _Content(found, _with_lines(reports))


def _text(path: str) -> str:
    """Read a file, or its beginning up to the end of a line; "" when it cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError):  # ValueError: no file has such a name
        return ""
    if len(data) > MAX_BYTES:
        data = data[: data.rfind(b"\n") + 1]
    return decode(data)


def _is_newer(path: str, than: str) -> bool:
    try:
        return os.stat(path).st_mtime > os.stat(than).st_mtime
    except (OSError, ValueError):
        return True


def _pattern_problems(kind: str, name: str) -> list[tuple[int, str]]:
    """Open a table of patterns as a daemon does, and hear what it would log."""
    try:
        if not name.startswith("{") and (not name.startswith("/") or os.stat(name).st_size > MAX_BYTES):
            return []
        reports: list[str] = []
        with LOG.collecting(reports):
            Opener(Settings.from_mapping({})).open(f"{kind}:{name}").close()
    except (OSError, ValueError):
        return []  # the check of the table itself says so
    except ConfigError as error:
        return [(error.line, error.why)]
    return _with_lines(reports)


def _with_lines(reports: list[str]) -> list[tuple[int, str]]:
    found = []
    for report in reports:
        match = _AT_LINE.fullmatch(report)
        found.append((int(match[1]), match[2]) if match else (0, report))
    return found


def _inline_entries(name: str) -> list[Entry]:
    found = []
    for item in split_tokens(name.removeprefix("{").removesuffix("}")):
        try:
            found.append(Entry(0, *split_name_value(item.removeprefix("{").removesuffix("}"))))
        except ValueError:
            continue
    return found
