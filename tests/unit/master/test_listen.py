"""Listening sockets: all or nothing, kept by address, stale files replaced."""

import os
import socket
import stat
from pathlib import Path

import pytest

from posthouse.ipc.orders_wire import Address, Family
from posthouse.master.listen import Listeners, inherited_sockets
from posthouse.util.errors import Fatal

LOOPBACK = Address(Family.INET, "127.0.0.1", 0)


@pytest.fixture(autouse=True)
def _queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make private/ here."""
    (tmp_path / "private").mkdir()
    monkeypatch.chdir(tmp_path)


def _unix(name: str, family: Family = Family.UNIX, mode: int = 0o666) -> Address:
    return Address(family, path=f"private/{name}", mode=mode)


def test_a_socket_file_has_its_mode_whatever_the_umask() -> None:
    """0666 for all, or what the order says."""
    before = os.umask(0o077)
    listeners = Listeners([])
    listeners.open_all([(_unix("a"), 5), (_unix("b", mode=0o600), 5)])
    os.umask(before)
    assert [stat.S_IMODE(os.lstat(f"private/{name}").st_mode) for name in "ab"] == [0o666, 0o600]
    listeners.keep_only(set())
    assert not list(Path("private").iterdir())


def test_a_dead_instances_socket_is_replaced_but_no_other_file() -> None:
    """A file that is no socket is somebody's: the start fails."""
    with socket.socket(socket.AF_UNIX) as old:
        old.bind("private/a")
    listeners = Listeners([])
    listeners.open_all([(_unix("a"), 5)])
    Path("private/b").write_text("precious")
    with pytest.raises(Fatal, match="private/b: Address already in use"):
        listeners.open_all([(_unix("a"), 5), (_unix("b"), 5)])
    assert Path("private/b").read_text() == "precious"
    listeners.keep_only(set())


def test_one_failure_opens_nothing() -> None:
    """What was opened for the failed orders is closed again, what was open before stays."""
    listeners = Listeners([])
    first = listeners.open_all([(_unix("a"), 5)])[_unix("a")]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        used = LOOPBACK._replace(port=taken.getsockname()[1])
        with pytest.raises(Fatal, match=r"127\.0\.0\.1 port"):
            listeners.open_all([(_unix("a"), 5), (_unix("c"), 5), (used, 5)])
    assert listeners.open_all([(_unix("a"), 5)])[_unix("a")] is first
    listeners.keep_only(set())


def test_a_datagram_socket_does_not_listen() -> None:
    """unix-dgram services get a bound socket."""
    address = _unix("log", Family.UNIX_DATAGRAM)
    listeners = Listeners([])
    sock = listeners.open_all([(address, 5)])[address]
    assert sock.type == socket.SOCK_DGRAM
    listeners.keep_only(set())


def test_passed_sockets_are_taken_by_their_address() -> None:
    """A socket passed by systemd serves the address it is bound to, and only that."""
    with socket.socket() as passed, socket.socket(socket.AF_UNIX) as local:
        passed.bind(("127.0.0.1", 0))
        passed.listen()
        local.bind(os.path.abspath("private/a"))
        local.listen()
        listeners = Listeners([passed, local])
        address = LOOPBACK._replace(port=passed.getsockname()[1])
        opened = listeners.open_all([(address, 5), (_unix("a"), 5), (_unix("b"), 5)])
        assert opened[address] is passed
        assert opened[_unix("a")] is local
        assert opened[_unix("b")] is not local
        listeners.keep_only(set())


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
    ],
    ids=["none", "of another", "no number", "zero"],
)
def test_what_is_meant_for_others_is_not_taken(environment: dict[str, str]) -> None:
    """Another process's number, or no number: nothing; and the variables do not reach daemons."""
    copy = dict(environment)
    assert inherited_sockets(copy) == []
    assert copy == {}
