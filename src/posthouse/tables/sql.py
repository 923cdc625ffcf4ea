"""SqlTable: what sqlite, pgsql and mysql tables have in common: their query, and what becomes of its rows.

Sources: sqlite_table(5), pgsql_table(5), mysql_table(5).
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from posthouse.tables.client_config import ClientConfig
from posthouse.tables.expansion import KeyedQuery, Parts, Template, read_template
from posthouse.tables.file_table import Origin
from posthouse.tables.hosts import ATTEMPT_S, IDLE_S, RETRY_S, PoolLimits
from posthouse.tables.open import Opener
from posthouse.tables.remote import RemoteTable
from posthouse.tables.table import is_utf8

Row = Sequence[str | None]
GRACE_S: Final = 1.0  # seconds on top of what the attempts take: their own message is better than ours


class SqlTable(RemoteTable):
    """A query that is filled with a key, and its rows."""

    def __init__(self, origin: Origin, opener: Opener, config: ClientConfig, *, timeout_s: float) -> None:
        """Read the attributes that all have. Raises ConfigError."""
        super().__init__(origin, timeout_s=timeout_s + GRACE_S)
        self._keyed = KeyedQuery(self.name, read_query(config), config, opener)
        self._query = self._keyed.query

    async def _ask(self, key: str) -> str | None:
        parts = await self._keyed.parts(key) if is_utf8(key) else None  # what is no text is in no text column
        if parts is None:
            return None
        rows = await self._rows(parts)
        return self._keyed.join((value for row in rows for value in row), parts)

    @abstractmethod
    async def _rows(self, key: Parts) -> Sequence[Row]:
        """Run the query. Raises TableError."""


def read_query(config: ClientConfig) -> Template:
    """Read the query, or make it of the attributes of old. Raises ConfigError."""
    if config.is_set("query"):
        config.required("query")
        return Template(read_template(config, "query"))
    if config.text("select_function"):
        return _of_old(config, "select_function", f"SELECT {config.text('select_function')}('%s')")
    if not config.text("select_field"):
        raise config.error("query", "it is missing")
    field, table, where = (config.required(name) for name in ("select_field", "table", "where_field"))
    text = f"SELECT {field} FROM {table} WHERE {where} = '%s' {config.text('additional_conditions')}"  # noqa: S608 - main.cf's
    return _of_old(config, "additional_conditions", text.rstrip())


def _of_old(config: ClientConfig, name: str, text: str) -> Template:
    """Make a query of the attributes of old. Raises ConfigError: a percent sign in one of them means nothing."""
    try:
        return Template(text)
    except ValueError as error:
        raise config.error(name, str(error)) from None


def read_limits(config: ClientConfig) -> PoolLimits:
    """Read how servers are asked. `timeout`, for one attempt at one server, is ours. Raises ConfigError."""
    return PoolLimits(
        attempt_s=config.seconds("timeout", ATTEMPT_S, 1, 600),
        retry_s=config.seconds("retry_interval", RETRY_S, 1),
        idle_s=config.seconds("idle_interval", IDLE_S, 1),
    )


def decode(value: object) -> str | None:
    """Make text of what a library gives for a field."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "surrogateescape")
    return str(value)
