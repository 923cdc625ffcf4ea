"""Checks of lookup tables that values name: is the type known and built, can the file be read, is its index fresh."""

import difflib
import os
import pwd
import re
import stat
from collections.abc import Iterator
from typing import Final

from posthouse.config.findings import ERROR, NOTE, WARNING, Kind, Problem
from posthouse.config.index_files import INDEX_SUFFIXES, index_path
from posthouse.config.lists import split_tokens

# Every type of Postfix 3.11 (tables.tsv), and three of our own; what of it is built says the registry.
KNOWN_TYPES: Final = frozenset(
    {
        "btree", "cdb", "cidr", "dbm", "debug", "environ", "fail", "hash", "http-json", "https-json", "inline",
        "internal", "ldap", "lmdb", "memcache", "mongodb", "mysql", "netinfo", "nis", "nisplus", "pcre", "pgsql",
        "pipemap", "proxy", "randmap", "redis", "regexp", "sdbm", "socketmap", "sqlite", "static", "tcp", "texthash",
        "unionmap", "unix",
    }
)  # fmt: skip
TEXT_TYPES: Final = frozenset({"cidr", "pcre", "regexp", "texthash"})  # read the named file itself
# name a file of settings; without a "/" the settings are in main.cf
SETTINGS_TYPES: Final = frozenset(
    {"http-json", "https-json", "ldap", "memcache", "mongodb", "mysql", "pgsql", "redis", "sqlite"}
)
COMPOSITES: Final = frozenset({"pipemap", "unionmap"})
PREFIXES: Final = frozenset({"debug", "proxy"})  # followed by another type:name
_TABLE: Final = re.compile(r"!?([A-Za-z][A-Za-z0-9_-]*):(.*)", re.ASCII | re.DOTALL)

UNKNOWN_TYPE = Kind("unknown-table-type", ERROR, "A value names a table type that does not exist.")
NOT_BUILT = Kind(
    "table-not-built",
    WARNING,
    "Postfix has the table type, and this release does not. It is an error where mail would be decided wrongly.",
    "every lookup in it fails temporarily",
    'choose one of "postconf -m"',
)
MISSING = Kind("table-missing", ERROR, "The file of a table, or of a list, is not there.")
UNREADABLE = Kind("table-unreadable", ERROR, "The file of a table cannot be read by the user that reads it.")
NO_INDEX = Kind(
    "table-not-indexed",
    WARNING,
    "The source text of an indexed table is there, and the index is not.",
    "lookups in it fail temporarily until it is made",
)
STALE = Kind(
    "index-older-than-source",
    WARNING,
    "The source text of a table was changed after its index was made.",
    "the changes do not count yet",
)
WRITABLE = Kind(
    "table-writable",
    WARNING,
    "The file of a table can be written by every user.",
    "each of them can say where mail goes, and in aliases what runs",
)
NOT_CHECKED = Kind(
    "not-checked",
    NOTE,
    "The user who runs the check may not read a file that the mail system will read as root.",
    "what is wrong in it is not found",
    "run the check as root",
)


def tables_in(items: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Find the (type, name) pairs in a list of tables, patterns or restrictions; composites are taken apart."""
    for item in items:
        if item.startswith("{") and item.endswith("}"):
            yield from tables_in(tuple(split_tokens(item[1:-1])))
            continue
        match = _TABLE.fullmatch(item)
        if match is None:
            continue
        kind, name = match.groups()
        yield kind, name
        if kind in PREFIXES:
            yield from tables_in((name,))
        elif kind in COMPOSITES and name.startswith("{"):
            yield from tables_in(tuple(split_tokens(name[1:].removesuffix("}"))))


def check_table(kind: str, name: str, built: frozenset[str], *, as_root: bool = False) -> Iterator[Problem]:
    """Check one table. as_root: daemons will open it with the right to read every file."""
    shown = f"{kind}:{name}"
    if kind not in KNOWN_TYPES:
        guess = difflib.get_close_matches(kind, sorted(KNOWN_TYPES), n=1, cutoff=0.6)
        fix = f'did you mean "{guess[0]}"?' if guess else 'see "postconf -m" for the types that there are'
        yield UNKNOWN_TYPE.problem(f'there is no table type "{kind}" ({shown})', fix)
    elif kind not in built:
        yield NOT_BUILT.problem(f'table type "{kind}" is not built yet ({shown})')
    elif (kind in TEXT_TYPES and not name.startswith("{")) or kind in SETTINGS_TYPES:
        yield from check_file(name, shown, as_root=as_root)
    elif kind in INDEX_SUFFIXES:
        yield from _check_index(kind, name, shown, as_root=as_root)


def check_file(path: str, shown: str, *, as_root: bool = False) -> Iterator[Problem]:
    """Check that a file can be opened for reading. Relative names are meant for the daemons' directory: not checked."""
    if not path.startswith("/"):
        return
    if "\0" in path:
        yield MISSING.problem(f"{shown.partition(':')[0]}: no file has such a name", "write the name again")
        return
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except FileNotFoundError:
        yield MISSING.problem(f"{shown}: there is no such file", f"create {path}, or take the table out")
    except OSError as error:
        yield _unreadable(path, shown, error, as_root=as_root)
    else:
        if os.path.isdir(path):
            yield UNREADABLE.problem(f"{shown} is a directory", "name a file")
        else:
            yield from _check_mode(path, shown)


def _check_index(kind: str, name: str, shown: str, *, as_root: bool) -> Iterator[Problem]:
    """Check an indexed table: the file that postmap(1) or postalias(1) makes beside the source text."""
    if not name.startswith("/"):
        return
    if "\0" in name:
        yield MISSING.problem(f"{shown.partition(':')[0]}: no file has such a name", "write the name again")
        return
    path = index_path(kind, name)
    make = f'run "newaliases" or "postalias {shown}"' if name.endswith("aliases") else f'run "postmap {shown}"'
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except FileNotFoundError:
        if os.path.exists(name):
            yield NO_INDEX.problem(f"{shown}: {path} is missing; the source text is there", make)
        else:
            yield MISSING.problem(f"{shown}: neither {path} nor {name} exists", f"create {name} and {make}")
    except OSError as error:
        yield _unreadable(path, shown, error, as_root=as_root)
    else:
        yield from _check_mode(path, shown)
        yield from _check_mode(name, shown)
        if _is_newer(name, path):
            yield STALE.problem(f"{shown}: {path} is older than {name}", make)


def _check_mode(path: str, shown: str) -> Iterator[Problem]:
    """Look who may write a file; one that is not there is nobody's."""
    try:
        is_open = os.stat(path).st_mode & stat.S_IWOTH
    except OSError:
        return
    if is_open:
        yield WRITABLE.problem(f"{shown}: every user can write {path}", f"run: chmod o-w {path}")


def _is_newer(path: str, than: str) -> bool:
    try:
        return os.stat(path).st_mtime > os.stat(than).st_mtime
    except OSError:
        return False  # the text need not be kept


def _unreadable(path: str, shown: str, error: OSError, *, as_root: bool) -> Problem:
    """Tell that a file cannot be read. Without root, the check has the rights of the daemons."""
    if as_root and isinstance(error, PermissionError):
        return NOT_CHECKED.problem(f"{shown}: {path} cannot be read by user {_own_name()}")
    fix = f"make it readable for user {_own_name()}, whose rights the daemons have" if os.geteuid() else ""
    return UNREADABLE.problem(f"{shown}: cannot read {path}: {error.strerror}", fix or "check the file")


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
