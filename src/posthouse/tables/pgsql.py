"""pgsql: a query to PostgreSQL, by psycopg (asynchronous) and libpq.

hosts: unix:/directory (of the socket), host, host:port, or whole connection strings (postgresql://.., name=value) whose
own values win over user, password and dbname. Keys are escaped by libpq as the connection's settings want it; a key
must stand in '...' in the query. The query is sent as it is, in the simple protocol: no prepared statements, so
poolers between us and the server work. Source: pgsql_table(5).
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from posthouse.tables.client_config import ClientConfig, read_config
from posthouse.tables.expansion import Parts
from posthouse.tables.file_table import Origin
from posthouse.tables.hosts import Connector, Host, Pool, ServerError, parse_host
from posthouse.tables.open import Opener
from posthouse.tables.sql import Row, SqlTable, decode, read_limits
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError

try:
    import psycopg
    from psycopg import conninfo, pq
except ImportError:
    raise ConfigError(
        "pgsql tables need the Python package psycopg: pip install 'posthouse[pgsql]', or Debian's python3-psycopg"
    ) from None

PORT: Final = 5432
Connection = psycopg.AsyncConnection[object]


class PgConnector(Connector[Connection]):
    """Makes connections."""

    def __init__(self, defaults: dict[str, str]) -> None:
        self._defaults = defaults  # libpq's words

    async def connect(self, host: Host) -> Connection:
        """Connect and log in. Raises ServerError."""
        try:
            return await psycopg.AsyncConnection.connect(
                conninfo.make_conninfo(**{**self._defaults, **_words(host)}), autocommit=True, prepare_threshold=None
            )
        except psycopg.Error as error:
            raise ServerError(_message(error)) from None

    def drop(self, connection: Connection) -> None:
        """Close the socket."""
        connection.pgconn.finish()


class Pgsql(SqlTable):
    """One query, at any of its servers."""

    def __init__(self, origin: Origin, opener: Opener, config: ClientConfig) -> None:
        """Read the attributes; nothing is connected yet. Raises ConfigError."""
        limits = read_limits(config)
        hosts = [_read_host(text, config) for text in config.items("hosts") or ("localhost",)]
        defaults = {
            "user": config.text("user"),
            "password": config.text("password"),
            "dbname": config.text("dbname"),
            "client_encoding": config.text("encoding", "UTF8"),
            "application_name": "posthouse",
        }
        connector = PgConnector({name: value for name, value in defaults.items() if value})
        self._pool = Pool(origin.full_name, hosts, connector, limits)
        super().__init__(origin, opener, config, timeout_s=self._pool.timeout_s)
        config.finish()

    async def _rows(self, key: Parts) -> Sequence[Row]:
        return await self._pool.ask(partial(self._query_rows, key))

    async def _query_rows(self, key: Parts, connection: Connection) -> Sequence[Row]:
        escaping = pq.Escaping(connection.pgconn)
        encoding = ""
        try:
            encoding = connection.info.encoding
            query = self._query.fill(key, lambda text: escaping.escape_string(text.encode(encoding)).decode(encoding))
            cursor = await connection.execute(query.encode(encoding))  # the administrator's SQL
        except psycopg.Error as error:
            if connection.closed or connection.broken:
                raise ServerError(_message(error)) from None
            raise self._query_failed(error) from None
        except UnicodeEncodeError:
            raise self._query_failed(f"the key cannot be written in encoding {encoding}") from None
        result = cursor.pgresult
        if result is None or result.status != pq.ExecStatus.TUPLES_OK:
            raise self._query_failed("it gives no rows")
        return [
            [_decode(result.get_value(row, column), encoding) for column in range(result.nfields)]
            for row in range(result.ntuples)
        ]

    def _query_failed(self, error: object) -> TableError:
        why = f"query failed: {_message(error)}"
        log.warning(f"{self.name}: {why}")
        return self.failure(why)

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._pool.close()


def _read_host(text: str, config: ClientConfig) -> Host:
    if "=" not in text and "://" not in text:
        try:
            return parse_host(text, PORT)
        except ValueError as error:
            raise config.error("hosts", str(error)) from None
    try:
        words = conninfo.conninfo_to_dict(text)
    except psycopg.ProgrammingError:  # its message may quote a password
        raise config.error("hosts", "a connection string has wrong syntax") from None
    name, port = str(words.get("host") or ""), str(words.get("port") or PORT)
    shown = f"{name or 'localhost'}:{port}"
    return Host(shown, path=name if name.startswith("/") else "", name=name, source=text)


def _words(host: Host) -> dict[str, str]:
    """Say where to connect, in libpq's words."""
    if host.source:
        return {name: str(value) for name, value in conninfo.conninfo_to_dict(host.source).items()}
    if host.path:
        return {"host": host.path}
    return {"host": host.name, "port": str(host.port)}


def _message(error: object) -> str:
    return " ".join(str(error).split())


def _decode(value: bytes | None, encoding: str) -> str | None:
    return decode(value) if value is None or encoding == "utf-8" else value.decode(encoding, "surrogateescape")


def open_table(origin: Origin, opener: Opener) -> Pgsql:
    """Open pgsql:/path/file.cf. Raises ConfigError."""
    return Pgsql(origin, opener, read_config(origin, opener.settings))
