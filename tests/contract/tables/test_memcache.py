"""memcache: tables at Debian's memcached: keys, changes, the backup, and the same answers as Debian's Postfix."""

import hashlib
import re
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest

from posthouse.tables.open import Opener
from posthouse.tables.remote import WritableRemoteTable
from posthouse.tables.table import WritableTable
from posthouse.util.errors import ConfigError, TableError
from tests.support.lookups import logged, opener, run_async
from tests.support.postmap import ask_postfix
from tests.support.table_rigs import MemcachedRig

Body = Callable[[WritableRemoteTable, Opener], Coroutine[object, None, None]]


class Full(MemcachedRig):
    """The server, and what is in it."""

    def settings(self, *lines: str) -> str:
        """Write settings."""
        return self._file(f"memcache = inet:127.0.0.1:{self.port}", "timeout = 10", "retry_pause = 1", *lines)

    def talk(self, command: bytes) -> bytes:
        """Send a command; give the beginning of the reply."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            sock.sendall(command)
            return sock.recv(65536)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Full]:
    """Run one."""
    if reason := Full.why_not():
        pytest.skip(reason)
    with Full(tmp_path) as rig:
        yield rig


def run(spec: str, body: Body) -> None:
    """Open the table and run a body with it."""

    async def whole() -> None:
        opened = opener()
        table = opened.open(spec)
        assert isinstance(table, WritableRemoteTable)
        await body(table, opened)
        opened.close()

    run_async(whole())


@pytest.mark.parametrize(
    ("lines", "keys"),
    [
        ("", ["alpha", "ALPHA", "nothing", "b c", "key7", "x" * 250]),
        ("key_format = key%s", ["7", "8", "x"]),
        ("key_format = key%u", ["7@example.org", "7", "@example.org"]),
        ("key_format = key%d", ["x@7", "7"]),
        ("key_format = key%2", ["x@7.org", "x@org"]),
        ("key_format = %S", ["alpha"]),
        ("domain = example.org", ["percent%41@example.org", "alpha", "a@example.com"]),
        ("data_size_limit = 3", ["alpha", "key7"]),
        ("line_size_limit = 10", ["alpha"]),
    ],
)
def test_the_same_as_postfix(server: Full, lines: str, keys: list[str], tmp_path: Path) -> None:
    """Each setting does what it does in Debian's Postfix."""
    spec = server.settings(*lines.split("\n"), "max_try = 1")
    found: list[str | None] = []

    async def body(table: WritableRemoteTable, _opened: Opener) -> None:
        for key in keys:
            try:
                found.append(await table.lookup(key))
            except TableError:
                found.append("error")

    run(spec, body)
    assert found == ask_postfix(spec, keys, tmp_path)


def test_changes(server: Full) -> None:
    """What is stored is found, by others too; what is deleted is not."""

    async def body(table: WritableRemoteTable, _opened: Opener) -> None:
        await table.put("New", "a value")
        assert await table.lookup("new") == "a value"
        assert server.talk(b"get t:new\r\n") == b"VALUE t:new 5 7\r\na value\r\nEND\r\n"
        assert await table.delete("new")
        assert not await table.delete("new")
        assert await table.lookup("new") is None
        await table.put("old", "x")

    run(server.settings("key_format = t:%s", "flags = 5", "ttl = 1000"), body)
    found = re.search(rb"key=t%3Aold exp=([0-9]+)", server.talk(b"lru_crawler metadump all\r\n"))
    assert found is not None
    assert 0 < int(found[1]) - time.time() <= 1001


def test_large_values(server: Full) -> None:
    """They are not stored, and nothing old stays in their place."""

    async def body(table: WritableRemoteTable, _opened: Opener) -> None:
        await table.put("a", "short")
        with logged() as lines:
            await table.put("a", "x" * 101)
        assert any("not stored" in line for line in lines)
        assert await table.lookup("a") is None

    run(server.settings("data_size_limit = 100"), body)


def test_keys_that_memcached_cannot_take(server: Full) -> None:
    """They are left out, or go by their digest where one is named."""
    long = "a" * 300
    digest = hashlib.sha256(long.encode()).hexdigest()

    async def without(table: WritableRemoteTable, _opened: Opener) -> None:
        for key in (long, "a b"):
            await table.put(key, "x")
            assert await table.lookup(key) is None
            assert not await table.delete(key)

    async def with_digest(table: WritableRemoteTable, _opened: Opener) -> None:
        for key in (long, "a b", "short"):
            await table.put(key, key[:9])
            assert await table.lookup(key) == key[:9]

    run(server.settings(), without)
    run(server.settings("key_digest = sha256"), with_digest)
    assert server.talk(f"get {digest}\r\n".encode()).startswith(b"VALUE")
    assert server.talk(b"get short\r\n").startswith(b"VALUE")


def test_keys_that_do_not_fit(server: Full) -> None:
    """Changes of them are left out with a warning."""

    async def body(table: WritableRemoteTable, _opened: Opener) -> None:
        with logged() as lines:
            await table.put("nodomain", "x")
            assert not await table.delete("nodomain")
        assert len([line for line in lines if "skipped" in line]) == 2

    run(server.settings("key_format = %d"), body)


def test_a_backup(server: Full) -> None:
    """It is asked when memcached has nothing; what it has is then in memcached; changes go to both."""

    async def body(table: WritableRemoteTable, opened: Opener) -> None:
        backup = opened.open("internal:backup")
        assert isinstance(backup, WritableTable)
        backup.put("a", "from behind")
        assert await table.lookup("a") == "from behind"
        assert server.talk(b"get a\r\n").startswith(b"VALUE a 0 11\r\nfrom behind")
        await table.put("b", "both")
        assert backup.get("b") == "both"
        assert server.talk(b"get b\r\n").startswith(b"VALUE")
        assert await table.delete("b")
        assert backup.get("b") is None
        assert await table.lookup("b") is None
        server.stop()
        assert await table.lookup("a") == "from behind"
        await table.put("c", "behind alone")
        assert backup.get("c") == "behind alone"
        assert await table.lookup("nothing") is None

    run(server.settings("backup = internal:backup", "max_try = 1"), body)


def test_the_list_of_entries(server: Full) -> None:
    """It is that of the backup; memcached has none."""

    async def with_backup(table: WritableRemoteTable, _opened: Opener) -> None:
        assert list(table.items()) == [("x", "y")]

    async def without(table: WritableRemoteTable, _opened: Opener) -> None:
        with pytest.raises(TableError, match="needs a backup"):
            table.items()

    run(server.settings("backup = inline:{x=y}"), with_backup)
    run(server.settings(), without)


def test_a_backup_that_cannot_be_written(server: Full) -> None:
    """A change is an error; lookups go on."""

    async def body(table: WritableRemoteTable, _opened: Opener) -> None:
        assert await table.lookup("x") == "y"
        for change in (table.put("x", "z"), table.delete("x")):
            with pytest.raises(TableError, match="cannot be written"):
                await change

    run(server.settings("backup = inline:{x=y}"), body)


def test_commands_are_tried_again(server: Full) -> None:
    """A server that hangs up is asked once more; one that is away is not."""
    table = opener().open(server.settings("max_try = 3"))
    asked: list[float] = []

    async def body() -> None:
        assert await table.lookup("alpha") == "one"
        client = table._client  # type: ignore[attr-defined]
        before = client._pool.ask

        async def ask(query: object) -> object:
            asked.append(0)
            return await before(query)

        client._pool.ask = ask
        server.stop()
        with pytest.raises(TableError):
            await table.lookup("alpha")

    run_async(body())
    assert len(asked) in (1, 2), "two where the old connection was still there when it was asked"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("memcache = localhost", "memcache: .*inet:host:port"),
        ("memcache = inet:localhost:x", "memcache: "),
        ("key_format = %x", "key_format: "),
        ("key_digest = rot13", "key_digest: "),
        ("domain = {", "domain: "),
        ("max_try = 0", "max_try: "),
        ("backup = hasch:/x", "hasch"),
        ("ttl = -1", "ttl: "),
    ],
)
def test_wrong_settings(line: str, why: str, tmp_path: Path) -> None:
    """They are named with file and attribute when the table is opened."""
    (tmp_path / "m.cf").write_text(f"{line}\n")
    with pytest.raises(ConfigError, match=why):
        opener().open(f"memcache:{tmp_path}/m.cf")
