"""One connection of a table: octets nobody asked for, ends in the middle, replies that are none, its age."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path

import pytest

from posthouse.protocol.tcp_table import Reply, ReplyReader, format_query
from posthouse.tables.hosts import Host, ServerError
from posthouse.tables.stream import Stream, StreamConnector, StreamLimits
from tests.support.lookups import run_async
from tests.support.scripted_server import Script, ScriptedServer, Talk


def run(script: Script, path: Path, body: "Coroutine[object, None, object]") -> None:
    """Run a body beside a server on a UNIX socket."""

    async def limited() -> None:
        async with asyncio.timeout(20):
            await body

    with ScriptedServer(script, path=str(path)):
        run_async(limited())


async def connect(path: Path, lifetime_s: float = 100.0) -> Stream:
    """Make a connection."""
    return await StreamConnector(StreamLimits(lifetime_s=lifetime_s)).connect(Host("x", path=str(path)))


async def ask(stream: Stream, key: str) -> Reply:
    """Ask for a key by the tcp_table protocol."""
    return await stream.exchange(format_query(key), ReplyReader())


def test_one_reply_after_the_other(tmp_path: Path) -> None:
    """A connection is used again; a reply may come in pieces."""

    def script(talk: Talk) -> None:
        while True:
            key = talk._until(b"\n").split(b" ")[1]
            talk.trickle(b"200 " + key + b"\n", 0.0)

    async def body() -> None:
        stream = await connect(tmp_path / "s")
        assert [(await ask(stream, key)).text for key in ("a", "b", "c")] == ["a", "b", "c"]
        stream.close()

    run(script, tmp_path / "s", body())


def test_octets_that_nobody_asked_for(tmp_path: Path) -> None:
    """What a server says too much, or too early, is never the answer to the next key."""

    def script(talk: Talk) -> None:
        talk._until(b"\n")
        talk.say(b"200 one\n")
        talk.hang()

    def early(talk: Talk) -> None:
        talk.say(b"200 poison\n")
        talk.hang()

    async def quiet() -> None:
        stream = await connect(tmp_path / "s")
        assert (await ask(stream, "a")).text == "one"
        stream.data_received(b"200 poison\n")
        with pytest.raises(ServerError, match="nobody asked"):
            await ask(stream, "b")

    async def talkative() -> None:
        stream = await connect(tmp_path / "e")
        for _ in range(1000):  # until it has come
            if stream._broken:
                break
            await asyncio.sleep(0.01)
        with pytest.raises(ServerError, match="nobody asked"):
            await ask(stream, "a")

    run(script, tmp_path / "s", quiet())
    run(early, tmp_path / "e", talkative())


@pytest.mark.parametrize(
    ("sent", "why"), [(b"", "closed"), (b"200 on", "closed"), (b"hello\n", "no reply"), (b"200 a\n200 b\n", "behind")]
)
def test_what_is_no_reply(sent: bytes, why: str, tmp_path: Path) -> None:
    """The connection is of no use any more, and says so at once to whoever asks again."""

    def script(talk: Talk) -> None:
        talk._until(b"\n")
        talk.say(sent)

    async def body() -> None:
        stream = await connect(tmp_path / "s")
        for _ in range(2):
            with pytest.raises(ServerError, match=why):
                await ask(stream, "a")

    run(script, tmp_path / "s", body())


def test_a_connection_grows_old(tmp_path: Path) -> None:
    """After its lifetime nothing is sent on it."""

    def script(talk: Talk) -> None:
        while True:
            talk._until(b"\n")
            talk.say(b"500 no\n")

    async def body() -> None:
        stream = await connect(tmp_path / "s", lifetime_s=0.0)
        stream._old_at += 3600
        assert (await ask(stream, "a")).code == 500
        stream._old_at -= 7200
        with pytest.raises(ServerError, match="long enough"):
            await ask(stream, "a")
        stream.close()

    run(script, tmp_path / "s", body())


def test_nobody_listens(tmp_path: Path) -> None:
    """That is the system's error, as it is."""
    with pytest.raises(FileNotFoundError):
        run_async(connect(tmp_path / "nothing"))
