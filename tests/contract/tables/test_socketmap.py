"""socketmap: and tcp: tables: every reply there is, limits, UNIX sockets, wrong names, and Postfix's answers."""

from pathlib import Path

import pytest

from posthouse.protocol.socketmap import netstring
from posthouse.tables.table import SENSITIVE
from posthouse.util.errors import ConfigError
from tests.support.lookups import ask, logged, opener
from tests.support.peers import find_peer
from tests.support.postmap import ask_postfix
from tests.support.scripted_server import ScriptedServer, Talk
from tests.support.table_rigs import Rig, SocketMapRig, TcpRig


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"OK one", "one"),
        (b"NOTFOUND ", None),
        (b"TEMP try later", "the server says TEMP try later"),
        (b"TIMEOUT ", "the server says TIMEOUT"),
        (b"PERM no\nsuch map", "the server says PERM no?such map"),
        (b"MAYBE", "no status"),
    ],
)
def test_replies_of_socketmap(reply: bytes, expected: str | None, tmp_path: Path) -> None:
    """A value, nothing, or an error with the server's words; over a UNIX socket."""

    def script(talk: Talk) -> None:
        talk._until(b",")
        talk.say(netstring(reply))
        talk._until(b",")

    with ScriptedServer(script, path=str(tmp_path / "s")) as server:
        (found,) = ask(f"socketmap:unix:{server.path}:map", "key")
    if expected in ("one", None):
        assert found == expected
    else:
        assert found is not None
        assert found.startswith(f"error: socketmap:unix:{server.path}:map: ")
        assert expected in found


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"200 one%20two\n", "one two"),
        (b"500 no\n", None),
        (b"400 try later\n", "the server says 400 try later"),
        (b"250 ok\n", "no reply"),
    ],
)
def test_replies_of_tcp(reply: bytes, expected: str | None, tmp_path: Path) -> None:
    """A value, nothing, or an error with the server's words."""

    def script(talk: Talk) -> None:
        assert talk._until(b"\n") == b"get a%20Key"
        talk.say(reply)
        talk.hang()

    with ScriptedServer(script, path=str(tmp_path / "s")) as server:
        (found,) = ask(f"tcp:unix:{server.path}", "a Key")
    if expected in ("one two", None):
        assert found == expected
    else:
        assert found is not None
        assert found.startswith("error: tcp:unix:")
        assert expected in found


def test_limits_of_socketmap(tmp_path: Path) -> None:
    """A query that is too long is not found, without asking; a reply that is too long is an error."""

    def script(talk: Talk) -> None:
        while True:
            talk.heard.append(talk._until(b","))
            talk.say(netstring(b"OK " + b"x" * 50))

    with ScriptedServer(script, path=str(tmp_path / "s")) as server, logged() as lines:
        spec = f"socketmap:unix:{server.path}:map"
        assert ask(spec, "x" * 9_997, "short") == [None, "x" * 50]
        assert ask(spec, "x" * 37, socketmap_max_query_size="40") == [None]
        assert "limit is 52" in str(ask(spec, "short", socketmap_max_reply_size="52")[0])
        assert ask(spec, "short", socketmap_max_reply_size="53") == ["x" * 50]
        assert ask(spec, "x" * 36, socketmap_max_query_size="40") == ["x" * 50]
        assert len(server.heard()) == 4
    assert len([line for line in lines if "a query of" in line]) == 2


@pytest.mark.parametrize("kind", [SocketMapRig, TcpRig], ids=lambda kind: kind.kind)
def test_the_same_as_postfix(kind: type[Rig], tmp_path: Path) -> None:
    """Debian's postmap finds the same at the same server."""
    if not find_peer("postmap"):
        pytest.skip("Debian's package postfix is not installed")
    keys = ["alpha", "ALPHA", "b c", "nothing", "percent%41@example.org", "key7"]
    with kind(tmp_path) as rig:
        assert ask(rig.spec(1), *keys) == ask_postfix(rig.spec(1), keys, tmp_path)


@pytest.mark.parametrize(
    "spec",
    [
        "socketmap:map",
        "socketmap:inet:host:map",
        "socketmap:inet:host:25:",
        "socketmap:host:25:map",
        "socketmap:unix:map",
        "socketmap:inet:host:x:map",
        "tcp:host",
        "tcp:/path",
        "tcp:host:x",
        "tcp:host:70000",
        "tcp:[::1:25",
    ],
)
def test_wrong_names(spec: str) -> None:
    """They are named when the table is opened, with what to write."""
    with pytest.raises(ConfigError, match="write "):
        opener().open(spec)


@pytest.mark.parametrize(
    "spec", ["socketmap:inet:h:25:m", "tcp:h:25", "memcache:/x.cf", "redis:/x.cf", "http-json:/x.cf"]
)
def test_not_where_rights_are_decided(spec: str) -> None:
    """Whoever answers there could name commands and users."""
    with pytest.raises(ConfigError, match="not allowed for security-sensitive data"):
        opener().open(spec, SENSITIVE)
