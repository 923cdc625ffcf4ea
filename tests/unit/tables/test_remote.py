"""RemoteTable: lookups that wait, in tasks, limited in time, for code that has no task itself."""

import asyncio
import sys
from collections.abc import Callable

import pytest

from posthouse.tables.blocking import BlockingLookups
from posthouse.tables.file_table import Origin
from posthouse.tables.open import Opener, ask_proxymap_only
from posthouse.tables.remote import RemoteTable
from posthouse.tables.table import DEFAULT_FLAGS, SENSITIVE, TableFlags
from posthouse.util import eager
from posthouse.util.errors import ConfigError, TableError
from tests.support.lookups import logged, now, opener


class Slow(RemoteTable):
    """Answers after a while; `stubborn` keys do not even stop when they are cancelled."""

    def __init__(self, flags: TableFlags = DEFAULT_FLAGS, *, timeout_s: float = 5.0) -> None:
        super().__init__(Origin("slow", "x", flags), timeout_s=timeout_s)
        self.ended: list[str] = []

    async def _ask(self, key: str) -> str | None:
        async with asyncio.timeout(10):  # works in a task only
            await asyncio.sleep(0.01)
        if key == "none":
            return None
        if key == "error":
            raise self.failure("it is broken")
        if key == "bug":
            raise ZeroDivisionError
        while key in ("hang", "stubborn"):
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                if key == "hang":
                    raise
                break
        self.ended.append(key)
        return f"{key}!"


def in_loop(work: Callable[[], object]) -> None:
    """Run eagerly started code in a loop, without a task, as daemons do."""
    loop = asyncio.new_event_loop()
    try:
        done: list[eager.Outcome[object]] = []

        def ended(outcome: eager.Outcome[object]) -> None:
            done.append(outcome)
            loop.stop()

        loop.call_soon(lambda: eager.start(work(), ended))  # type: ignore[arg-type]
        loop.run_forever()
        loop.run_until_complete(asyncio.sleep(0.01))
        done[0].result()
    finally:
        loop.close()


def test_lookups_without_a_task() -> None:
    """Values, misses, errors; folded; the bug of a table is its asker's."""

    async def work() -> None:
        table = Slow()
        assert await table.lookup("KEY") == "key!"
        assert await table.lookup("none") is None
        with pytest.raises(TableError, match="slow:x: it is broken"):
            await table.lookup("error")
        with pytest.raises(ZeroDivisionError):
            await table.lookup("bug")
        assert await Slow(TableFlags(fold=False)).lookup("KEY") == "KEY!"

    in_loop(work)


@pytest.mark.parametrize("key", ["hang", "stubborn"])
def test_the_limit_holds(key: str) -> None:
    """Whether the lookup lets itself be cancelled or not."""

    async def work() -> None:
        table = Slow(timeout_s=0.05)
        with logged() as lines, pytest.raises(TableError, match="no answer within"):
            await table.lookup(key)
        assert lines == ["warning: slow:x: no answer within 0.05 seconds"]

    in_loop(work)


def test_close_ends_what_is_under_way() -> None:
    """With an error for who waits."""

    async def work() -> None:
        table = Slow()
        asyncio.get_running_loop().call_later(0.05, table.close)
        with pytest.raises(TableError, match="given up"):
            await table.lookup("hang")

    in_loop(work)


def test_malformed_text() -> None:
    """A key that is no UTF-8 is not found, a value that is none is an error."""

    class Odd(Slow):
        async def _ask(self, key: str) -> str | None:
            return "\udcff"

    async def work() -> None:
        with logged():
            assert await Slow().lookup("a\udcff") is None
            with pytest.raises(TableError, match="non-UTF-8 value"):
                await Odd().lookup("a")

    in_loop(work)


def test_lookups_of_commands() -> None:
    """Several, in one loop; local tables need none."""
    with BlockingLookups() as lookups:
        assert lookups.ask(opener().open("inline:{a=b}"), "a") == "b"
        table = Slow()
        assert [lookups.ask(table, key) for key in ("a", "none", "b")] == ["a!", None, "b!"]
        with pytest.raises(TableError):
            lookups.ask(table, "error")


@pytest.mark.parametrize("spec", ["tcp:127.0.0.1:7", "socketmap:unix:/x:y", "memcache:/x.cf", "proxy:tcp:127.0.0.1:7"])
def test_what_nobody_vouches_for_decides_no_rights(spec: str) -> None:
    """alias_maps and the like refuse it, with and without proxy:."""
    with pytest.raises(ConfigError, match="map is not allowed for security-sensitive data"):
        opener().open(spec, SENSITIVE)


def test_daemons_ask_proxymap_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has declared it opens no remote table itself, whatever a parameter names."""
    from posthouse.tables import open as module  # noqa: PLC0415 - to undo what it keeps for the process

    monkeypatch.setattr(module._Process, "opens_remote", True)
    ask_proxymap_only()
    tables: Opener = opener()
    for spec in ("sqlite:/x.cf", "proxy:sqlite:/x.cf", "unionmap:{inline:{a=b}, sqlite:/x.cf}"):
        with pytest.raises(ConfigError, match="can name no table that needs a connection"):
            tables.open(spec)


@pytest.mark.parametrize(
    ("kind", "library", "advice"),
    [("pgsql", "psycopg", "Debian's python3-psycopg"), ("mysql", "asyncmy", r"pip install 'posthouse\[mysql\]'")],
)
def test_a_library_that_is_missing(kind: str, library: str, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install; the process goes on without the table."""
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"posthouse.tables.{kind}", raising=False)
    with pytest.raises(ConfigError, match=advice):
        opener().open(f"{kind}:/x.cf")
    with logged() as lines, pytest.raises(TableError, match="is unavailable"):
        now(opener().open_or_fail(f"{kind}:/x.cf").lookup("a"))
    assert f"need the Python package {library}" in lines[0]
