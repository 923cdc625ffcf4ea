"""redis: values of Redis or Valkey, by the valkey library. Ours: Postfix has no such table.

query: a command that only reads, with the key in it: "GET mail:%s", "HGET users %s", "SMEMBERS list:%u". Each word is
sent as it is, with its length, so no key can become a command. Several values are joined with commas. With GET and HGET
the table can be written too, for caches. Whoever can talk to the server decides what is in it, so the type is refused
where a table decides about rights. Source: Redis commands reference.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final

from posthouse.tables.client_config import ClientConfig, read_config
from posthouse.tables.expansion import KeyedQuery, Parts, Template, read_template
from posthouse.tables.file_table import Origin
from posthouse.tables.hosts import (
    ATTEMPT_S,
    IDLE_S,
    RETRY_S,
    Connector,
    Host,
    Pool,
    PoolLimits,
    ServerError,
    parse_host,
)
from posthouse.tables.open import Opener
from posthouse.tables.remote import WritableRemoteTable
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError

try:
    from valkey import asyncio as valkey
    from valkey.asyncio.connection import DefaultParser
    from valkey.exceptions import InvalidResponse, ResponseError, ValkeyError
except ImportError:
    raise ConfigError(
        "redis tables need the Python package valkey: pip install 'posthouse[redis]' (Debian 12 has none)"
    ) from None

PORT: Final = 6379
MAX_DB: Final = 65535
MAX_TTL: Final = 2**31 - 1
ANSWER_LIMIT: Final = 10_000_000  # octets of one answer
# command → how many words it has in all
COMMANDS: Final = {"GET": 2, "HGET": 3, "HVALS": 2, "SMEMBERS": 2, "LRANGE": 4, "ZRANGE": 4}


class _Parser(DefaultParser):  # type: ignore[misc, valid-type]  # it has no annotations
    """The library's, with a limit: it would keep whatever a server says before it looks at it."""

    async def _read(self, length: int) -> bytes:
        self._check(length)
        octets: bytes = await super()._read(length)
        return octets

    async def _readline(self) -> bytes:
        self._check(0)
        octets: bytes = await super()._readline()
        return octets

    def _check(self, length: int) -> None:
        if self._pos + length > ANSWER_LIMIT:
            raise InvalidResponse(f"an answer of more than {ANSWER_LIMIT} octets")


class _Socket:
    """What is added to the library's connections: an end that waits for nothing."""

    def close_now(self) -> None:
        """Close the socket at once."""
        writer: asyncio.StreamWriter | None = getattr(self, "_writer", None)
        if writer is not None:
            writer.transport.abort()
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None


class _Tcp(_Socket, valkey.Connection):
    pass


class _Tls(_Socket, valkey.SSLConnection):
    pass


class _Unix(_Socket, valkey.UnixDomainSocketConnection):
    pass


Connection = _Tcp | _Tls | _Unix


class RedisConnector(Connector[Connection]):
    """Makes connections that are logged in and have their database."""

    def __init__(self, words: Mapping[str, Any], tls: Mapping[str, Any] | None) -> None:
        """words: of the library, for all connections; tls: more for TLS, None: without."""
        self._words = dict(words)
        self._tls = tls

    async def connect(self, host: Host) -> Connection:
        """Connect, log in, choose the database. Raises ServerError."""
        connection: Connection
        if host.path:
            connection = _Unix(path=host.path, **self._words)
        elif self._tls is not None:
            connection = _Tls(host=host.name, port=host.port, **self._words, **self._tls)
        else:
            connection = _Tcp(host=host.name, port=host.port, **self._words)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # it has no annotation
        except (ValkeyError, OSError, ValueError) as error:
            connection.close_now()
            raise ServerError(_message(error)) from None
        return connection

    def drop(self, connection: Connection) -> None:
        """Close a connection at once."""
        connection.close_now()


class Redis(WritableRemoteTable):
    """One query, at any of its servers."""

    def __init__(self, origin: Origin, opener: Opener, config: ClientConfig) -> None:
        """Read the attributes; nothing is connected yet. Raises ConfigError."""
        hosts = [_read_host(text, config) for text in config.items("hosts") or ("localhost",)]
        limits = PoolLimits(
            attempt_s=config.seconds("timeout", ATTEMPT_S, 1, 600),
            retry_s=config.seconds("retry_interval", RETRY_S, 1),
            idle_s=config.seconds("idle_interval", IDLE_S, 1),
        )
        tls = _read_tls(config)
        self._pool = Pool(origin.full_name, hosts, RedisConnector(_read_words(config), tls), limits)
        super().__init__(origin, timeout_s=self._pool.timeout_s + 1)
        text = read_template(config, "query", "GET %s")
        self._words = _read_query(text, config)
        self._keyed = KeyedQuery(self.name, Template(text), config, opener)
        self._ttl_s = config.integer("ttl", 0, 0, MAX_TTL)
        if self._ttl_s and self._command != "GET":
            raise config.error("ttl", "only values that are kept by GET and SET have a time to live")
        self._writable = self._command in ("GET", "HGET") and config.text("result_format", "%s") == "%s"
        config.finish()

    @property
    def _command(self) -> str:
        return self._words[0].text

    async def _ask(self, key: str) -> str | None:
        parts = await self._keyed.parts(key)
        if parts is None:
            return None
        reply = await self._run(self._filled(parts))
        values = reply if isinstance(reply, (list, set, tuple)) else (reply,)
        if not all(value is None or isinstance(value, (bytes, int)) for value in values):
            log.warning(f"{self.name}: the server gives values that are neither text nor a number")
            raise self.failure("the server gives values that are neither text nor a number")
        return self._keyed.join((_decode(value) for value in values), parts)

    async def _store(self, key: str, value: str) -> None:
        parts = await self._changed(key)
        if parts is None:
            return
        data = value.encode("utf-8", "surrogateescape")
        words = self._filled(parts)
        if self._command == "HGET":
            await self._run((b"HSET", *words[1:], data))
        else:
            ends = (b"EX", b"%d" % self._ttl_s) if self._ttl_s else ()
            await self._run((b"SET", *words[1:], data, *ends))

    async def _remove(self, key: str) -> bool:
        parts = await self._changed(key)
        if parts is None:
            return False
        words = self._filled(parts)
        count = await self._run((b"HDEL" if self._command == "HGET" else b"DEL", *words[1:]))
        return count == 1

    async def _changed(self, key: str) -> Parts | None:
        """Take apart a key that is to be changed. Raises TableError: this table cannot be written."""
        if not self._writable:
            raise self.failure("it can be written with a query of GET or HGET and without result_format only")
        parts = await self._keyed.parts(key)
        if parts is None:
            log.warning(f'{self.name}: update of "{key}" skipped: the key does not fit the query or domain')
        return parts

    def _filled(self, parts: Parts) -> tuple[bytes, ...]:
        return tuple(word.fill(parts).encode("utf-8", "surrogateescape") for word in self._words)

    async def _run(self, words: tuple[bytes, ...]) -> object:
        """Run one command. Raises TableError."""

        async def run(connection: Connection) -> object:
            try:
                await connection.send_command(*words)
                return await connection.read_response()
            except ResponseError as error:
                raise TableError(f"{self.name}: the server says: {_message(error)}") from None
            except (ValkeyError, ValueError) as error:
                raise ServerError(_message(error)) from None

        return await self._pool.ask(run)

    def close(self) -> None:
        """End lookups and close the connections."""
        super().close()
        self._pool.close()


def _read_query(text: str, config: ClientConfig) -> tuple[Template, ...]:
    """Read the words of the query. Raises ConfigError: no command that reads, or not as many words as it has."""
    command, *rest = text.split()
    count = COMMANDS.get(command.upper())
    if count is None:
        raise config.error("query", f'"{command}" is not one of {", ".join(COMMANDS)}')
    if len(rest) + 1 != count:
        raise config.error("query", f"{command.upper()} has {count - 1} words behind it")
    return tuple(Template(word) for word in (command.upper(), *rest))


def _read_words(config: ClientConfig) -> dict[str, Any]:
    """Read who logs in, and the database. No time limits: those are the pool's."""
    return {
        "db": config.integer("db", 0, 0, MAX_DB),
        "username": config.text("username") or None,
        "password": config.text("password") or None,
        "socket_timeout": None,
        "lib_name": None,
        "lib_version": None,
        "parser_class": _Parser,
    }


def _read_tls(config: ClientConfig) -> dict[str, Any] | None:
    """Read what TLS needs; None: it is off. Raises ConfigError: a file that cannot be used."""
    words: dict[str, Any] = {
        "ssl_ca_certs": config.text("tls_ca_file") or None,
        "ssl_certfile": config.text("tls_cert_file") or None,
        "ssl_keyfile": config.text("tls_key_file") or None,
        "ssl_check_hostname": config.boolean("tls_verify_cert", default=True),
    }
    if not config.boolean("tls", default=False):
        return None
    words["ssl_cert_reqs"] = "required" if words["ssl_check_hostname"] else "none"
    words["ssl_min_version"] = ssl.TLSVersion.TLSv1_2
    return words


def _read_host(text: str, config: ClientConfig) -> Host:
    try:
        return parse_host(text, PORT)
    except ValueError as error:
        raise config.error("hosts", str(error)) from None


def _decode(value: object) -> str | None:
    """Make text of a reply; nil is no value."""
    if value is None:
        return None
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _message(error: Exception) -> str:
    return str(error).replace("\n", " ") or type(error).__name__


def open_table(origin: Origin, opener: Opener) -> Redis:
    """Open redis:/path/file.cf. Raises ConfigError."""
    return Redis(origin, opener, read_config(origin, opener.settings))
