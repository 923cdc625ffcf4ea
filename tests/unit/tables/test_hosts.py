"""Pools of connections: order of servers, fail-over, limits of number and time, connections that go stale or idle."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import pytest

from posthouse.tables import hosts
from posthouse.tables.hosts import Connector, Host, Pool, PoolLimits, ServerError, parse_host
from posthouse.util.errors import TableError
from tests.support.lookups import logged

T = TypeVar("T")


class Line:
    """A connection of the tests' own."""

    def __init__(self, server: str) -> None:
        self.server, self.closed, self.stale = server, False, False


class Lines(Connector[Line]):
    """Makes them; servers can be down, or hang."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.hanging: set[str] = set()
        self.made: list[Line] = []
        self.tried: list[str] = []

    async def connect(self, host: Host) -> Line:
        """Connect, or not."""
        self.tried.append(host.text)
        if host.text in self.down:
            raise ServerError("it is down")
        if host.text in self.hanging:
            await asyncio.sleep(3600)
        self.made.append(Line(host.text))
        return self.made[-1]

    def drop(self, connection: Line) -> None:
        """Close, once."""
        assert not connection.closed, "closed twice"
        connection.closed = True

    async def query(self, line: Line) -> str:
        """Ask over a connection."""
        assert not line.closed
        await asyncio.sleep(0)
        if line.stale or line.server in self.down:
            raise ConnectionResetError("gone")
        if line.server in self.hanging:
            await asyncio.sleep(3600)
        return line.server


def make(*hosts: str, **limits: float) -> tuple[Pool[Line], Lines]:
    """Make a pool; times are short."""
    lines = Lines()
    wanted = PoolLimits(**{"attempt_s": 0.05, "retry_s": 60.0, "idle_s": 60.0, **limits})  # type: ignore[arg-type]
    return Pool("x:y", [parse_host(host, 1) for host in hosts], lines, wanted), lines


def run(work: Coroutine[object, object, T]) -> T:
    """Run a test's coroutine."""
    return asyncio.run(work)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("unix:/run/x", Host("unix:/run/x", path="/run/x")),
        ("/run/x", Host("/run/x", path="/run/x")),
        ("db.test", Host("db.test", name="db.test", port=5)),
        ("inet:db.test:77", Host("inet:db.test:77", name="db.test", port=77)),
        ("[::1]:77", Host("[::1]:77", name="::1", port=77)),
        ("[::1]", Host("[::1]", name="::1", port=5)),
    ],
)
def test_hosts(text: str, host: Host) -> None:
    """All ways to write one."""
    assert parse_host(text, 5) == host


@pytest.mark.parametrize("text", ["", ":77", "a:x", "a:0", "a:70000", "[::1", "[::1]x", "a:1:2", "a:٣"])
def test_hosts_that_are_none(text: str) -> None:
    """Each is a mistake."""
    with pytest.raises(ValueError, match="is no server"):
        parse_host(text, 5)


def test_a_connection_is_used_again() -> None:
    """One after the other: one connection."""

    async def work() -> None:
        pool, lines = make("a")
        assert [await pool.ask(lines.query) for _ in range(5)] == ["a"] * 5
        assert len(lines.made) == 1
        pool.close()
        assert lines.made[0].closed

    run(work())


def test_sockets_of_this_machine_come_first() -> None:
    """The others are asked when it fails, in any order."""

    async def work() -> None:
        pool, lines = make("a", "unix:/s", "b")
        assert await pool.ask(lines.query) == "unix:/s"
        lines.down.add("unix:/s")
        assert await pool.ask(lines.query) in ("a", "b")
        assert {await pool.ask(lines.query) for _ in range(40)} == {"a", "b"}
        assert lines.tried.count("unix:/s") == 2, "it is left alone"

    run(work())


def test_a_server_that_hangs_costs_one_attempt() -> None:
    """The other answers, and the first is left alone."""

    async def work() -> None:
        pool, lines = make("unix:/s", "b")
        lines.hanging.add("unix:/s")
        assert [await pool.ask(lines.query) for _ in range(5)] == ["b"] * 5
        assert lines.tried.count("unix:/s") == 1

    run(work())


def test_all_have_failed() -> None:
    """An error at once, until one may be tried again."""

    async def work() -> None:
        pool, lines = make("a", "b", retry_s=0.1)
        lines.down |= {"a", "b"}
        with pytest.raises(TableError, match=r"server [ab]: it is down"):
            await pool.ask(lines.query)
        with pytest.raises(TableError, match="left alone for a while"):
            await pool.ask(lines.query)
        lines.down.clear()
        await asyncio.sleep(0.15)
        assert await pool.ask(lines.query) in ("a", "b")

    run(work())


def test_the_only_server_is_always_tried() -> None:
    """Instant reconnect."""

    async def work() -> None:
        pool, lines = make("a")
        lines.down.add("a")
        for _ in range(3):
            with pytest.raises(TableError, match="it is down"):
                await pool.ask(lines.query)
        lines.down.clear()
        assert await pool.ask(lines.query) == "a"

    run(work())


def test_a_stale_connection_is_replaced() -> None:
    """With all that are as old; nobody notices."""

    async def work() -> None:
        pool, lines = make("a")
        await asyncio.gather(*(pool.ask(lines.query) for _ in range(3)))
        old = list(lines.made)
        for line in old:
            line.stale = True
        assert await pool.ask(lines.query) == "a"
        await asyncio.sleep(0)
        assert [line.closed for line in old] == [True] * len(old)
        assert not lines.made[-1].closed

    run(work())


def test_no_more_connections_than_allowed() -> None:
    """Further queries wait, and all are answered."""

    async def work() -> None:
        pool, lines = make("a", connections=3)
        assert await asyncio.gather(*(pool.ask(lines.query) for _ in range(50))) == ["a"] * 50
        assert len(lines.made) <= 3

    run(work())


def test_an_error_of_the_server_keeps_the_connection() -> None:
    """It has answered; nothing else is asked."""

    async def refuse(_line: Line) -> str:
        raise TableError("no such column")

    async def work() -> None:
        pool, lines = make("a", "b")
        with pytest.raises(TableError, match="no such column"):
            await pool.ask(refuse)
        assert len(lines.tried) == 1
        assert not lines.made[0].closed

    run(work())


def test_idle_connections_are_closed() -> None:
    """After idle_interval."""

    async def work() -> None:
        pool, lines = make("a", idle_s=0.05)
        await pool.ask(lines.query)
        for _ in range(100):
            if lines.made[0].closed:
                break
            await asyncio.sleep(0.02)
        assert lines.made[0].closed
        assert await pool.ask(lines.query) == "a"
        assert len(lines.made) == 2

    run(work())


def test_who_is_cancelled_gives_his_place_back() -> None:
    """Waiting for a connection, making one, or asking."""

    async def work() -> None:
        pool, lines = make("a", connections=1, attempt_s=30.0)
        await pool.ask(lines.query)
        lines.hanging.add("a")
        tasks = [asyncio.ensure_future(pool.ask(lines.query)) for _ in range(4)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        lines.hanging.clear()
        assert await pool.ask(lines.query) == "a"

    run(work())


@pytest.mark.parametrize("error", [UnicodeError("label empty or too long"), RecursionError("too deep")])
def test_what_no_server_can_be_or_say_is_an_error_of_the_lookup(error: Exception) -> None:
    """A host name with "..", or an answer nested without end, does not end the process."""

    async def fail(_line: Line) -> str:
        raise error

    async def work() -> None:
        pool, lines = make("a")
        with pytest.raises(TableError, match=str(error)):
            await pool.ask(fail)
        await asyncio.sleep(0)
        assert lines.made[0].closed

    run(work())


def test_a_server_that_fails_does_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many lookups need it; what was left out is counted."""
    monkeypatch.setattr(hosts, "LOG_EVERY_S", 3600.0)

    async def fail_often(pool: Pool[Line], lines: Lines) -> None:
        for _ in range(100):
            with pytest.raises(TableError, match="server a: it is down"):
                await pool.ask(lines.query)

    async def work() -> None:
        pool, lines = make("a")
        lines.down.add("a")
        await fail_often(pool, lines)
        monkeypatch.setattr(hosts, "LOG_EVERY_S", 0.0)
        with pytest.raises(TableError):
            await pool.ask(lines.query)

    with logged() as told:
        run(work())
    assert [line.partition("server a: ")[2] for line in told] == ["it is down", "it is down (and 99 times more)"]
