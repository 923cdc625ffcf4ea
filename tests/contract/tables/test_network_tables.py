"""What every table behind a server owes its users, whatever the server does (tables/remote.py, facts B15.04)."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest

from posthouse.tables import one_server
from posthouse.tables.table import Table
from posthouse.util.errors import TableError
from tests.support.lookups import opener, run_async
from tests.support.scripted_server import Script, ScriptedServer, Talk
from tests.support.table_rigs import ENTRIES, RIGS, Rig

LONG_S = 20  # seconds: an answer comes
SHORT_S = 1  # none comes
GARBAGE = {
    "nothing": b"",
    "an SMTP server": b"220 mail.test ESMTP\r\n",
    "zeros": b"\0" * 4000,
    "an error page": b"HTTP/1.0 500 Oops\r\n\r\n<html>",
    "an endless line": b"x" * 300_000,
    "an error of redis": b"-ERR broken\r\n",
    "half a reply": b"200 on",
    "a huge length": b"99999999999:OK one,",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
Body = Callable[[Table], Coroutine[object, None, None]]


@pytest.fixture(params=RIGS, ids=lambda kind: kind.kind)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Run one server after the other."""
    kind: type[Rig] = request.param
    if reason := kind.why_not():
        pytest.skip(reason)
    tmp_path.chmod(0o755)
    with kind(tmp_path) as rig:
        yield rig


@pytest.fixture(params=RIGS, ids=lambda kind: kind.kind)
def quiet_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Give a server that is not started: another one takes its port."""
    kind: type[Rig] = request.param
    if reason := kind.why_not():
        pytest.skip(reason)
    rig = kind(tmp_path)
    yield rig
    rig.__exit__(None, None, None)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time limits that cannot be configured."""
    monkeypatch.setattr(one_server, "TIMEOUT_S", SHORT_S)


def run(rig: Rig, body: Body, timeout_s: int = LONG_S) -> None:
    """Open the table and run a body with it."""

    async def whole() -> None:
        opened = opener()
        try:
            async with asyncio.timeout(100):
                await body(opened.open(rig.spec(timeout_s)))
        finally:
            opened.close()

    run_async(whole())


async def fails(table: Table, key: str = "alpha") -> None:
    """A lookup is an error, and names the table."""
    with pytest.raises(TableError, match=table.name):
        await table.lookup(key)


def test_keys_and_values(rig: Rig) -> None:
    """All that is there is found, whole; what is not there is None."""

    async def body(table: Table) -> None:
        for key, value in ENTRIES.items():
            if " " not in key or rig.takes_blanks:
                assert await table.lookup(key) == value, key
        for key in ("beta", "alph", "alpha2", "x" * 300):
            assert await table.lookup(key) is None, key

    run(rig, body)


def test_keys_cannot_say_more_than_a_key(rig: Rig) -> None:
    """No key is a pattern, a second command, or part of a query."""
    nasty = [
        "*",
        "alpha*",
        "alph?",
        "alpha)(cn=*",
        "(cn=*)",
        "\\2a",
        "alpha\\",
        "../lookup/alpha",
        "./alpha",
        "alpha?x",
    ]
    nasty += [
        "alpha#",
        "alpha/",
        "%61lpha",
        "alpha\r\nget alpha",
        "alpha\nalpha",
        "al\0pha",
        "x'y\"z",
        ",",
        "&key=alpha",
    ]
    nasty += ["{alpha}", "$alpha", "alpha\t", "alpha,", "alpha;", "@", "@alpha", "\x7f"]

    async def body(table: Table) -> None:
        for key in nasty:
            assert await table.lookup(key) is None, repr(key)
        assert await table.lookup("alpha") == "one"

    run(rig, body)


def test_folding(rig: Rig) -> None:
    """Fixed strings are asked for in lower case; tables that get whole keys as they are, as they are."""

    async def body(table: Table) -> None:
        assert await table.lookup("ALPHA") == ("one" if table.takes_partial_keys else None)

    run(rig, body)


def test_many_at_once(rig: Rig) -> None:
    """Each gets its own answer."""

    async def body(table: Table) -> None:
        numbers = [number % 50 for number in range(200)]
        found = await asyncio.gather(*(table.lookup(f"key{number}") for number in numbers))
        assert found == [f"value{number}" for number in numbers]

    run(rig, body)


def test_a_server_that_ends_and_comes_back(rig: Rig) -> None:
    """It is an error while it is away, and good again afterwards, with the same table."""

    async def body(table: Table) -> None:
        assert await table.lookup("alpha") == "one"
        rig.stop()
        await fails(table)
        await fails(table, "beta")
        rig.start()
        assert await table.lookup("alpha") == "one"
        assert await table.lookup("beta") is None

    run(rig, body)


def test_a_server_that_is_replaced_between_lookups(rig: Rig) -> None:
    """Nobody notices: old connections are made anew."""

    async def body(table: Table) -> None:
        await asyncio.gather(*(table.lookup(f"key{number}") for number in range(8)))
        rig.stop()
        rig.start()
        assert await table.lookup("alpha") == "one"

    run(rig, body)


@pytest.mark.usefixtures("short")
def test_a_server_that_hangs(rig: Rig) -> None:
    """An error within the time limit, with an old connection and with a new one; others go on; it recovers."""

    async def body(table: Table) -> None:
        other = opener().open("inline:{a=b}")
        rig.pause()
        hanging = asyncio.ensure_future(table.lookup("alpha"))
        await asyncio.sleep(0)
        assert await other.lookup("a") == "b"
        assert not hanging.done()
        with pytest.raises(TableError):
            await hanging
        await fails(table)
        rig.go_on()
        assert await answers(table) == "one"

    run(rig, body, SHORT_S)


@pytest.mark.usefixtures("short")
def test_a_server_that_hangs_with_a_connection(rig: Rig) -> None:
    """The same, when there was a connection before."""

    async def body(table: Table) -> None:
        assert await answers(table) == "one"
        rig.pause()
        await fails(table)
        rig.go_on()
        assert await answers(table) == "one"

    run(rig, body, SHORT_S)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("case", GARBAGE)
def test_a_server_that_answers_nonsense(quiet_rig: Rig, case: str) -> None:
    """It is an error, never "not found", and never anybody's value."""

    def at_once(talk: Talk) -> None:
        talk.say(GARBAGE[case])

    def asked(talk: Talk) -> None:
        talk._socket.recv(65536)
        talk.say(GARBAGE[case])

    for script in (at_once, asked):
        nonsense(quiet_rig, script)


def nonsense(rig: Rig, script: Script) -> None:
    """Ask a server that follows a script."""

    async def body(table: Table) -> None:
        await fails(table)

    with ScriptedServer(script, port=rig.port):
        run(rig, body, SHORT_S)


def test_nobody_listens(quiet_rig: Rig) -> None:
    """It is an error at once, each time."""

    async def body(table: Table) -> None:
        for _ in range(3):
            await fails(table)

    run(quiet_rig, body)


BEHIND_TLS = {
    "ldaps": "ldap:server_host = ldaps://127.0.0.1:{port}|search_base = dc=x|query_filter = cn=%s|timeout = 1",
    "start_tls": "ldap:server_host = 127.0.0.1:{port}|start_tls = yes|search_base = x|query_filter = x=%s|timeout = 1",
    "https-json": "https-json:url = https://127.0.0.1:{port}/%s|timeout = 1",
    "redis": "redis:hosts = 127.0.0.1:{port}|tls = yes|timeout = 1",
}


@pytest.mark.parametrize("case", BEHIND_TLS)
def test_a_handshake_that_hangs(case: str, tmp_path: Path) -> None:
    """It is an error within the time limit, and holds nobody else up."""
    ticks: list[int] = []

    def script(talk: Talk) -> None:
        talk.hang()

    async def tick() -> None:
        while True:
            ticks.append(0)
            await asyncio.sleep(0.01)

    async def body(port: int) -> None:
        kind, _, lines = BEHIND_TLS[case].format(port=port).partition(":")
        (tmp_path / "t.cf").write_text(lines.replace("|", "\n") + "\n")
        opened, ticking = opener(), asyncio.ensure_future(tick())
        await fails(opened.open(f"{kind}:{tmp_path}/t.cf"))
        ticking.cancel()
        opened.close()
        assert len(ticks) > 10, "of about a hundred; a loop that stands still has one or two"

    with ScriptedServer(script) as server:
        run_async(body(server.port))


async def answers(table: Table) -> str | None:
    """Ask until the machine is not too busy to answer within a second."""
    for _ in range(30):
        try:
            return await table.lookup("alpha")
        except TableError:
            await asyncio.sleep(0.1)
    return await table.lookup("alpha")
