"""mysql: a query to MySQL or MariaDB, by asyncmy.

hosts: unix:/socket, host, host:port; "localhost" is the server's usual UNIX socket, as everywhere with MySQL. Keys are
escaped as the session's sql_mode wants it; a key must stand in '...' in the query. A query may call a procedure; it
must give exactly one set of rows, unless require_result_set is "no", when it may give none. Source: mysql_table(5).
"""

import configparser
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from posthouse.tables.client_config import ClientConfig, read_config
from posthouse.tables.expansion import Parts
from posthouse.tables.file_table import Origin
from posthouse.tables.hosts import Connector, Host, Pool, ServerError, parse_host
from posthouse.tables.open import Opener
from posthouse.tables.sql import Row, SqlTable, decode, read_limits
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError

try:
    from asyncmy import errors
    from asyncmy.charset import charset_by_name
    from asyncmy.connection import Connection
except ImportError:
    raise ConfigError("mysql tables need the Python package asyncmy: pip install 'posthouse[mysql]'") from None

PORT: Final = 3306
SOCKET: Final = "/run/mysqld/mysqld.sock"  # Debian's, and most others'
CHARSET: Final = "utf8mb4"
# Errors of servers that are about to go, or have given up on this connection.
BROKEN: Final = frozenset({1040, 1053, 1077, 1152, 1158, 1159, 1160, 1161, 1317})
CLIENTS_OWN: Final = range(2000, 3000)  # numbers of errors that the library gives to what it finds itself
# What the library raises, which believes its server, when the other end speaks another protocol or a broken one.
NONSENSE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
    ValueError,
    struct.error,
    MemoryError,  # a length beyond the packet
)
_OPTIONS: Final = ("user", "password", "database", "socket", "port", "default-character-set", "ssl-ca", "ssl-capath",
                   "ssl-cert", "ssl-key", "ssl-cipher")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Login:
    """What a connection needs besides its server."""

    user: str
    password: bytes
    database: str
    charset: str
    tls: ssl.SSLContext | None


class MysqlConnector(Connector[Connection]):
    """Makes connections."""

    def __init__(self, login: Login) -> None:
        self._login = login

    async def connect(self, host: Host) -> Connection:
        """Connect and log in. Raises ServerError."""
        login = self._login
        where: dict[str, Any] = {"unix_socket": host.path} if host.path else {"host": host.name, "port": host.port}
        connection = Connection(  # type: ignore[no-untyped-call]
            **where,
            user=login.user,
            password=login.password,
            database=login.database or None,
            charset=login.charset,
            ssl=None if host.path else login.tls,
            conv={},  # values stay text
            autocommit=True,
            connect_timeout=3600,  # the pool's limits hold
        )
        try:
            await connection.connect()
        except errors.Error as error:
            raise ServerError(_message(error)) from None
        except RuntimeError as error:  # a package is missing that its way to log in needs
            raise ServerError(str(error)) from None
        except NONSENSE as error:
            raise ServerError(f"it does not speak the protocol of MySQL ({error!r})") from None
        return connection

    def drop(self, connection: Connection) -> None:
        """Close the socket."""
        connection.close()


class Mysql(SqlTable):
    """One query, at any of its servers."""

    def __init__(self, origin: Origin, opener: Opener, config: ClientConfig) -> None:
        """Read the attributes; nothing is connected yet. Raises ConfigError."""
        limits = read_limits(config)
        options = _read_option_file(config)
        hosts = [_read_host(text, config, options) for text in config.items("hosts") or ("localhost",)]
        self._needs_rows = config.boolean("require_result_set", default=True)
        login = Login(
            user=config.text("user") or options.get("user", ""),
            password=(config.text("password") or options.get("password", "")).encode("utf-8", "surrogateescape"),
            database=config.text("dbname") or options.get("database", ""),
            charset=config.text("charset") or options.get("default-character-set", "") or CHARSET,
            tls=_tls_context(config, options),
        )
        if charset_by_name(login.charset) is None:
            raise config.error("charset", f'there is no character set "{login.charset}"')
        if not login.user:
            raise config.error("user", "it is missing")
        self._charset = login.charset
        self._pool = Pool(origin.full_name, hosts, MysqlConnector(login), limits)
        super().__init__(origin, opener, config, timeout_s=self._pool.timeout_s)
        config.finish()

    async def _rows(self, key: Parts) -> Sequence[Row]:
        return await self._pool.ask(partial(self._query_rows, key))

    async def _query_rows(self, key: Parts, connection: Connection) -> Sequence[Row]:
        query = self._query.fill(key, connection.escape_string)
        cursor = connection.cursor()
        try:
            await cursor.execute(query)
            rows: Sequence[Row] | None = None
            more: object = True
            while more:  # a procedure's own status comes behind its rows
                if cursor.description is not None:
                    if rows is not None:
                        raise self._query_failed("several sets of rows are not supported")
                    rows = [[decode(value) for value in row] for row in await cursor.fetchall()]
                more = await cursor.nextset()
        except errors.Error as error:
            if _is_answer(error):
                raise self._query_failed(_message(error)) from None
            raise ServerError(_message(error)) from None
        except UnicodeEncodeError:
            raise self._query_failed(f"the key cannot be written in charset {self._charset}") from None
        except RuntimeError as error:  # a package is missing that its way to log in needs
            raise ServerError(str(error)) from None
        except NONSENSE as error:
            raise ServerError(f"it does not speak the protocol of MySQL ({error!r})") from None
        if rows is None and self._needs_rows:
            raise self._query_failed('it gives no rows; "require_result_set = no" would allow that')
        return rows or ()

    def _query_failed(self, why: str) -> TableError:
        log.warning(f"{self.name}: query failed: {why}")
        return self.failure(f"query failed: {why}")

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._pool.close()


def _read_host(text: str, config: ClientConfig, options: dict[str, str]) -> Host:
    try:
        host = parse_host(text, PORT)
    except ValueError as error:
        raise config.error("hosts", str(error)) from None
    return host._replace(path=options.get("socket") or SOCKET) if host.name == "localhost" else host


def _read_option_file(config: ClientConfig) -> dict[str, str]:
    """Read what we know of a my.cnf: [client], and option_group on top. Raises ConfigError."""
    path = config.text("option_file")
    group = config.text("option_group", "client" if path else "")
    if not group:
        return {}
    path = path or "/etc/mysql/my.cnf"
    parser = configparser.RawConfigParser(allow_no_value=True, strict=False, comment_prefixes=("#", ";", "!"))
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            parser.read_file(file)
    except OSError as error:
        raise config.error("option_file", f"open {path}: {error.strerror}") from None
    except configparser.Error as error:
        raise config.error("option_file", f"{path}: {' '.join(str(error).split())}") from None
    found: dict[str, str] = {}
    for section in dict.fromkeys(("client", group)):
        if parser.has_section(section):
            words = {name.replace("_", "-"): value or "" for name, value in parser.items(section)}
            found |= {name: words[name].strip("\"'") for name in _OPTIONS if name in words}
    return found


def _tls_context(config: ClientConfig, options: dict[str, str]) -> ssl.SSLContext | None:
    """Make the TLS settings; None when no attribute asks for TLS. Raises ConfigError.

    As with MySQL's own client the server's certificate is verified where an authority is named.
    """
    names = ("ca", "capath", "cert", "key", "cipher")
    attributes = ("tls_CAfile", "tls_CApath", "tls_cert_file", "tls_key_file", "tls_ciphers")
    values = [
        config.text(attribute) or options.get(f"ssl-{name}", "")
        for attribute, name in zip(attributes, names, strict=True)
    ]
    verify = config.boolean("tls_verify_cert", default=False)
    if not any(values):
        return None
    authorities, directory, certificate, key, ciphers = (value or None for value in values)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = verify
        if authorities or directory:
            context.load_verify_locations(authorities, directory)
        elif verify:
            context.load_default_certs()
        context.verify_mode = ssl.CERT_REQUIRED if authorities or directory or verify else ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(certificate, key)
        if ciphers:
            context.set_ciphers(ciphers)
    except (OSError, ssl.SSLError) as error:
        raise config.error("tls_CAfile", f"cannot set TLS up: {error}") from None
    return context


def _is_answer(error: errors.Error) -> bool:
    """Whether the server has answered, with an error; else the connection is of no use any more."""
    number = error.args[0] if error.args else None
    return isinstance(number, int) and number >= 1000 and number not in BROKEN and number not in CLIENTS_OWN


def _message(error: BaseException) -> str:
    return " ".join(str(argument) for argument in error.args[-1:]) or type(error).__name__


def open_table(origin: Origin, opener: Opener) -> Mysql:
    """Open mysql:/path/file.cf. Raises ConfigError."""
    return Mysql(origin, opener, read_config(origin, opener.settings))
