"""Listening sockets: all or nothing, kept by address, stale files replaced."""

import os
import socket
import stat
from pathlib import Path

import pytest

from posthouse.ipc.orders_wire import Address, Family
from posthouse.master.listen import Listeners, inherited_sockets
from posthouse.util.errors import Fatal
from tests.support.net import refuses_descriptors

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


def test_what_users_reach_takes_no_descriptors_from_the_start() -> None:
    """Before any daemon of it runs: closing what was passed could hold it up, and a datagram says whose it is."""
    os.mkdir("public")
    wanted = [_unix("a"), Address(Family.UNIX, path="public/a"), Address(Family.UNIX_DATAGRAM, path="public/log")]
    made = Listeners([]).open_all([(address, 5) for address in wanted])
    private, public, log = (made[address] for address in wanted)
    assert [sock.getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED) for sock in (private, public, log)] == [0, 0, 1]
    answers = []
    for sock in (private, public, log):
        with socket.socket(socket.AF_UNIX, sock.type) as user:
            user.connect(sock.getsockname())
            try:
                socket.send_fds(user, [b"x"], [0])
                answers.append("taken")
            except PermissionError:
                answers.append("refused")
    refused = "refused" if refuses_descriptors() else "taken"
    assert answers == ["taken", refused, refused]
    for sock in made.values():
        sock.close()


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


def test_a_path_for_a_datagram_socket_is_kept_while_another_uses_it() -> None:
    """The same path for another kind of socket: only the last to go removes the file."""
    address = _unix("a")
    listeners = Listeners([])
    listeners.open_all([(address, 5)])
    listeners.open_all([(address._replace(mode=0o600), 5)])
    listeners.keep_only({address._replace(mode=0o600)})
    assert Path("private/a").exists()
    listeners.keep_only(set())
    assert not Path("private/a").exists()


def test_an_address_of_no_interface_is_named() -> None:
    """A zone that this machine does not have: the reason is a text, not a number."""
    address = Address(Family.INET6, "fe80::1%nosuch0", 2525)
    with pytest.raises(Fatal, match=r"bind fe80::1%nosuch0 port 2525: .*(no interface|No such device)"):
        Listeners([]).open_all([(address, 5)])


def test_ipv6_listens_at_ipv6_only() -> None:
    """Where there is IPv6: an IPv4 socket of the same port finds its place."""
    if not socket.has_ipv6 or not _has_loopback6():
        pytest.skip("this machine has no IPv6")
    address = Address(Family.INET6, "::1%lo", 0)
    listeners = Listeners([])
    sock = listeners.open_all([(address, 5)])[address]
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    assert not sock.getblocking()
    listeners.keep_only(set())


def _has_loopback6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def _inherit(count: str) -> str:
    """Be started by systemd, in a child that has a socket as 3, a file as 4 and nothing as 5; say what was taken."""
    reader, writer = os.pipe()
    with socket.socket() as passed:
        passed.bind(("127.0.0.1", 0))
        pid = os.fork()
        if pid == 0:
            try:
                out = os.dup2(writer, 2000)
                os.dup2(passed.fileno(), 3)
                os.dup2(reader, 4)
                os.closerange(5, 8)
                found = inherited_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})
                said = [(sock.fileno(), sock.get_inheritable(), sock.getblocking()) for sock in found]
                os.write(out, repr(said).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    os.close(writer)
    text = os.read(reader, 1000).decode()
    os.close(reader)
    return text


@pytest.mark.parametrize("count", ["1", "3", "4"])
def test_what_systemd_passes_is_taken_if_it_is_a_socket(count: str) -> None:
    """Descriptors from 3 on; what is none of that is left alone."""
    assert _inherit(count) == "[(3, False, False)]"


def test_a_nameless_or_abstract_socket_is_nobody_s() -> None:
    """A socket that systemd passed and that is at no path is not taken for one that is."""
    with socket.socket(socket.AF_UNIX) as nameless, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0posthouse-{os.getpid()}")
        listeners = Listeners([nameless, abstract])
        sock = listeners.open_all([(_unix("a"), 5)])[_unix("a")]
        assert sock not in (nameless, abstract)
        listeners.keep_only(set())
