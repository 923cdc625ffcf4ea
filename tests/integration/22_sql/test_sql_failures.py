"""Databases that are not there, refuse, hang, die and come back: an error within the limit, and never "not found"."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from posthouse.tables.table import Table
from posthouse.util.errors import TableError
from tests.support import net
from tests.support.databases import NAME, PASSWORD, USER, Database, MariaDb, Postgres
from tests.support.lookups import logged, opener

QUERY = "query = SELECT v FROM lookup WHERE k = '%s' ORDER BY id\n"
Make = Callable[..., str]


@pytest.fixture(params=["pgsql", "mysql"])
def kind(request: pytest.FixtureRequest) -> str:
    """The type of table."""
    return str(request.param)


@pytest.fixture
def database(request: pytest.FixtureRequest, kind: str) -> Iterator[Database]:
    """Its server; it is left running whatever a test does to it."""
    server: Database = request.getfixturevalue("postgres" if kind == "pgsql" else "mariadb")
    yield server
    server.thaw()
    if not server.answers():
        server.kill()
        server.start()


@pytest.fixture
def make(kind: str, tmp_path: Path) -> Make:
    """Return a function that writes a file of settings; gives the table's name."""
    return maker(kind, tmp_path)


def maker(kind: str, directory: Path) -> Make:
    """Make that function for one type."""

    def write(*hosts: object, more: str = "", password: str = PASSWORD, query: str = QUERY) -> str:
        path = directory / "table.cf"
        where = ", ".join(str(host) if "/" in str(host) else f"127.0.0.1:{host}" for host in hosts)
        text = f"hosts = {where}\nuser = {USER}\npassword = {password}\ndbname = {NAME}\ntimeout = 2\n{more}{query}"
        path.write_text(text, encoding="utf-8")
        return f"{kind}:{path}"

    return write


@asynccontextmanager
async def opened(name: str) -> AsyncIterator[Table]:
    """Open a table, and close it."""
    tables = opener()
    try:
        yield tables.open(name)
    finally:
        tables.close()
        await asyncio.sleep(0.1)


async def until_found(table: Table, key: str) -> str | None:
    """Ask until there is an answer: the server has just come back."""
    for _ in range(100):
        try:
            return await table.lookup(key)
        except TableError:
            await asyncio.sleep(0.2)
    raise AssertionError("it does not come back")


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine."""

    async def main() -> None:
        await work()

    asyncio.run(main())


def test_nobody_listens(make: Make) -> None:
    """The error names the server, not the password."""

    async def work() -> None:
        port = net.free_port()
        async with opened(make(port)) as table:
            with pytest.raises(TableError, match=f"server 127.0.0.1:{port}") as caught:
                await table.lookup("alpha")
            assert PASSWORD not in str(caught.value)

    run(work)


def test_a_wrong_password(make: Make, database: Database) -> None:
    """Neither password is in the log."""

    async def work() -> None:
        async with opened(make(database.port, password="wrong-secret")) as table:
            with logged() as lines, pytest.raises(TableError, match=r"(?i)password|denied"):
                await table.lookup("alpha")
            assert "wrong-secret" not in "".join(lines)

    run(work)


def test_a_server_that_hangs(make: Make, database: Database) -> None:
    """Each lookup ends in time, with a connection that is there and without; meanwhile other tables answer."""

    async def work() -> None:
        async with opened(make(database.port)) as table, opened("inline:{a=b}") as other:
            assert await table.lookup("alpha") == "one"
            database.freeze()
            asked = [asyncio.ensure_future(_outcome(table, f"k{number}")) for number in range(8)]
            await asyncio.sleep(0)
            assert await other.lookup("a") == "b"
            assert {type(outcome) for outcome in await asyncio.gather(*asked)} == {TableError}
            database.thaw()
            assert await until_found(table, "alpha") == "one"

    run(work)


async def _outcome(table: Table, key: str) -> object:
    try:
        return await table.lookup(key)
    except TableError as error:
        return error


def test_a_server_that_dies_and_comes_back(make: Make, database: Database) -> None:
    """Errors while it is away; afterwards it is found without anything being done to the table."""

    async def work() -> None:
        async with opened(make(database.port)) as table:
            assert await table.lookup("alpha") == "one"
            database.kill()
            with pytest.raises(TableError):
                await table.lookup("alpha")
            database.start()
            assert await until_found(table, "alpha") == "one"

    run(work)


def test_a_server_that_was_restarted_between_two_lookups(make: Make, database: Database) -> None:
    """The connection that has gone stale costs no error."""

    async def work() -> None:
        async with opened(make(database.port)) as table:
            assert await table.lookup("alpha") == "one"
            database.kill()
            database.start()
            assert await table.lookup("alpha") == "one"

    run(work)


def test_the_second_server_answers(make: Make, database: Database) -> None:
    """One that refuses and one that takes connections and says nothing are left alone after the first try."""

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    connections: list[asyncio.StreamWriter] = []

    async def work() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with opened(make(port, net.free_port(), database.port)) as table:
            assert [await table.lookup("alpha") for _ in range(20)] == ["one"] * 20
            assert len(connections) <= 1
        for writer in connections:
            writer.close()
        server.close()

    run(work)


def test_a_server_that_failed_is_tried_again(make: Make, database: Database) -> None:
    """After retry_interval, when both were down."""

    async def work() -> None:
        async with opened(make(database.port, net.free_port(), more="retry_interval = 1\n")) as table:
            database.kill()
            for _ in range(2):
                with pytest.raises(TableError):
                    await table.lookup("alpha")
            database.start()
            assert await until_found(table, "alpha") == "one"

    run(work)


def test_garbage(make: Make) -> None:
    """Who speaks another protocol is a server that failed."""

    async def other(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.test ESMTP\r\n" + bytes(range(256)) * 20)
        await writer.drain()
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(other, "127.0.0.1", 0)
        async with opened(make(server.sockets[0].getsockname()[1])) as table:
            with pytest.raises(TableError):
                await table.lookup("alpha")
        server.close()

    run(work)


def test_a_query_that_takes_too_long(make: Make, kind: str, database: Database) -> None:
    """It is given up (waited for to its end it would give a value), and the next one answers."""
    sleep = "pg_sleep" if kind == "pgsql" else "sleep"
    query = f"query = SELECT CASE WHEN '%s' = 'slow' THEN CONCAT({sleep}(30), '') ELSE '%s' END\n"

    async def work() -> None:
        async with opened(make(database.port, query=query)) as table:
            with pytest.raises(TableError):
                await table.lookup("slow")
            assert await table.lookup("quick") == "quick"

    run(work)


def test_procedures(mariadb: MariaDb, tmp_path: Path) -> None:
    """A procedure's rows are taken; none are an error unless that is allowed; two sets are an error."""
    make = maker("mysql", tmp_path)
    mariadb.sql(
        "DELIMITER //\n"
        "CREATE OR REPLACE PROCEDURE one(x TEXT) BEGIN SELECT v FROM lookup WHERE k = x; END//\n"
        "CREATE OR REPLACE PROCEDURE none(x TEXT) BEGIN SET @x = x; END//\n"
        "CREATE OR REPLACE PROCEDURE two(x TEXT) BEGIN SELECT 1; SELECT 2; END//\n"
    )

    async def ask(query: str, more: str = "") -> str | None:
        async with opened(make(mariadb.port, more=more, query=f"query = {query}\n")) as table:
            return await table.lookup("alpha")

    assert asyncio.run(ask("CALL one('%s')")) == "one"
    assert asyncio.run(ask("CALL none('%s')", "require_result_set = no\n")) is None
    for query in ("CALL none('%s')", "CALL two('%s')"):
        with pytest.raises(TableError, match="rows"):
            asyncio.run(ask(query))


def test_connection_strings(postgres: Postgres, tmp_path: Path) -> None:
    """A URI with everything in it; its password is in no message."""
    path = tmp_path / "uri.cf"
    secret = "se%27cr%5Cet"

    async def ask(hosts: str) -> str | None:
        path.write_text(f"hosts = {hosts}\ntimeout = 5\n{QUERY}", encoding="utf-8")
        async with opened(f"pgsql:{path}") as table:
            return await table.lookup("alpha")

    assert asyncio.run(ask(f"postgresql://{USER}:{secret}@127.0.0.1:{postgres.port}/{NAME}")) == "one"
    assert asyncio.run(ask(f"postgresql:///{NAME}?host={postgres.directory}&port={postgres.port}&user=admin")) == "one"
    with logged() as lines, pytest.raises(TableError) as caught:
        asyncio.run(ask(f"postgresql://{USER}:{secret}@127.0.0.1:{net.free_port()}/{NAME}"))
    assert not [text for text in (*lines, str(caught.value)) if secret in text or PASSWORD in text]
