"""sqlite: a query to a database file, by the standard library's module.

The file is opened for reading only, when it is first asked and again when another file has been put in its place. A
query runs in a thread, one at a time for each table; one that takes too long is broken off, and a database that a
writer has locked is waited for. Quoting doubles single quotes, so a key must stand in '...' in the query.
Source: sqlite_table(5).
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import quote

from posthouse.tables.client_config import ClientConfig, read_config
from posthouse.tables.expansion import Parts
from posthouse.tables.file_table import Origin
from posthouse.tables.open import Opener
from posthouse.tables.sql import Row, SqlTable, decode
from posthouse.util import log

TIMEOUT_S: Final = 10.0  # seconds for one query, waiting for a lock included
STEPS: Final = 10_000  # instructions of SQLite's machine between two looks at the clock


class Sqlite(SqlTable):
    """A database file. The thread is started with the first lookup."""

    def __init__(self, origin: Origin, opener: Opener, config: ClientConfig) -> None:
        """Read the attributes. The file need not be there yet. Raises ConfigError."""
        self._limit_s = config.seconds("timeout", TIMEOUT_S, 1, 600)
        super().__init__(origin, opener, config, timeout_s=self._limit_s)
        self._path = os.path.join(origin.base_dir, config.required("dbpath"))
        if '"%s"' in self._query.text:
            log.warning(f"{config.file}: query: \"%s\" in double quotes names a column; write '%s'")
        config.finish()
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._deadline = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    async def _rows(self, key: Parts) -> Sequence[Row]:
        query = self._query.fill(key, _escape)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, query)

    def close(self) -> None:
        """End the thread, and the query that it runs."""
        super().close()
        self._deadline = 0.0
        if self._connection is not None:
            self._thread.submit(self._disconnect)
        self._thread.shutdown(wait=False)

    def _run(self, query: str) -> Sequence[Row]:
        """Run a query. Raises TableError. In the thread."""
        self._deadline = time.monotonic() + self._limit_s
        try:
            rows = self._connected().execute(query).fetchall()
        except OSError as error:
            raise self.failure(f"open {self._path}: {error.strerror}") from None
        except (sqlite3.Error, sqlite3.Warning) as error:
            self._disconnect()
            log.warning(f"{self.name}: SQL query failed: {error}")
            raise self.failure(f"SQL query failed: {error}") from None
        return [[decode(value) for value in row] for row in rows]

    def _connected(self) -> sqlite3.Connection:
        """Give the connection to the file that is there now. Raises OSError, sqlite3.Error."""
        found = os.stat(self._path)
        if self._connection is None or self._file != (found.st_dev, found.st_ino):
            self._disconnect()
            uri = f"file:{quote(os.path.abspath(self._path))}?mode=ro"
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=self._limit_s, isolation_level=None, check_same_thread=False
            )
            self._connection.text_factory = bytes
            self._connection.set_progress_handler(self._is_too_late, STEPS)
            self._file = found.st_dev, found.st_ino
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _is_too_late(self) -> bool:
        return time.monotonic() > self._deadline


def _escape(text: str) -> str:
    return text.replace("'", "''")


def open_table(origin: Origin, opener: Opener) -> Sqlite:
    """Open sqlite:/path/file.cf. Raises ConfigError."""
    return Sqlite(origin, opener, read_config(origin, opener.settings))
