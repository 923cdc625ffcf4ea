"""What every table owes its users (test_tables.py), asked by way of a real proxymap(8), and sqlite: without it too."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posthouse.daemons.proxymap.daemon import DAEMON
from posthouse.skeleton.rules import REMOTE_TABLES
from posthouse.tables import lmdb
from posthouse.tables.open import Opener
from posthouse.tables.proxy import ProxyClient
from posthouse.tables.table import DEFAULT_FLAGS, SENSITIVE, Table, TableFlags
from posthouse.util.errors import TableError
from tests.support.inprocess import System

CONTENTS = {"alpha": "one", '"b c"': "two words", "ünï@exämple.org": "drei"}
Opened = tuple[System, Callable[[TableFlags], Table]]


def make_sqlite(directory: Path) -> str:
    """Make a database and its file of settings."""
    with sqlite3.connect(directory / "map.db") as database:
        database.execute("CREATE TABLE map (k TEXT, v TEXT)")
        database.executemany("INSERT INTO map VALUES (?, ?)", CONTENTS.items())
    database.close()
    path = directory / "map.cf"
    path.write_text(f"dbpath = {directory}/map.db\nquery = SELECT v FROM map WHERE k = '%s'\n", encoding="utf-8")
    return f"sqlite:{path}"


def make_lmdb(directory: Path) -> str:
    """Make a file."""
    lmdb.write_all(f"{directory}/map.lmdb", CONTENTS)
    return f"lmdb:{directory}/map"


def make_texthash(directory: Path) -> str:
    """Make a text."""
    (directory / "map").write_text("".join(f"{key} {value}\n" for key, value in CONTENTS.items()), encoding="utf-8")
    return f"texthash:{directory}/map"


def make_union(directory: Path) -> str:
    """Put a local and a remote table together: the daemon asks for its parts."""
    return f"unionmap:{{inline:{{x=y}},{make_sqlite(directory)}}}"


MAKERS = {
    "sqlite": (make_sqlite, ""),
    "proxy:sqlite": (make_sqlite, "proxy:"),
    "proxy:lmdb": (make_lmdb, "proxy:"),
    "proxy:texthash": (make_texthash, "proxy:"),
    "unionmap": (make_union, ""),
}


@pytest.fixture(params=MAKERS)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Run proxymap, and give a way to open a table as a daemon does."""
    maker, prefix = MAKERS[request.param]
    name = maker(tmp_path)
    own = f"sqlite:{tmp_path}/map.cf"
    main = {"virtual_alias_maps": f"{prefix}{name}", REMOTE_TABLES: "" if prefix or "sqlite" not in name else own}
    system = System(tmp_path, main)
    system.start(DAEMON, "private/proxymap")
    client = ProxyClient(system.loop, str(tmp_path / "private/proxymap"), cache_s=0.0)
    opener = Opener(system.settings, proxy=client)
    yield system, lambda flags: opener.open(f"{prefix}{name}", flags)
    client.close()
    system.close()


def look(table: Opened, *keys: str, fold: bool = True) -> list[str | None]:
    """Ask for keys."""
    system, open_it = table
    opened = open_it(TableFlags(fold=fold))
    return [system.run(opened.lookup(key)) for key in keys]


def test_values(table: Opened) -> None:
    """What is there, what is not, and what can be no key."""
    assert look(table, *CONTENTS) == list(CONTENTS.values())
    assert look(table, "beta", "alph", "x" * 5000, "alpha\udcff") == [None] * 4


def test_folding(table: Opened) -> None:
    """Keys are folded beyond ASCII, and only where that is wanted."""
    assert look(table, "ALPHA", "ÜNÏ@exÄmple.org") == ["one", "drei"]
    assert look(table, "ALPHA", "alpha", fold=False) == [None, "one"]


def test_partial_keys(table: Opened) -> None:
    """Fixed strings behind proxymap are fixed strings."""
    assert table[1](DEFAULT_FLAGS).takes_partial_keys


def test_a_server_that_fails(tmp_path: Path) -> None:
    """The error comes through, with its reason, and the next lookup in another table is answered."""
    path = tmp_path / "map.cf"
    path.write_text(f"dbpath = {tmp_path}/missing.db\nquery = SELECT 1\n", encoding="utf-8")
    system = System(tmp_path, {REMOTE_TABLES: f"sqlite:{path}", "virtual_alias_maps": "proxy:inline:{a=b}"})
    system.start(DAEMON, "private/proxymap")
    client = ProxyClient(system.loop, str(tmp_path / "private/proxymap"))
    opener = Opener(system.settings, proxy=client)
    with pytest.raises(TableError, match=r"missing\.db: No such file"):
        system.run(opener.open(f"sqlite:{path}").lookup("a"))
    assert system.run(opener.open("proxy:inline:{a=b}").lookup("a")) == "b"
    client.close()
    system.close()


def test_what_decides_about_rights_goes_to_proxymap_when_it_is_remote(tmp_path: Path) -> None:
    """With "proxy:" before it too; a local table is opened by the daemon itself."""
    name = make_sqlite(tmp_path)
    system = System(tmp_path, {REMOTE_TABLES: name})
    system.start(DAEMON, "private/proxymap")
    client = ProxyClient(system.loop, str(tmp_path / "private/proxymap"))
    opener = Opener(system.settings, proxy=client)
    for spec in (name, f"proxy:{name}"):
        assert system.run(opener.open(spec, SENSITIVE).lookup("alpha")) == "one"
    assert system.run(opener.open("proxy:inline:{a=b}", SENSITIVE).lookup("a")) == "b", "proxymap has not approved it"
    client.close()
    system.close()
