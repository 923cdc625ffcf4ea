"""Checks of lookup tables that values name: is the type known and built, can the file be read."""

import contextlib
import difflib
import os
import pwd
import re
from collections.abc import Iterator
from typing import Final

from posthouse.config.findings import Severity
from posthouse.config.lists import split_tokens

# Every type of Postfix 3.11 (tables.tsv); what of it is built says the registry.
KNOWN_TYPES: Final = frozenset(
    {
        "btree", "cdb", "cidr", "dbm", "debug", "environ", "fail", "hash", "inline", "internal", "ldap", "lmdb",
        "memcache", "mongodb", "mysql", "netinfo", "nis", "nisplus", "pcre", "pgsql", "pipemap", "proxy", "randmap",
        "regexp", "sdbm", "socketmap", "sqlite", "static", "tcp", "texthash", "unionmap", "unix",
    }
)  # fmt: skip
TEXT_TYPES: Final = frozenset({"cidr", "pcre", "regexp", "texthash"})  # read the named file itself
INDEX_SUFFIXES: Final = {"btree": ".lmdb", "cdb": ".cdb", "hash": ".lmdb", "lmdb": ".lmdb"}
COMPOSITES: Final = frozenset({"pipemap", "unionmap"})
PREFIXES: Final = frozenset({"debug", "proxy"})  # followed by another type:name
_TABLE: Final = re.compile(r"!?([A-Za-z][A-Za-z0-9_-]*):(.*)", re.ASCII | re.DOTALL)

Problem = tuple[Severity, str, str, str]  # severity, what, consequence, fix


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
        yield Severity.ERROR, f'there is no table type "{kind}" ({shown})', "", fix
    elif kind not in built:
        what = f'table type "{kind}" is not built yet ({shown})'
        yield Severity.WARNING, what, "every lookup in it fails temporarily", 'choose one of "postconf -m"'
    elif kind in TEXT_TYPES and not name.startswith("{"):
        yield from check_file(name, shown, as_root=as_root)
    elif kind in INDEX_SUFFIXES:
        yield from _check_index(kind, name, shown, as_root=as_root)


def check_file(path: str, shown: str, *, as_root: bool = False) -> Iterator[Problem]:
    """Check that a file can be opened for reading. Relative names are meant for the daemons' directory: not checked."""
    if not path.startswith("/"):
        return
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except FileNotFoundError:
        yield Severity.ERROR, f"{shown}: there is no such file", "", f"create {path}, or take the table out"
    except OSError as error:
        if not (as_root and isinstance(error, PermissionError)):
            yield _unreadable(path, shown, error)
    else:
        if os.path.isdir(path):
            yield Severity.ERROR, f"{shown} is a directory", "", "name a file"


def _check_index(kind: str, name: str, shown: str, *, as_root: bool) -> Iterator[Problem]:
    """Check an indexed table: the file that postmap(1) or postalias(1) makes beside the source text."""
    if not name.startswith("/"):
        return
    path = name + INDEX_SUFFIXES[kind]
    with contextlib.suppress(FileNotFoundError):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        except FileNotFoundError:
            raise
        except OSError as error:
            if not (as_root and isinstance(error, PermissionError)):
                yield _unreadable(path, shown, error)
        return
    make = f'run "newaliases" or "postalias {shown}"' if name.endswith("aliases") else f'run "postmap {shown}"'
    if os.path.exists(name):
        what = f"{shown}: {path} is missing; the source text is there"
        yield Severity.WARNING, what, "lookups in it fail temporarily until it is made", make
    else:
        yield Severity.ERROR, f"{shown}: neither {path} nor {name} exists", "", f"create {name} and {make}"


def _unreadable(path: str, shown: str, error: OSError) -> Problem:
    """Tell that a file cannot be read. The check is run with the rights of the daemons, not with root's."""
    fix = f"make it readable for user {_own_name()}, whose rights the daemons have" if os.geteuid() else ""
    return Severity.ERROR, f"{shown}: cannot read {path}: {error.strerror}", "", fix or "check the file"


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
