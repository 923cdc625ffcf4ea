"""redis: tables at Debian's redis-server: commands, login, TLS, changes, and what the server refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.tables.remote import WritableRemoteTable
from posthouse.util.errors import ConfigError, TableError
from tests.support import certificates
from tests.support.lookups import ask, opener, run_async
from tests.support.scripted_server import Script, ScriptedServer, Talk
from tests.support.table_rigs import RedisRig


class Full(RedisRig):
    """A server with a password, users, TLS on the next port, and other kinds of values."""

    def command(self) -> list[str]:
        """Add what the tests of logins need."""
        self.files = certificates.make(self.directory)
        tls = ["--tls-port", str(self.port + 1), "--tls-cert-file", str(self.files.cert), "--tls-auth-clients", "no"]
        tls += ["--tls-key-file", str(self.files.key), "--tls-ca-cert-file", str(self.files.ca)]
        return [*super().command(), *tls, "--maxclients", "50"]

    def fill(self) -> None:
        """Add a hash, a set, a list, a sorted set, another database, and a user."""
        super().fill()
        self.talk("HSET", "users", "ann@example.org", "ann/", "bob@example.org", "bob/")
        self.talk("SADD", "list:ann", "a@x.test", "b@x.test")
        self.talk("RPUSH", "row", "one", "", "two")
        self.talk("ZADD", "sorted", "1", "first", "2", "second")
        self.talk("SET", "bad", b"\xff")
        self.talk("ACL", "SETUSER", "mail", "on", ">secret", "~*", "+get", "+select")
        self.talk("ACL", "SETUSER", "default", "resetkeys", "~*")

    def settings(self, *lines: str) -> str:
        """Write settings; the server's address is among them unless it is given."""
        host = [] if any(line.startswith("hosts") for line in lines) else [f"hosts = 127.0.0.1:{self.port}"]
        return self._file(*host, *lines, "timeout = 10")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    """Run one for all tests here."""
    if reason := Full.why_not() or certificates.why_not():
        pytest.skip(reason)
    with Full(tmp_path_factory.mktemp("redis")) as rig:
        yield rig


@pytest.mark.parametrize(
    ("lines", "keys", "expected"),
    [
        ("query = GET %s", ["alpha", "nothing"], ["one", None]),
        ("query = get %s\nresult_format = <%s>", ["alpha"], ["<one>"]),
        ("", ["alpha"], ["one"]),
        ("query = HGET users %s", ["ann@example.org", "x", "bob@EXAMPLE.org"], ["ann/", None, "bob/"]),
        ("query = HVALS %s", ["users", "nothing"], ["ann/,bob/", None]),
        ("query = LRANGE %s 0 -1", ["row"], ["one,two"]),
        ("query = ZRANGE %s 0 -1", ["sorted"], ["first,second"]),
        ("query = ZRANGE %s 0 -1\nexpansion_limit = 2", ["sorted"], ["first,second"]),
        ("query = SMEMBERS list:%u", ["nobody@x.test", "@x.test"], [None, None]),
        ("query = GET %s\ndomain = example.org", ["alpha", "x@example.org"], [None, None]),
        ("query = GET %d", ["x@alpha", "alpha"], ["one", None]),
        ("db = 1", ["alpha"], [None]),
        ("username = mail\npassword = secret", ["alpha"], ["one"]),
    ],
)
def test_queries(server: Full, lines: str, keys: list[str], expected: list[str | None]) -> None:
    """Each command that reads; empty values in a list do not count."""
    assert ask(server.settings(*lines.split("\n")), *keys) == expected


def test_a_set(server: Full) -> None:
    """Its order is the server's."""
    found = ask(server.settings("query = SMEMBERS list:%u"), "ann@x.test")[0]
    assert found is not None
    assert set(found.split(",")) == {"a@x.test", "b@x.test"}


@pytest.mark.parametrize(
    ("lines", "key", "why"),
    [
        ("query = GET %s", "users", "WRONGTYPE"),
        ("query = LRANGE %s x y", "row", "not an integer"),
        ("query = ZRANGE %s 0 -1\nexpansion_limit = 1", "sorted", "expansion_limit"),
        ("username = mail\npassword = wrong", "alpha", "invalid username-password"),
        ("username = mail\npassword = secret\nquery = HGET users %s", "x", "permissions"),
        ("db = 60000", "alpha", "out of range"),
        ("query = GET %s", "bad", "non-UTF-8"),
    ],
)
def test_what_the_server_refuses(server: Full, lines: str, key: str, why: str) -> None:
    """It is an error with the server's words, and no reason to think that the key is not there."""
    for found in ask(server.settings(*lines.split("\n")), key, key):
        assert found is not None
        assert found.startswith("error: redis:")
        assert why in found


def test_ways_to_the_server(server: Full) -> None:
    """UNIX sockets; TLS with a certificate that counts, with one that does not, and without asking for it."""
    tls = f"hosts = localhost:{server.port + 1}"
    other = server.files.other_ca
    assert ask(server.settings(f"hosts = unix:{server.directory}/redis.sock"), "alpha") == ["one"]
    assert ask(server.settings(f"hosts = 127.0.0.1:1, 127.0.0.1:{server.port}"), *["alpha"] * 4) == ["one"] * 4
    assert ask(server.settings(tls, "tls = yes", f"tls_ca_file = {server.files.ca}"), "alpha") == ["one"]
    assert ask(server.settings(tls, "tls = yes", "tls_verify_cert = no"), "alpha") == ["one"]
    for lines in ((f"tls_ca_file = {other}", "tls = yes"), ("tls = no",)):
        found = ask(server.settings(tls, *lines), "alpha")[0]
        assert found is not None
        assert found.startswith("error")


def test_changes(server: Full) -> None:
    """What is stored is found, for as long as it may live; what is deleted is not."""

    async def body(spec: str) -> None:
        opened = opener()
        table = opened.open(spec)
        assert isinstance(table, WritableRemoteTable)
        await table.put("New@Example.org", "a b\tc")
        assert await table.lookup("new@example.org") == "a b\tc"
        await table.put("new@example.org", "other")
        assert await table.lookup("new@example.org") == "other"
        assert await table.delete("NEW@example.org")
        assert not await table.delete("new@example.org")
        assert await table.lookup("new@example.org") is None
        await table.put("new@example.org", "at last")
        opened.close()

    run_async(body(server.settings("query = GET cache:%s", "ttl = 1000")))
    assert server.talk("TTL", "cache:new@example.org") in (b":1000\r\n", b":999\r\n", b":998\r\n")
    run_async(body(server.settings("query = HGET cache %s")))
    assert server.talk("HGET", "cache", "new@example.org") == b"$7\r\nat last\r\n"


def test_tables_that_cannot_be_changed(server: Full) -> None:
    """A change of what a query makes of several values, or of a format, would be something else."""

    async def body(spec: str) -> None:
        table = opener().open(spec)
        assert isinstance(table, WritableRemoteTable)
        for change in (table.put("a", "b"), table.delete("a")):
            with pytest.raises(TableError, match="GET or HGET"):
                await change

    for lines in (("query = SMEMBERS %s",), ("result_format = <%s>",)):
        run_async(body(server.settings(*lines)))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("query = FLUSHALL", "query: .*not one of"),
        ("query = GET", "query: GET has 1 words"),
        ("query = GET a b", "query: GET has 1 words"),
        ("query = GET %x", "query: "),
        ("hosts = a:b", "hosts: "),
        ("db = -1", "db: "),
        ("ttl = 5\nquery = HGET a %s", "ttl: "),
        ("timeout = 0", "timeout: "),
    ],
)
def test_wrong_settings(line: str, why: str, tmp_path: Path) -> None:
    """They are named with file and attribute when the table is opened."""
    (tmp_path / "r.cf").write_text(f"{line}\n")
    with pytest.raises(ConfigError, match=why):
        opener().open(f"redis:{tmp_path}/r.cf")


def endless(talk: Talk) -> None:
    """Send a value that was said to have gigabytes, until the client has enough."""
    talk.line()
    talk.say(b"$4000000000\r\n")
    while True:
        talk.say(b"x" * 1_000_000)


def small_lines(talk: Talk) -> None:
    """Send values without end, each a small one."""
    talk.line()
    talk.say(b"*2000000000\r\n")
    while True:
        talk.say(b"$1\r\nx\r\n" * 100_000)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (endless, "an answer of more than"),
        (small_lines, "an answer of more than"),
        (lambda talk: (talk.line(), talk.say(b"*1\r\n" * 5000), talk.hang()), "recursion"),
        (lambda talk: (talk.line(), talk.say(b"*1\r\n*1\r\n+a\r\n"), talk.hang()), "neither text nor a number"),
        (lambda talk: (talk.line(), talk.say(b"*1\r\n-ERR no\r\n"), talk.hang()), "neither text nor a number"),
    ],
)
def test_answers_without_measure(script: Script, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile server costs one lookup: neither the memory nor the life of the process that asks it."""
    if reason := Full.why_not():
        pytest.skip(reason)
    monkeypatch.setattr("posthouse.tables.redis.ANSWER_LIMIT", 1_000_000)
    with ScriptedServer(script) as server:
        (tmp_path / "table.cf").write_text(f"hosts = 127.0.0.1:{server.port}\ntimeout = 60\n")
        (found,) = ask(f"redis:{tmp_path}/table.cf", "key")
    assert found is not None
    assert why in found, found
