"""Opener: from "type:name" to a Table.

One Opener serves one process. It opens each table once, however many parameters name it, and knows whether any of them
has changed (`poll`). Modules of the types are imported when first needed: a daemon without regexp tables has no RE2 in
its memory. They are opened before confinement, so nothing is imported after it.
"""

import difflib
import importlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from posthouse.config.check_tables import KNOWN_TYPES
from posthouse.config.lists import is_balanced, split_tokens
from posthouse.config.parameters import DAEMON_TABLE_OPEN_ERROR_IS_FATAL, SMTPUTF8_ENABLE
from posthouse.config.settings import Settings
from posthouse.tables.composite import Composite, PipeMap, UnionMap, debug_table
from posthouse.tables.fail import Fail
from posthouse.tables.file_table import Origin
from posthouse.tables.maps import Maps
from posthouse.tables.proxy import ProxyClient, ProxyTable
from posthouse.tables.table import DEFAULT_FLAGS, Table, TableFlags
from posthouse.tables.watch import FileWatch
from posthouse.util import log
from posthouse.util.errors import ConfigError

# type → module and function; each takes an Origin and returns a LocalTable
BUILT: Final = {
    "btree": ("bdb", "open_table"),
    "cdb": ("cdb", "open_table"),
    "cidr": ("cidr", "open_table"),
    "environ": ("memory", "open_environ"),
    "fail": ("fail", "open_table"),
    "hash": ("bdb", "open_table"),
    "inline": ("inline", "open_table"),
    "internal": ("memory", "open_internal"),
    "lmdb": ("lmdb", "open_table"),
    "pcre": ("pcre", "open_table"),
    "randmap": ("memory", "open_randmap"),
    "regexp": ("regexp", "open_table"),
    "static": ("static", "open_table"),
    "texthash": ("texthash", "open_table"),
    "unix": ("unix", "open_table"),
}
# type → module whose open_table takes an Origin and the Opener and returns a RemoteTable. A table with a connection or
# a library of its own: proxymap(8) alone opens it, whether main.cf says "proxy:" or not; daemons ask there (ADR 12).
REMOTE: Final[dict[str, str]] = {
    "http-json": "http_json",
    "https-json": "http_json",
    "ldap": "ldap",
    "memcache": "memcache",
    "mongodb": "mongodb",
    "mysql": "mysql",
    "pgsql": "pgsql",
    "redis": "redis",
    "socketmap": "socketmap",
    "sqlite": "sqlite",
    "tcp": "tcp",
}
WRAPPING: Final = ("debug", "pipemap", "proxy", "unionmap")
TYPES: Final = tuple(sorted((*BUILT, *REMOTE, *WRAPPING)))
WRITABLE: Final = ("btree", "cdb", "hash", "lmdb")  # postmap can make them
PATTERN_TYPES: Final = frozenset({"cidr", "pcre", "randmap", "regexp", "socketmap", "static", "tcp"})  # whole keys only
UNAUTHENTICATED: Final = frozenset({"http-json", "memcache", "redis", "socketmap", "tcp"})  # nobody vouches for answers
NOT_BUILT: Final = tuple(sorted(KNOWN_TYPES.difference(TYPES)))


# types that never come, and what to use in their place
_TEXT: Final = "the text file that it was made from as lmdb: or texthash:"
RETIRED: Final = {
    "dbm": _TEXT,
    "sdbm": _TEXT,
    "nis": "ldap:, or a text file (ypcat -k MAP >FILE) as lmdb: or texthash:",
    "nisplus": "ldap:, or a text file as lmdb: or texthash:",
    "netinfo": "ldap:, or a text file as lmdb: or texthash:",
}


class NotBuiltError(ConfigError):
    """Postfix has this table type; Posthouse has it not yet."""


def split_spec(spec: str) -> tuple[str, str]:
    """Split "type:name". Raises ConfigError."""
    kind, colon, name = spec.partition(":")
    if not colon or not name or not kind:
        raise ConfigError(f'open dictionary: expecting "type:name" form instead of "{spec}"')
    return kind, name


def unknown_type(kind: str) -> ConfigError:
    """Make the error for a type that cannot be opened."""
    if kind in RETIRED:
        return NotBuiltError(f"unsupported dictionary type: {kind}; it is not made any more; use {RETIRED[kind]}")
    if kind in NOT_BUILT:
        return NotBuiltError(f"unsupported dictionary type: {kind}; Postfix has it, Posthouse does not have it yet")
    near = difflib.get_close_matches(kind, (*TYPES, *NOT_BUILT), n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return ConfigError(f"unsupported dictionary type: {kind}{hint}; there are {', '.join(TYPES)}")


def is_fixed_spec(spec: str) -> bool:
    """Tell from its name alone whether a table takes partial keys."""
    kind, _, name = spec.partition(":")
    if kind in ("proxy", "debug"):
        return is_fixed_spec(name)
    if kind in ("pipemap", "unionmap"):
        return all(is_fixed_spec(part) for part in split_tokens(name.removeprefix("{").removesuffix("}")))
    return kind not in PATTERN_TYPES


class _Process:
    """What holds for all openers of this process."""

    opens_remote = True


def ask_proxymap_only() -> None:
    """Open no remote table in this process from now on, not even where a service has no client of proxymap(8)."""
    _Process.opens_remote = False


class Opener:
    """What opening tables needs to know, and the tables opened so far.

    proxy: the client of proxymap(8); without it "proxy:" and remote tables are opened here: so it is in proxymap and in
    commands. base_dir: where relative names begin.
    """

    def __init__(self, settings: Settings, *, proxy: ProxyClient | None = None, base_dir: str = "") -> None:
        self.settings = settings
        self._utf8 = settings[SMTPUTF8_ENABLE]
        self._must_open = settings[DAEMON_TABLE_OPEN_ERROR_IS_FATAL]
        self._proxy = proxy
        self._base_dir = base_dir
        self._open: dict[tuple[str, TableFlags], Table] = {}

    def open(self, spec: str, flags: TableFlags = DEFAULT_FLAGS) -> Table:
        """Open a table, or give the one that is open. Raises ConfigError."""
        if flags.utf8 and not self._utf8:
            flags = replace(flags, utf8=False)
        table = self._open.get((spec, flags))
        if table is None:
            table = self._open[spec, flags] = self._make(spec, flags)
        return table

    def open_or_fail(self, spec: str, flags: TableFlags = DEFAULT_FLAGS) -> Table:
        """Open a table; one that cannot be opened is logged and answers every lookup with TableError.

        Raises ConfigError: with daemon_table_open_error_is_fatal (postconf(5)).
        """
        try:
            return self.open(spec, flags)
        except ConfigError as error:
            if self._must_open:
                raise
            failure = error
        file = FileWatch(failure.file) if failure.file else None
        if file is not None:
            with suppress(ConfigError):  # what has come meanwhile would never be seen to change
                return self.open(spec, flags)
        log.error(failure.why)
        return Fail(spec, failure.why, flags, file)

    @property
    def tables(self) -> Sequence[Table]:
        """All tables that are open."""
        return tuple(self._open.values())

    def poll(self) -> int:
        """Look at all tables; the number changes when any of them has changed."""
        for table in self._open.values():
            table.poll()
        return sum(table.generation for table in self._open.values())

    def close(self) -> None:
        """Close all tables."""
        for table in dict.fromkeys(self._open.values()):  # one may be there under two names
            table.close()
        self._open.clear()

    def _make(self, spec: str, flags: TableFlags) -> Table:
        kind, name = split_spec(spec)
        if kind == "proxy":
            split_spec(name)
            if self._proxy is None or not flags.proxy:
                return self.open(name, flags)
            return ProxyTable(spec, self._proxy, flags, takes_partial_keys=is_fixed_spec(name))
        if kind == "debug":
            return debug_table(spec, self.open(name, flags))
        if kind in ("pipemap", "unionmap"):
            return self._composite(spec, kind, name, flags)
        if kind in REMOTE:
            return self._remote(spec, flags)
        if kind not in BUILT:
            raise unknown_type(kind)
        module, function = BUILT[kind]
        open_table: Callable[[Origin], Table] = getattr(importlib.import_module(f"posthouse.tables.{module}"), function)
        return open_table(Origin(kind, name, flags, self._base_dir))

    def _remote(self, spec: str, flags: TableFlags) -> Table:
        kind, name = split_spec(spec)
        if kind in UNAUTHENTICATED and not flags.unauthenticated:
            raise ConfigError(f"{spec} map is not allowed for security-sensitive data")
        if self._proxy is not None:
            return ProxyTable(spec, self._proxy, flags, takes_partial_keys=is_fixed_spec(spec))
        if not _Process.opens_remote:
            raise ConfigError(f"{spec}: this parameter can name no table that needs a connection")
        module = importlib.import_module(f"posthouse.tables.{REMOTE[kind]}")
        open_table: Callable[[Origin, Opener], Table] = module.open_table
        return open_table(Origin(kind, name, flags, self._base_dir), self)

    def _composite(self, spec: str, kind: str, name: str, flags: TableFlags) -> Composite:
        if not (name.startswith("{") and name.endswith("}") and is_balanced(name)):
            raise ConfigError(f'bad syntax: "{spec}"; need "{kind}:{{type:name...}}"')
        parts = [self.open(part, flags) for part in split_tokens(name[1:-1])]
        if not parts:
            raise ConfigError(f'bad syntax: "{spec}"; need "{kind}:{{type:name...}}"')
        return PipeMap(spec, parts) if kind == "pipemap" else UnionMap(spec, parts)


def open_maps(names: Sequence[str], opener: Opener, flags: TableFlags = DEFAULT_FLAGS, *, strict: bool = False) -> Maps:
    """Open a list of tables. One that cannot be opened fails its lookups; when `strict`: raises ConfigError.

    What is wrong for good stops the start (config/check_tables.py). What remains, an index that postmap has not made
    yet or that was moved away, must not take a whole service down: mail waits. Source: as Opener.open_or_fail.
    """
    open_one = opener.open if strict else opener.open_or_fail
    return Maps([open_one(name, flags) for name in names])
