"""Indexes that a directory made for Postfix lacks.

hash: and btree: names are served by an lmdb file made from the same source text (docs/compatibility.md); a machine that
ran Postfix has the text and mostly a Berkeley DB file, which is read as it is (tables/bdb.py). Where there is the text
alone, the start makes the index, once, as newaliases or postmap would; it never renews one: when an edited text counts
is the administrator's to say. An lmdb: table that main.cf names is left alone, as Postfix leaves it.
"""

import os
import subprocess  # starts our own programs
import sys
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from posthouse.config.check_tables import tables_in
from posthouse.config.index_files import INDEX_SUFFIXES, OLD_SUFFIX, index_path
from posthouse.config.lists import split_tokens
from posthouse.config.settings import Settings
from posthouse.util.errors import ConfigError

MADE: Final = frozenset({"btree", "hash"})
ALIAS_PARAMETERS: Final = ("alias_maps", "alias_database")
_RUN: Final = "import sys; from posthouse.commands.{command} import main; sys.exit(main())"

Say = Callable[[str, str], None]  # severity, text


class Indexed(NamedTuple):
    """A table that is ours to look after: the command that makes it, its name, its source text and its file."""

    command: str
    table: str
    source: str
    path: str


def indexed_tables(settings: Settings) -> Iterator[Indexed]:
    """Find the tables that are in indexes which the start makes."""
    seen: set[str] = set()
    names = [*ALIAS_PARAMETERS, *(name for name in settings.explicit if name not in ALIAS_PARAMETERS)]
    for parameter in names:
        try:
            items = tuple(split_tokens(settings.text(parameter)))
        except ConfigError:
            continue  # the check of the whole configuration tells that better
        for kind, name in tables_in(items):
            path = index_path(kind, name) if kind in INDEX_SUFFIXES else name
            # alias_maps' default is lmdb: here and hash: in Debian's Postfix; a main.cf that names none means either.
            if not (kind in MADE or (kind in INDEX_SUFFIXES and not settings.is_set(parameter))):
                continue
            if not name.startswith("/") or path in seen:
                continue
            seen.add(path)
            yield Indexed("postalias" if parameter in ALIAS_PARAMETERS else "postmap", f"{kind}:{name}", name, path)


def missing_indexes(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Find the tables without index whose source text is there: (command that makes it, type:name, path)."""
    for command, table, source, path in indexed_tables(settings):
        if os.path.isfile(source) and not os.path.exists(path):
            yield command, table, path


def make_missing_indexes(settings: Settings, say: Say) -> None:
    """Make them. What cannot be made is told, and mail that needs it waits; what Postfix made is told, too."""
    for command, table, source, path in indexed_tables(settings):
        if path == source + OLD_SUFFIX and os.path.exists(path):
            new = source + INDEX_SUFFIXES["lmdb"]
            say("info", f"{table} is read from {path}, which Postfix wrote; the next {command} makes {new}")
    for command, table, path in missing_indexes(settings):
        argv = [sys.executable, "-I", "-c", _RUN.format(command=command), "-c", settings.config_directory, table]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
        if done.returncode == 0:
            say("info", f"made {path} from its source text, as {command} would")
        else:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            say("warning", f"{table} has no index and none could be made; mail that needs it waits: {last}")
