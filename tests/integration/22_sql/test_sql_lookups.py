"""pgsql:, mysql: and sqlite: against their servers: what is found, what is quoted, what is an error."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.util.errors import ConfigError, TableError
from tests.support.databases import NAME, PASSWORD, ROWS, USER, MariaDb, Postgres
from tests.support.lookups import logged, opener
from tests.support.peers import find_peer
from tests.support.tables import debians_postmap

Make = Callable[[str], str]  # a file of settings from query and further attributes; gives the table's name
QUERY = "query = SELECT v FROM lookup WHERE k = '%s' ORDER BY id\n"
HOSTILE = (
    "'",
    '"',
    "\\",
    "\\'",
    "a'b",
    "x' OR '1'='1",
    "x\\' OR 1=1 -- ",
    "%",
    "%s",
    "%%",
    "é'ü",
    ";",
    "--",
    "\U0001f4ee",
)


@pytest.fixture(params=["pgsql", "mysql", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Return a function that writes a file of settings for one of the three."""
    kind: str = request.param
    login = f"user = {USER}\npassword = {PASSWORD}\ndbname = {NAME}\ntimeout = 20\n"
    if kind == "sqlite":
        path = tmp_path / "lookup.db"
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE lookup (id INTEGER PRIMARY KEY, k TEXT, v TEXT)")
            database.executemany("INSERT INTO lookup (k, v) VALUES (?, ?)", ROWS)
        database.close()
        head = f"dbpath = {path}\ntimeout = 20\n"
    elif kind == "pgsql":
        server: Postgres = request.getfixturevalue("postgres")
        head = f"hosts = 127.0.0.1:{server.port}\n{login}"
    else:
        maria: MariaDb = request.getfixturevalue("mariadb")
        head = f"hosts = unix:{maria.socket}\n{login}"

    def write(attributes: str) -> str:
        path = tmp_path / "table.cf"
        path.write_text(head + attributes, encoding="utf-8")
        return f"{kind}:{path}"

    return write


def look_up(table: str, *keys: str) -> list[str | None]:
    """Look keys up, one after the other; an error is given as text."""

    async def ask() -> list[str | None]:
        tables = opener()
        opened = tables.open(table)
        try:
            return [await opened.lookup(key) for key in keys]
        finally:
            tables.close()
            await asyncio.sleep(0.05)

    return asyncio.run(ask())


def test_values(make: Make) -> None:
    """Each key's rows joined by commas; NULL is no value, nor is an empty text, which is remarked on."""
    wanted: dict[str, list[str]] = {}
    for key, value in ROWS:
        wanted.setdefault(key, []).extend([value] if value else [])
    with logged() as lines:
        assert look_up(make(QUERY), *wanted) == [",".join(values) or None for values in wanted.values()]
    assert [line for line in lines if "empty lookup result" in line and "empty@example.org" in line]


@pytest.mark.parametrize("kind", ["pgsql", "mysql"])
def test_a_key_that_the_encoding_has_not_is_an_error(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """It may be in the table all the same: mail waits; and the process that was asked goes on."""
    login = f"user = {USER}\npassword = {PASSWORD}\ndbname = {NAME}\ntimeout = 20\n{QUERY}"
    if kind == "pgsql":
        where = f"hosts = 127.0.0.1:{request.getfixturevalue('postgres').port}\nencoding = LATIN1\n"
    else:
        where = f"hosts = unix:{request.getfixturevalue('mariadb').socket}\ncharset = latin1\n"
    path = tmp_path / "table.cf"
    path.write_text(where + login, encoding="utf-8")
    with pytest.raises(TableError, match="the key cannot be written in"):
        look_up(f"{kind}:{path}", "ж@example.org")
    assert look_up(f"{kind}:{path}", "nobody") == [None]


def test_hostile_keys(make: Make) -> None:
    """Whatever a key holds is text in the query and nothing else."""
    assert look_up(make(QUERY), *HOSTILE, "\0", "alpha\0", "\udcff") == [None] * (len(HOSTILE) + 3)


def test_hostile_keys_are_found_when_they_are_there(make: Make) -> None:
    """Given back by the database itself, octet for octet."""
    assert look_up(make("query = SELECT '%s'\n"), *HOSTILE) == [key.casefold() for key in HOSTILE]


def test_parts_of_keys(make: Make) -> None:
    """%u, %d, %1 and so on; a key without the part is not looked up."""
    table = make("query = SELECT '%u', '%d', '%1', '%2%%'\nresult_format = <%s>\n")
    assert look_up(table, "Jane.Doe@Mail.Example.org", "jane", "@example.org", "jane@", "jane@org") == [
        "<jane.doe>,<mail.example.org>,<org>,<example%>", None, None, None, None,
    ]  # fmt: skip


def test_domain_and_result_format(make: Make) -> None:
    """Only addresses in the listed domains are asked for; results are cut up and put together."""
    table = make(f"{QUERY}domain = inline:{{example.org=x}}, mail.example.org\nresult_format = %u+%U@%d\n")
    assert look_up(table, "many@example.org", "jane.doe@mail.example.org", "alpha", "o'brien@example.org") == [
        "a+many@one.test,b+many@two.test", "jane+jane.doe@box.test", None, None,
    ]  # fmt: skip


def test_expansion_limit(make: Make) -> None:
    """More results than allowed are an error, not a part of the truth."""
    assert look_up(make(f"{QUERY}expansion_limit = 2\n"), "many@example.org") == ["a@one.test,b@two.test"]
    with pytest.raises(Exception, match="expansion_limit"):
        look_up(make(f"{QUERY}expansion_limit = 1\n"), "many@example.org")


def test_several_columns_and_other_types(make: Make) -> None:
    """All columns of all rows, numbers as the database writes them."""
    table = make("query = SELECT k, 42, NULL, v FROM lookup WHERE k = '%s' ORDER BY id\n")
    assert look_up(table, "alpha") == ["alpha,42,one"]


def test_queries_that_fail(make: Make) -> None:
    """The server's message is in the error; it is never "not found"."""
    for query in ("SELECT v FROM nothing WHERE k = '%s'", "SELEKT '%s'"):
        with pytest.raises(Exception, match=r"(?i)nothing|syntax"):
            look_up(make(f"query = {query}\n"), "alpha")


def test_attributes_of_old(make: Make) -> None:
    """select_field, table, where_field and additional_conditions make a query."""
    table = make("select_field = v\ntable = lookup\nwhere_field = k\nadditional_conditions = AND v <> 'b@two.test'\n")
    assert look_up(table, "many@example.org") == ["a@one.test"]


def test_many_at_once(make: Make) -> None:
    """Lookups share a few connections, and get their own answers."""
    table = make("query = SELECT '%s'\n")

    async def ask() -> list[str | None]:
        tables = opener()
        opened = tables.open(table)
        try:
            return await asyncio.gather(*(_one(opened.lookup(f"k{number}")) for number in range(200)))
        finally:
            tables.close()
            await asyncio.sleep(0.05)

    assert asyncio.run(ask()) == [f"k{number}" for number in range(200)]


async def _one(lookup: object) -> str | None:
    return await lookup  # type: ignore[no-any-return,misc]  # gather wants a task


def test_the_same_as_debians_postfix(make: Make, tmp_path: Path) -> None:
    """Postfix's own client, with the same file, finds the same."""
    if not find_peer("postmap"):
        pytest.skip("Debian's Postfix is not here: make peers")
    keys = [
        *dict.fromkeys(key for key, _ in ROWS),
        "many@EXAMPLE.org",
        "Jane.Doe@mail.example.org",
        "nobody@example.org",
    ]
    for attributes in (
        QUERY,
        f"{QUERY}domain = example.org\n",
        "query = SELECT v FROM lookup WHERE k = '%u@%d'\nresult_format = %s/%U/%D/%1\n",
        "query = SELECT v FROM lookup WHERE k = '%s' AND '%2' = 'example' ORDER BY id\nresult_format = %u\n",
    ):
        table = make(attributes)
        if table.startswith("pgsql:"):  # Postfix 3.7 sends keys as LATIN1, whatever they are
            keys = [key for key in keys if key.isascii()]
        ours = {key: value for key, value in zip(keys, look_up(table, *keys), strict=True) if value is not None}
        assert debians_postmap(tmp_path, table, keys) == ours, attributes


@pytest.mark.parametrize("kind", ["pgsql", "mysql"])
def test_another_character_set(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Keys and values are translated."""
    server = request.getfixturevalue("postgres" if kind == "pgsql" else "mariadb")
    attribute = "encoding = LATIN1" if kind == "pgsql" else "charset = latin1"
    path = tmp_path / "latin.cf"
    login = f"hosts = 127.0.0.1:{server.port}\nuser = {USER}\npassword = {PASSWORD}\ndbname = {NAME}\n"
    path.write_text(f"{login}{attribute}\nquery = SELECT k FROM lookup WHERE k = '%s'\n", encoding="utf-8")
    assert look_up(f"{kind}:{path}", "ünï@exämple.org", "alpha") == ["ünï@exämple.org", "alpha"]


@pytest.mark.parametrize("encoding", ["MULE_INTERNAL", "EUC_TW", "nonsense"])
def test_a_character_set_that_does_not_work(encoding: str, postgres: Postgres, tmp_path: Path) -> None:
    """Unknown to the server, or to us: an error that is not the process's end."""
    path = tmp_path / "odd.cf"
    login = f"hosts = 127.0.0.1:{postgres.port}\nuser = {USER}\npassword = {PASSWORD}\ndbname = {NAME}\n"
    path.write_text(f"{login}encoding = {encoding}\n{QUERY}", encoding="utf-8")
    with pytest.raises(TableError):
        look_up(f"pgsql:{path}", "alpha")


def test_a_character_set_that_there_is_not(tmp_path: Path) -> None:
    """Known when the table is opened."""
    path = tmp_path / "odd.cf"
    path.write_text(f"user = {USER}\ncharset = nonsense\n{QUERY}", encoding="utf-8")
    with pytest.raises(ConfigError, match="there is no character set"):
        opener().open(f"mysql:{path}")
