"""mongodb: tables as far as they go without a server: the query, the results, and servers that are none."""

import asyncio
import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.tables.expansion import Parts
from posthouse.tables.mongodb import Filter, values_of
from posthouse.util.errors import ConfigError, TableError
from tests.support import net
from tests.support.lookups import logged, now, opener, run_async
from tests.support.scripted_server import ScriptedServer, Talk


@pytest.fixture(autouse=True)
def _sockets_of_pymongo() -> Iterator[None]:
    """Collect the sockets that pymongo 4.20 could not connect and did not close, before another test is blamed."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


GOOD = 'dbname = mail\ncollection = users\nquery_filter = {"mail": "%s", "active": 1}\nresult_attribute = path\n'


def spec(directory: Path, text: str) -> str:
    """Write settings and give the table's name."""
    (directory / "m.cf").write_text(text)
    return f"mongodb:{directory}/m.cf"


def test_a_filter_is_filled() -> None:
    """Parts of the key stand in texts, at any depth; numbers and names stay."""
    made = Filter('{"$or": [{"mail": "%s"}, {"user": "%u", "domain": {"$in": ["%d", "*"]}}], "active": 1, "p": "%%s"}')
    assert made.fill(Parts.of("a@b.c")) == {
        "$or": [{"mail": "a@b.c"}, {"user": "a", "domain": {"$in": ["b.c", "*"]}}],
        "active": 1,
        "p": "%s",
    }


@given(st.text(max_size=30))
def test_a_key_is_a_text_and_nothing_else(key: str) -> None:
    """No key can add an operator or a field."""
    assert Filter('{"mail": "%s"}').fill(Parts.of(key)) == {"mail": key}


@pytest.mark.parametrize(
    "text", ["", "[]", '"%s"', "{mail: %s}", '{"mail": %s}', '{"%s": 1}', '{"a%u": "%s"}', '{"a": "%s"']
)
def test_what_is_no_filter(text: str) -> None:
    """It must be a JSON object, with the key in its values."""
    with pytest.raises(ValueError):  # noqa: PT011 - json's own texts are among them
        Filter(text)


def test_values() -> None:
    """Texts, whole numbers and lists of them; what is something else is ignored and named."""
    document = {"_id": "x", "a": "one", "b": [2, "three", None, 4.5], "c": {"d": "deep"}, "e": True, "f": None}
    with logged() as lines:
        assert list(values_of(document, (), "t")) == ["one", "2", "three"]
    assert len(lines) == 4
    assert list(values_of(document, ("c.d", "a", "nothing", "a.b"), "t")) == ["deep", "one"]
    assert list(values_of(document, ("_id",), "t")) == ["x"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("dbname =", "dbname: it is missing"),
        ("collection =", "collection: it is missing"),
        ("query_filter =", "query_filter: it is missing"),
        ("query_filter = {x}", "query_filter: it is no filter in JSON"),
        ('projection = {"a": 1}', "either result_attribute or projection"),
        ("result_attribute =", "either result_attribute or projection"),
        ("result_attribute =\nprojection = {", "projection: it is no JSON"),
        ("result_attribute =\nprojection = {}", "projection: it is no JSON object"),
        ("timeout = never", "timeout"),
    ],
)
def test_wrong_settings(line: str, why: str, tmp_path: Path) -> None:
    """They are named with file and attribute when the table is opened."""
    with pytest.raises(ConfigError, match=why):
        opener().open(spec(tmp_path, f"{GOOD}{line}\n"))


def test_keys_that_are_not_asked_for(tmp_path: Path) -> None:
    """Without the parts that the filter needs there is no query, and so no server is needed."""
    opened = opener().open(spec(tmp_path, GOOD.replace("%s", "%d")))

    async def body() -> str | None:
        return await opened.lookup("nodomain")

    assert run_async(body()) is None
    assert now(opener().open("inline:{a=b}").lookup("a")) == "b"


@pytest.mark.parametrize("case", ["nobody listens", "it hangs", "it talks nonsense", "no URI"])
def test_servers_that_are_none(case: str, tmp_path: Path) -> None:
    """Each is an error within the time limit, never "not found"."""

    def hang(talk: Talk) -> None:
        talk.hang()

    def nonsense(talk: Talk) -> None:
        talk._socket.recv(10)
        talk.say(b"220 mail.test ESMTP\r\n" * 10)

    port = net.free_port()
    uri = "mongodb:/x" if case == "no URI" else f"mongodb://127.0.0.1:{port}/?directConnection=true"

    async def body() -> None:
        opened = opener()
        table = opened.open(spec(tmp_path, f"{GOOD}uri = {uri}\ntimeout = 1\n"))
        for _ in range(2):
            with pytest.raises(TableError, match="mongodb:"):
                await table.lookup("a@b.c")
        opened.close()
        await asyncio.sleep(0)

    if case in ("it hangs", "it talks nonsense"):
        with ScriptedServer(hang if case == "it hangs" else nonsense, port=port):
            run_async(body())
    else:
        run_async(body())
