"""What is said of a store that failed."""

import resource
from pathlib import Path

import apsw
import pytest

from posthouse.queue.sqlite.schema import reason_of


def test_the_reason_names_the_call_and_its_error(tmp_path: Path) -> None:
    """A file that must not grow: SQLite says "disk I/O error", the kernel says why."""
    connection = apsw.Connection(str(tmp_path / "store"))
    connection.execute("CREATE TABLE t (x)")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    try:
        with pytest.raises(apsw.IOError) as caught:
            connection.execute("INSERT INTO t VALUES (zeroblob(1000000))")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert reason_of(caught.value, connection.system_errno) == "IOError: disk I/O error, write: File too large"
    assert reason_of(caught.value) == "IOError: disk I/O error, write"
    connection.close()
