"""mongodb: a query to MongoDB, by its own asynchronous client (pymongo).

query_filter and projection are JSON. The filter is read once, and parts of the key are put into its texts afterwards: a
key can become neither an operator nor the name of a field. Fields that hold text or whole numbers, or lists of these,
give the results. Source: mongodb_table(5).
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from posthouse.tables.client_config import ClientConfig, read_config
from posthouse.tables.expansion import KeyedQuery, Parts, Template, read_template
from posthouse.tables.file_table import Origin
from posthouse.tables.open import Opener
from posthouse.tables.remote import RemoteTable
from posthouse.util import log
from posthouse.util.errors import ConfigError

try:
    from pymongo import AsyncMongoClient
    from pymongo.errors import PyMongoError
except ImportError:
    raise ConfigError(
        "mongodb tables need the Python package pymongo, 4.13 or newer: pip install 'posthouse[mongodb]'"
    ) from None

Document = Mapping[str, Any]
URI: Final = "mongodb://localhost:27017"
TIMEOUT_S: Final = 10.0
CONNECTIONS: Final = 4
GRACE_S: Final = 1.0  # for the library's own message


class Filter:
    """A filter with places for parts of the key."""

    def __init__(self, text: str) -> None:
        """Raises ValueError: it is no JSON object, or has places outside of its values."""
        self._document = json.loads(text)
        if not isinstance(self._document, dict):
            raise ValueError("it is no JSON object")  # noqa: TRY004 - the text is wrong
        self.template = Template(" ".join(_texts(self._document)))
        if Template(text).letters != self.template.letters:
            raise ValueError("parts of the key can stand in its values only, not in names")

    def fill(self, parts: Parts) -> Document:
        """Put the parts of a key in."""
        filled: Document = _filled(self._document, parts)
        return filled


class MongoDb(RemoteTable):
    """One query to one deployment."""

    def __init__(self, origin: Origin, opener: Opener, config: ClientConfig) -> None:
        """Read the attributes; nothing is connected yet. Raises ConfigError."""
        self._timeout_s = config.seconds("timeout", TIMEOUT_S, 1, 600)
        super().__init__(origin, timeout_s=self._timeout_s + GRACE_S)
        self._uri = config.text("uri") or URI
        self._place = config.required("dbname"), config.required("collection")
        config.required("query_filter")
        try:
            self._filter = Filter(read_template(config, "query_filter"))
        except ValueError as error:
            raise config.error("query_filter", f"it is no filter in JSON: {error}") from None
        self._projection = _read_projection(config)
        self._fields = config.items("result_attribute")
        if bool(self._fields) == bool(self._projection):
            raise config.error("result_attribute", "write either result_attribute or projection")
        self._keyed = KeyedQuery(self.name, self._filter.template, config, opener)
        self._limit = config.integer("expansion_limit", 0)
        config.finish()
        self._client: AsyncMongoClient[dict[str, Any]] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def _ask(self, key: str) -> str | None:
        parts = await self._keyed.parts(key)
        if parts is None:
            return None
        try:
            documents = await self._find(self._filter.fill(parts))
        except (PyMongoError, UnicodeError) as error:
            why = str(error).partition(" (configured timeouts")[0].replace("\n", " ")[:300] or type(error).__name__
            log.warning(f"{self.name}: {why}")
            raise self.failure(why) from None
        return self._keyed.join(self._values(documents), parts)

    async def _find(self, query: Document) -> list[dict[str, Any]]:
        """Run the query. Raises PyMongoError."""
        collection = self._connected()[self._place[0]][self._place[1]]
        projection = self._projection or dict.fromkeys(self._fields, 1)
        limit = self._limit + 1 if self._limit else 0  # one more: join says that it is too many
        return await collection.find(query, projection, limit=limit).to_list()

    def _connected(self) -> "AsyncMongoClient[dict[str, Any]]":
        """Give the client, which connects by itself. Raises PyMongoError: the URI is none."""
        if self._client is None:
            self._client = AsyncMongoClient(
                self._uri,
                timeoutMS=int(self._timeout_s * 1000),
                serverSelectionTimeoutMS=int(self._timeout_s * 1000),
                connectTimeoutMS=int(self._timeout_s * 1000),
                maxPoolSize=CONNECTIONS,
                appname="posthouse",
            )
        return self._client

    def _values(self, documents: list[dict[str, Any]]) -> Iterator[str | None]:
        for document in documents:
            yield from values_of(document, self._fields, self.name)

    def close(self) -> None:
        """End lookups and close the connections."""
        super().close()
        client, self._client = self._client, None
        if client is not None:
            try:
                self._closing = asyncio.get_running_loop().create_task(client.close())
            except RuntimeError:  # the loop has ended, and the process does
                return


def values_of(document: Document, fields: tuple[str, ...], name: str) -> Iterator[str]:
    """Give the results in a document: of these fields (a.b goes down), or of all but _id. name: for warnings."""
    found = [(field, _at(document, field)) for field in fields] if fields else list(document.items())
    for field, value in found:
        if value is None or (field == "_id" and not fields):
            continue
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, str):
                yield item
            elif isinstance(item, int) and not isinstance(item, bool):
                yield str(item)
            else:
                log.warning(f"{name}: field {field} is neither text nor a whole number: ignored")


def _at(document: Document, field: str) -> object:
    value: object = document
    for part in field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _texts(value: object) -> Iterator[str]:
    """Give all texts among the values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _filled(value: Any, parts: Parts) -> Any:  # noqa: ANN401 - JSON is anything
    if isinstance(value, str):
        return Template(value).fill(parts)
    if isinstance(value, dict):
        return {name: _filled(inner, parts) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, parts) for inner in value]
    return value


def _read_projection(config: ClientConfig) -> dict[str, Any] | None:
    """Read the projection. Raises ConfigError."""
    text = config.text("projection")
    if not text:
        return None
    try:
        projection = json.loads(text)
    except ValueError as error:
        raise config.error("projection", f"it is no JSON: {error}") from None
    if not isinstance(projection, dict) or not projection:
        raise config.error("projection", "it is no JSON object with fields in it")
    return projection


def open_table(origin: Origin, opener: Opener) -> MongoDb:
    """Open mongodb:/path/file.cf. Raises ConfigError."""
    return MongoDb(origin, opener, read_config(origin, opener.settings))
