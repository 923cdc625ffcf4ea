"""The dns daemon as its clients see it: cache, coalescing, peer names, and where it gets its servers from."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from posthouse.config.parameter import ConfigValueError
from posthouse.config.settings import Settings
from posthouse.daemons.dns.cache import Cache
from posthouse.daemons.dns.servers import NameServers, parse_resolv_conf, parse_server
from posthouse.daemons.dns.service import DnsService
from posthouse.ipc.dns import NXDOMAIN, OK, TEMPORARY, Answer, DnsRecord, PeerNameAnswer
from posthouse.net.dns import Found, Options, Server
from posthouse.net.dns_client import DnsClient
from posthouse.net.hosts import HostsFile
from posthouse.skeleton.daemon import Context
from posthouse.skeleton.lifetime import Lifetime
from posthouse.util.loop import new_event_loop
from tests.support.agent import FakeLifetime
from tests.support.fake_dns import FakeDns

ZONE = {
    ("example.org", "MX"): ["10 mx.example.org."],
    ("mx.example.org", "A"): ["192.0.2.1"],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org."],
    ("2.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org."],
    ("3.2.0.192.in-addr.arpa", "PTR"): ["192.0.2.3."],
    ("4.2.0.192.in-addr.arpa", "PTR"): ["gone.example.org."],
    ("5.2.0.192.in-addr.arpa", "PTR"): ["."],
    ("6.2.0.192.in-addr.arpa", "PTR"): ["a\\059rm.example.org.", "bad\\000.example.org."],
    ("c." * 12 + "0.0.8.b.d.0.1.0.0.2.ip6.arpa", "PTR"): ["x.example.org."],
}


class Daemon:
    """A dns daemon and a client in one loop."""

    def __init__(self, directory: Path, server: FakeDns, hosts: str = "") -> None:
        self.loop = new_event_loop()
        (directory / "hosts").write_text(hosts)
        path = str(directory / "dns")
        context = Context(
            Settings.from_mapping({}), self.loop, cast("Lifetime", FakeLifetime()), str(directory), client_limit=10
        )
        self.service = DnsService(context, NameServers([server.address]), HostsFile(str(directory / "hosts")))
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(5)
        self.listener.setblocking(False)
        self.loop.add_reader(self.listener.fileno(), lambda: self.service.accept(self.listener.accept()[0], 0))
        self.client = DnsClient(self.loop, path)

    def lookup(self, name: str, rrtype: str) -> Answer:
        """Ask, past the client's own cache."""
        self.client._cache.clear()
        return self.loop.run_until_complete(self.client.lookup(name, rrtype))

    def peer(self, address: str) -> tuple[str, int, str, int]:
        """Ask for the names of a peer."""
        found: PeerNameAnswer = self.loop.run_until_complete(self.client.peer_name(address))
        return found.name, found.name_status, found.reverse_name, found.reverse_status

    def close(self) -> None:
        """End it."""
        self.client.close()
        self.service.retire()
        self.loop.run_until_complete(asyncio.sleep(0.02))
        self.loop.remove_reader(self.listener.fileno())
        self.listener.close()
        self.loop.close()
        asyncio.set_event_loop(None)


StartDaemon = Callable[..., Daemon]


@pytest.fixture
def dns_server() -> Iterator[FakeDns]:
    """Run a name server."""
    with FakeDns(ZONE) as server:
        yield server


@pytest.fixture
def start_daemon(tmp_path: Path, dns_server: FakeDns) -> Iterator[StartDaemon]:
    """Give a function that starts the daemon."""
    started: list[Daemon] = []

    def begin(hosts: str = "") -> Daemon:
        started.append(Daemon(tmp_path, dns_server, hosts))
        return started[-1]

    yield begin
    for daemon in started:
        daemon.close()


def test_answers_are_cached_and_their_ttl_runs(start_daemon: StartDaemon, dns_server: FakeDns) -> None:
    """The second question does not reach the name server, and is told what is left of the TTL."""
    daemon = start_daemon()
    first = daemon.lookup("example.org", "MX")
    daemon.loop.run_until_complete(asyncio.sleep(1.1))
    second = daemon.lookup("EXAMPLE.ORG", "MX")
    assert first.records == [DnsRecord(10, "mx.example.org", 300)]
    assert second.status == OK
    assert 200 <= second.records[0].ttl < 300
    assert len(dns_server.questions) == 1


def test_negative_answers_are_cached_failures_for_a_moment(start_daemon: StartDaemon, dns_server: FakeDns) -> None:
    """NXDOMAIN is kept as the SOA says; a failure for a second (RFC 9520)."""
    daemon = start_daemon()
    for _ in range(2):
        assert daemon.lookup("no.example", "A").status == NXDOMAIN
    assert len(dns_server.questions) == 1
    dns_server.broken = 2  # type: ignore[assignment]  # SERVFAIL
    assert daemon.lookup("example.org", "MX").status == TEMPORARY
    dns_server.broken = 0  # type: ignore[assignment]
    assert daemon.lookup("example.org", "MX").status == TEMPORARY
    daemon.loop.run_until_complete(asyncio.sleep(1.1))
    assert daemon.lookup("example.org", "MX").status == OK


def test_equal_questions_at_once_are_one_question(start_daemon: StartDaemon, dns_server: FakeDns) -> None:
    """Fifty deliveries to one domain cost one lookup, also from different processes."""
    daemon = start_daemon()
    clients = [DnsClient(daemon.loop, daemon.client._client._path) for _ in range(10)]
    futures = [client.begin("example.org", "MX") for client in clients for _ in range(5)]
    for future in futures:
        assert daemon.loop.run_until_complete(future).status == OK
    assert len(dns_server.questions) == 1
    for client in clients:
        client.close()


def test_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put in first leaves first; records count."""
    monkeypatch.setattr("posthouse.daemons.dns.cache.MAX_WEIGHT", 10)
    loop = asyncio.new_event_loop()

    async def resolve(name: str, _rrtype: str) -> Found:
        return Found(OK, records=(DnsRecord(0, name, 60), DnsRecord(0, name, 60)), ttl_s=60)

    cache = Cache(loop, resolve)
    for number in range(5):
        future = cache.ask(f"n{number}", "A")
        assert future is not None
        loop.run_until_complete(future)
    assert [cache.get(f"n{number}", "A") is not None for number in range(5)] == [False, False, True, True, True]
    assert cache._weight == 9
    loop.close()


def test_dns_daemon_that_is_not_there_is_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lookups never raise."""
    monkeypatch.setattr("posthouse.net.dns_client.TIMEOUT_S", 0.2)
    loop = new_event_loop()
    client = DnsClient(loop, str(tmp_path / "none"))
    assert loop.run_until_complete(client.lookup("example.org", "MX")).status == TEMPORARY
    client.close()
    loop.close()
    asyncio.set_event_loop(None)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", ("mx.example.org", 2, "mx.example.org", 2)),
        ("192.0.2.2", ("unknown", 5, "mx.example.org", 2)),  # the name has another address
        ("192.0.2.3", ("unknown", 5, "unknown", 5)),  # a numeric name
        ("192.0.2.4", ("unknown", 5, "gone.example.org", 2)),
        ("192.0.2.5", ("unknown", 5, "unknown", 5)),
        ("192.0.2.6", ("unknown", 5, "unknown", 5)),  # no host names
        ("192.0.2.7", ("unknown", 5, "unknown", 5)),  # no PTR
        ("192.0.2.50", ("fifty.example.org", 2, "fifty.example.org", 2)),  # the hosts file
        ("2001:db8::7", ("seven.example.org", 2, "seven.example.org", 2)),
        ("not an address", ("unknown", 5, "unknown", 5)),
    ],
)
def test_names_of_peers(start_daemon: StartDaemon, address: str, expected: tuple[str, int, str, int]) -> None:
    """DN-13: a name counts only when it leads back to the address."""
    hosts = "192.0.2.50 fifty.example.org fifty\n2001:DB8:0::7 seven.example.org # a comment\nbad line\n"
    assert start_daemon(hosts).peer(address) == expected


def test_peer_names_when_dns_fails(start_daemon: StartDaemon, dns_server: FakeDns) -> None:
    """A lookup that fails for now is 4, not 5."""
    dns_server.broken = 2  # type: ignore[assignment]
    assert start_daemon().peer("192.0.2.1") == ("unknown", 4, "unknown", 4)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("127.0.0.1", Server("127.0.0.1", 53)),
        ("127.0.0.1:5353", Server("127.0.0.1", 5353)),
        ("::1", Server("::1", 53)),
        ("[::1]:5353", Server("::1", 5353)),
    ],
)
def test_dns_nameservers(text: str, server: Server) -> None:
    """The forms of dns_nameservers."""
    assert parse_server(text) == server


@pytest.mark.parametrize("text", ["localhost", "127.0.0.1:0", "127.0.0.1:99999", "1.2.3", "", "127.0.0.1:5353x"])
def test_bad_dns_nameservers(text: str) -> None:
    """What is no address and port says so."""
    with pytest.raises(ConfigValueError):
        parse_server(text)


def test_resolv_conf() -> None:
    """nameserver lines, at most three; limits clamped; nonsense passed over."""
    options = parse_resolv_conf(
        "; comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver junk\n"
        "nameserver 192.0.2.3\nnameserver 192.0.2.4\noptions timeout:1 attempts:99 rotate edns0\n"
    )
    assert options == Options((Server("192.0.2.1"), Server("fe80::1%eth0"), Server("192.0.2.3")), 1.0, 5, rotate=True)
    assert parse_resolv_conf("") == Options((Server("127.0.0.1"),), 5.0, 2, rotate=False)


def test_resolv_conf_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A changed file counts within seconds; one that vanishes changes nothing."""
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\n")
    now = [0.0]
    servers = NameServers((), str(path), lambda: now[0])
    assert servers().servers == (Server("192.0.2.1"),)
    path.with_suffix(".new").write_text("nameserver 192.0.2.22\n")
    path.with_suffix(".new").rename(path)
    assert servers().servers == (Server("192.0.2.1"),)
    now[0] += 3
    assert servers().servers == (Server("192.0.2.22"),)
    path.unlink()
    now[0] += 3
    assert servers().servers == (Server("192.0.2.22"),)
