"""memcache: entries that memcached keeps for a while, with another table as backup. For caches.

A lookup that memcached cannot answer goes to `backup`, if there is one, and what is found there is left in memcached;
changes go to both. With a backup a memcached that is down costs speed, nothing else; without one it is a TableError.
Keys that memcached cannot take are not looked up, unless `key_digest` names what to make of them.
Whoever can talk to memcached decides what is in it, so it is refused where a table decides about rights.
Source: memcache_table(5).
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Final

from posthouse.config.lists import parse_items
from posthouse.protocol.memcached import Reply, ReplyReader, format_delete, format_get, format_set, is_key
from posthouse.tables.client_config import ClientConfig, read_config
from posthouse.tables.expansion import Parts, Template, read_template
from posthouse.tables.file_table import Origin
from posthouse.tables.hosts import Host, Pool, PoolLimits, parse_host
from posthouse.tables.matchlist import Kind, ListOptions, MatchList
from posthouse.tables.open import Opener
from posthouse.tables.remote import RemoteTable, WritableRemoteTable
from posthouse.tables.stream import Stream, StreamConnector
from posthouse.tables.table import LocalTable, WritableTable, printable
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError

PORT: Final = 11211
MAX_TTL: Final = 2**31 - 1
DIGESTS: Final = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")


class _Client:
    """memcached itself: one server, its limits, and how often a command is tried."""

    def __init__(self, name: str, config: ClientConfig) -> None:
        """Read the attributes. Raises ConfigError."""
        limits = PoolLimits(attempt_s=config.seconds("timeout", 2, 1, 600))
        self._pool = Pool(name, (_read_host(config),), StreamConnector(), limits)
        self._line_limit = config.integer("line_size_limit", 1024, 1)
        self._tries = config.integer("max_try", 2, 1, 100)
        self._pause_s = config.seconds("retry_pause", 1, 1, 600)
        self._flags = config.integer("flags", 0)
        self._ttl_s = config.integer("ttl", 3600, 0, MAX_TTL)
        self.data_limit = config.integer("data_size_limit", 10240, 1)
        self.timeout_s = (self._pool.timeout_s + self._pause_s) * self._tries
        self.close = self._pool.close

    async def get(self, key: bytes) -> bytes | None:
        """Give what is stored, or None. Raises TableError."""
        reply = await self._command(format_get(key), key)
        return reply.data if reply.word == "VALUE" else None

    async def set(self, key: bytes, data: bytes) -> None:
        """Store. Raises TableError."""
        reply = await self._command(format_set(key, data, flags=self._flags, ttl_s=self._ttl_s))
        if reply.word != "STORED":
            raise TableError(f"memcached says {reply.word}")

    async def delete(self, key: bytes) -> bool:
        """Take out; tells whether it was there. Raises TableError."""
        return (await self._command(format_delete(key))).word == "DELETED"

    async def _command(self, command: bytes, key: bytes | None = None) -> Reply:
        """Try a command as often as it may be; a server that accepts no connection is not tried again."""
        connected: list[Stream] = []

        async def exchange(stream: Stream) -> Reply:
            connected.append(stream)
            parser = ReplyReader(key, line_limit=self._line_limit, data_limit=self.data_limit)
            return await stream.exchange(command, parser)

        for left in reversed(range(self._tries)):
            connected.clear()
            try:
                return await self._pool.ask(exchange)
            except TableError:
                if not left or not connected:
                    raise
            await asyncio.sleep(self._pause_s)
        raise AssertionError("the last try returns or raises")


class Memcache(WritableRemoteTable):
    """See the module's docstring."""

    def __init__(self, origin: Origin, opener: Opener, config: ClientConfig) -> None:
        """Read the attributes and open the backup. Raises ConfigError."""
        name = origin.full_name
        self._client = _Client(name, config)
        self._backup = opener.open(config.text("backup"), origin.flags) if config.text("backup") else None
        behind_s = self._backup.timeout_s if isinstance(self._backup, RemoteTable) else 0.0
        super().__init__(origin, timeout_s=2 * self._client.timeout_s + behind_s + 1)
        self._format = Template(read_template(config, "key_format", "%s"))
        self._digest = _read_digest(config)
        try:
            domains = parse_items(config.text("domain"))
            self._domains = MatchList(domains, opener, ListOptions(Kind.STRING, label=f"{name}: domain"))
        except (ConfigError, ValueError) as error:
            raise config.error("domain", str(error)) from None
        config.finish()

    async def _ask(self, key: str) -> str | None:
        if not await self._is_eligible(key):
            return None
        data = await self._asked_server(key)
        if data is not None:
            return data.decode("utf-8", "surrogateescape")
        if self._backup is None:
            return None
        value = await self._backup.lookup(key)
        if value is not None:
            await self._spare(self._to_server(key, value))
        return value

    async def _store(self, key: str, value: str) -> None:
        if not await self._is_eligible(key):
            log.warning(f'{self.name}: update of "{printable(key)}" skipped: the key does not fit key_format or domain')
            return
        if self._backup is None:
            await self._to_server(key, value)
            return
        await self._spare(self._to_server(key, value))
        if isinstance(self._backup, WritableTable):
            self._backup.put(key, value)
        elif isinstance(self._backup, WritableRemoteTable):
            await self._backup.put(key, value)
        else:
            raise self.failure(f"{self._backup.name} cannot be written")

    async def _remove(self, key: str) -> bool:
        if not await self._is_eligible(key):
            log.warning(f'{self.name}: delete of "{printable(key)}" skipped: the key does not fit key_format or domain')
            return False
        if self._backup is None:
            name = self._server_key(key)
            return name is not None and await self._client.delete(name)
        await self._spare(self._from_server(key))
        if isinstance(self._backup, WritableTable):
            return self._backup.delete(key)
        if isinstance(self._backup, WritableRemoteTable):
            return await self._backup.delete(key)
        raise self.failure(f"{self._backup.name} cannot be written")

    def items(self) -> Iterator[tuple[str, str]]:
        """Give all entries of the backup. Raises TableError: there is none, or it has no list of entries."""
        if isinstance(self._backup, LocalTable):
            return self._backup.items()
        raise self.failure("sequence operation needs a backup table that has it")

    def close(self) -> None:
        """End lookups and close the connections; the opener closes the backup."""
        super().close()
        self._client.close()

    async def _is_eligible(self, key: str) -> bool:
        parts = Parts.of(key)
        if not key or not self._format.fits(parts):
            return False
        if not self._domains:
            return True
        return bool(parts.user and parts.domain) and await self._domains.matches(parts.domain)

    def _server_key(self, key: str) -> bytes | None:
        """Make memcached's key; None: it has no place for such a key."""
        name = self._format.fill(Parts.of(key)).encode("utf-8", "surrogateescape")
        if is_key(name):
            return name
        if self._digest is None:
            log.warning(f'{self.name}: memcached takes no key "{printable(key[:60])}": too long, or blanks in it')
            return None
        return self._digest(name)

    async def _asked_server(self, key: str) -> bytes | None:
        """Ask memcached. Raises TableError, unless the backup can be asked."""
        name = self._server_key(key)
        if name is None:
            return None
        try:
            return await self._client.get(name)
        except TableError:
            if self._backup is None:
                raise
            return None

    async def _to_server(self, key: str, value: str) -> None:
        """Leave a value in memcached; one that is too large is taken out instead, so that no old one stays."""
        name = self._server_key(key)
        if name is None:
            return
        data = value.encode("utf-8", "surrogateescape")
        if len(data) <= self._client.data_limit:
            await self._client.set(name, data)
            return
        log.warning(f'{self.name}: the value of "{printable(key[:60])}" has {len(data)} octets: not stored')
        await self._client.delete(name)

    async def _from_server(self, key: str) -> None:
        name = self._server_key(key)
        if name is not None:
            await self._client.delete(name)

    async def _spare(self, change: Coroutine[object, None, None]) -> None:
        """Change memcached where the backup is what counts: a failure has been logged, and is nobody's."""
        with contextlib.suppress(TableError):
            await change


def _read_host(config: ClientConfig) -> Host:
    text = config.text("memcache") or f"inet:localhost:{PORT}"
    try:
        host = parse_host(text, PORT)
    except ValueError as error:
        raise config.error("memcache", str(error)) from None
    if not text.startswith(("inet:", "unix:")):
        raise config.error("memcache", f'"{text}" is no server; write inet:host:port or unix:/path')
    return host


def _read_digest(config: ClientConfig) -> Callable[[bytes], bytes] | None:
    """Read what becomes of keys that memcached cannot take. Raises ConfigError."""
    name = config.text("key_digest").lower()
    if not name:
        return None
    if name not in DIGESTS:
        raise config.error("key_digest", f'there is no digest "{name}" here; write one of {", ".join(DIGESTS)}')
    return lambda key: hashlib.new(name, key, usedforsecurity=False).hexdigest().encode("ascii")


def open_table(origin: Origin, opener: Opener) -> Memcache:
    """Open memcache:/path/file.cf. Raises ConfigError."""
    return Memcache(origin, opener, read_config(origin, opener.settings))
