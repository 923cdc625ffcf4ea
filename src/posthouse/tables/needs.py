"""What a process needs to open a remote table: files, UNIX sockets, the network. For the walls around proxymap(8).

Read from the table's name and its file of settings. A file that cannot be read needs nothing more: opening it will say
what is wrong.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote

from posthouse.config.check_tables import tables_in
from posthouse.config.lists import split_tokens
from posthouse.config.settings import Settings
from posthouse.tables.client_config import read_config
from posthouse.tables.file_table import Origin
from posthouse.tables.table import DEFAULT_FLAGS
from posthouse.util.errors import ConfigError

# The attribute that names the servers, by type. A type that is not here has no server (sqlite), or none in a file.
SERVERS: Final = {
    "http-json": "url",
    "https-json": "url",
    "ldap": "server_host",
    "memcache": "memcache",
    "mongodb": "uri",
    "mysql": "hosts",
    "pgsql": "hosts",
    "redis": "hosts",
}
_NAMED: Final = frozenset({"socketmap", "tcp"})  # the server is in the table's name
_WITH_TABLES: Final = ("domain", "backup")  # attributes that may name other tables
_PATH: Final = re.compile(r"(?:^|[\s,=:?&{])(/[^\s,;?&{}]+)", re.ASCII)
_SOCKET: Final = re.compile(r"^(?:unix:|ldapi://|/)", re.ASCII)


class Needs(NamedTuple):
    """Absolute paths of files and UNIX sockets; whether it connects by TCP; tables that it names, as (type, name)."""

    files: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    network: bool = False
    tables: tuple[tuple[str, str], ...] = ()


def needs_of(kind: str, name: str, settings: Settings) -> Needs:
    """Say what opening and asking kind:name needs."""
    if kind in _NAMED:
        path = name.removeprefix("unix:").partition(":")[0]
        return Needs(sockets=(path,)) if name.startswith("unix:") else Needs(network=True)
    try:
        config = read_config(Origin(kind, name, DEFAULT_FLAGS), settings)
    except ConfigError:
        return Needs()
    servers = [word for word in split_tokens(config.text(SERVERS.get(kind, ""))) if word]
    here = [word for word in servers if _SOCKET.match(word)]
    values = [value for attribute, value in config.values.items() if attribute != SERVERS.get(kind)]
    return Needs(
        files=tuple(path for value in values for path in _paths(value)),
        sockets=tuple(path for word in servers for path in _paths(_local(word))),
        network=kind in SERVERS and (not servers or len(here) < len(servers)),
        tables=tuple(
            spec for attribute in _WITH_TABLES for spec in tables_in(tuple(split_tokens(config.text(attribute))))
        ),
    )


def _local(server: str) -> str:
    """Give a server's word with a path in it where it has one: unix:/path, ldapi://%2Fpath, ...?host=/path."""
    text = unquote(server)
    return text.removeprefix("unix:").removeprefix("ldapi://")


def _paths(value: str) -> Iterator[str]:
    for match in _PATH.finditer(value):
        if not match.group(1).startswith("//"):
            yield match.group(1).rstrip("/") or "/"
