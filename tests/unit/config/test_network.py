"""Own addresses, networks, and the endpoints of services."""

import ipaddress
import socket
import struct
from collections.abc import Callable

import pytest

from posthouse.config import derived, interfaces, own_addresses
from posthouse.config.endpoints import find_port, parse_tcp_ports, service_addresses, split_endpoint
from posthouse.config.interfaces import LOOPBACK_ONLY, InterfaceAddress, interface_addresses, parse_address_message
from posthouse.config.master_cf import parse_service
from posthouse.config.own_addresses import networks, own_interfaces, parse_protocols
from posthouse.config.parameter import ConfigValueError
from posthouse.config.settings import Identity, Origin, Settings
from posthouse.util import log
from posthouse.util.errors import ConfigError

HOST = (
    InterfaceAddress("lo", ipaddress.ip_address("127.0.0.1"), 8),
    InterfaceAddress("lo", ipaddress.ip_address("::1"), 128),
    InterfaceAddress("eth0", ipaddress.ip_address("192.0.2.2"), 24),
    InterfaceAddress("eth0", ipaddress.ip_address("fd00::2"), 64),
    InterfaceAddress("eth1", ipaddress.ip_address("172.16.5.1"), 20),
)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the machine known interfaces."""
    monkeypatch.setattr(own_addresses, "interface_addresses", lambda: HOST)


def texts(**values: str) -> Callable[[str], str]:
    """Look names up in fixed values."""
    known = {"inet_protocols": "all", "inet_interfaces": "all", "proxy_interfaces": "", **values}
    return known.__getitem__


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("host", "127.0.0.1/32 [::1]/128 192.0.2.2/32 [fd00::2]/128 172.16.5.1/32"),
        ("subnet", "127.0.0.0/8 [::1]/128 192.0.2.0/24 [fd00::]/64 172.16.0.0/20"),
        ("class", "127.0.0.0/8 [::1]/128 192.0.2.0/24 [fd00::]/64 172.16.0.0/16"),
    ],
)
def test_networks_by_style(style: str, expected: str) -> None:
    """This host, its subnets, its classes."""
    assert " ".join(networks(HOST, style)) == expected


def test_networks_come_once() -> None:
    """Two addresses of one subnet."""
    twice = [InterfaceAddress("a", ipaddress.ip_address(f"10.0.0.{n}"), 8) for n in (1, 2)]
    assert networks(twice, "subnet") == ["10.0.0.0/8"]
    assert networks([InterfaceAddress("a", ipaddress.ip_address("224.0.0.1"), 8)], "class") == ["224.0.0.1/32"]
    with pytest.raises(ConfigValueError, match="class, subnet, host"):
        networks(HOST, "all")


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["127.0.0.1", "192.0.2.2", "172.16.5.1", "::1", "fd00::2"]),
        ({"inet_interfaces": "loopback-only"}, ["127.0.0.1", "::1"]),
        ({"inet_interfaces": "Localhost, 192.0.2.2"}, ["127.0.0.1", "192.0.2.2", "::1"]),
        ({"inet_interfaces": "[fd00::2] 198.51.100.1"}, ["198.51.100.1", "fd00::2"]),
        ({"inet_protocols": "ipv6"}, ["::1", "fd00::2"]),
        ({"inet_interfaces": "192.0.2.2", "inet_protocols": "ipv6"}, []),
    ],
)
def test_own_interfaces(values: dict[str, str], expected: list[str]) -> None:
    """inet_interfaces of the families of inet_protocols, IPv4 first."""
    assert [str(item.address) for item in own_interfaces(texts(**values))] == expected


@pytest.mark.usefixtures("host")
def test_prefixes_come_from_the_interfaces() -> None:
    """An address that no interface has counts by itself."""
    found = own_interfaces(texts(inet_interfaces="192.0.2.2 198.51.100.1"))
    assert [item.prefix_length for item in found] == [24, 32]


@pytest.mark.usefixtures("host")
def test_proxy_interfaces_are_our_own() -> None:
    """They receive mail for us."""
    found = own_addresses.own_addresses(texts(inet_interfaces="loopback-only", proxy_interfaces="198.51.100.9"))
    assert {str(address) for address in found} == {"127.0.0.1", "::1", "198.51.100.9"}


@pytest.mark.parametrize("text", ["", "ipv5", "all none"])
def test_wrong_protocols_are_refused(text: str) -> None:
    """At least one, and only known ones."""
    with pytest.raises(ConfigValueError):
        parse_protocols(text)


def test_names_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the system's resolver; a name without address is an error with advice."""
    row = (socket.AF_INET6, 1, 6, "", ("fe80::1%eth0", 0, 0, 2))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_names: [row])
    assert own_addresses.addresses_of("mail.example.com") == (ipaddress.ip_address("fe80::1"),)

    own_addresses.addresses_of.cache_clear()

    def fail(*_args: object, **_names: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ConfigValueError, match="write the address itself"):
        own_addresses.addresses_of("mail.example.com")


def test_the_kernel_tells_the_loopback_address() -> None:
    """On any machine that runs these tests."""
    assert any(item.address.is_loopback for item in interface_addresses())


def test_without_netlink_loopback_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sandbox that forbids the socket, or with no answer."""

    def fail(*_args: object) -> None:
        raise PermissionError

    monkeypatch.setattr(socket, "socket", fail)
    assert interface_addresses.__wrapped__() == LOOPBACK_ONLY


class FakeNetlink:
    """Answers with fixed datagrams."""

    def __init__(self, *datagrams: bytes) -> None:
        self._datagrams = list(datagrams)

    def recv(self, _size: int) -> bytes:
        """Give the next one, then nothing."""
        return self._datagrams.pop(0) if self._datagrams else b""


def attribute(kind: int, data: bytes) -> bytes:
    """Make one attribute, padded."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def message(kind: int, payload: bytes) -> bytes:
    """Make one netlink message."""
    return struct.pack("=LHHLL", 16 + len(payload), kind, 0, 1, 0) + payload


V4 = struct.pack("=BBBBL", socket.AF_INET, 24, 0, 0, 4_000_000)


def test_netlink_replies_are_read() -> None:
    """Addresses, other messages and the end; our end of a point-to-point link."""
    both = V4 + attribute(1, bytes([192, 0, 2, 1])) + attribute(2, bytes([192, 0, 2, 2]))
    replies = (message(99, b"") + message(20, both), message(3, b"") + message(20, both))
    found = list(interfaces._replies(FakeNetlink(*replies)))  # type: ignore[arg-type]
    assert found == [InterfaceAddress("4000000", ipaddress.ip_address("192.0.2.2"), 24)]
    assert list(interfaces._replies(FakeNetlink())) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "attributes", [b"", attribute(3, b"eth0"), attribute(1, b"short"), struct.pack("=HH", 0, 1) + bytes(8)]
)
def test_messages_without_address_are_nothing(attributes: bytes) -> None:
    """Whatever else the kernel may tell."""
    assert list(parse_address_message(V4 + attributes)) == []


@pytest.mark.parametrize(
    ("hostname", "legal"),
    [
        ("mail.example.com", True),
        ("a_b", True),
        ("", False),
        ("a..b", False),
        ("-a.b", False),
        ("a-.b", False),
        ("192.0.2.1", False),
        ("a b", False),
        ("x" * 64, False),
        (".".join(["abcdefg"] * 33), False),
    ],
)
def test_host_names(hostname: str, legal: bool) -> None:
    """What myhostname may be."""
    assert derived.is_hostname(hostname) is legal


def test_only_some_names_are_derived() -> None:
    """Another name is our bug."""
    with pytest.raises(AssertionError):
        derived.compute("relayhost", lambda _: False, lambda _: "")


# ---------------------------------------------------------------------------------------------------------- endpoints


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("smtp", ("", "smtp")),
        ("127.0.0.1:25", ("127.0.0.1", "25")),
        ("[::1]:smtp", ("::1", "smtp")),
        (":25", ("", "25")),
    ],
)
def test_endpoints_are_split(name: str, pair: tuple[str, str]) -> None:
    """Host and port."""
    assert split_endpoint(name) == pair


@pytest.mark.parametrize("name", ["[::1", "[::1]", "[::1]x"])
def test_half_endpoints_are_refused(name: str) -> None:
    """Brackets need a port after them."""
    with pytest.raises(ConfigValueError):
        split_endpoint(name)


def test_ports_have_numbers_and_names() -> None:
    """known_tcp_ports before /etc/services."""
    assert find_port("25", {}) == 25
    assert find_port("smtp", {"smtp": 2525}) == 2525
    with pytest.raises(ConfigValueError, match="not between 1 and 65535"):
        find_port("70000", {})
    with pytest.raises(ConfigValueError, match="not between 1 and 65535"):
        find_port("0", {})
    with pytest.raises(ConfigValueError, match="write its number"):
        find_port("no-such-service", {})


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("2525", {}, (("0.0.0.0", 2525), ("::", 2525))),
        ("2525", {"inet_protocols": "ipv4"}, (("0.0.0.0", 2525),)),
        ("smtp", {"inet_interfaces": "loopback-only"}, (("127.0.0.1", 25), ("::1", 25))),
        ("[::1]:lmtp", {}, (("::1", 24),)),
        ("127.0.0.1:25", {"inet_interfaces": "192.0.2.2"}, (("127.0.0.1", 25),)),
    ],
)
def test_services_have_addresses(name: str, values: dict[str, str], expected: tuple[tuple[str, int], ...]) -> None:
    """Of their own, or those of inet_interfaces."""
    service, _ = parse_service(f"{name} inet n - - - - smtpd", 3)
    assert service_addresses(service, Settings.from_mapping(values)) == expected


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("127.0.0.1:25", {"inet_protocols": "ipv6"}),
        ("[::1:25", {}),
        ("nosuchport", {}),
    ],
)
def test_impossible_addresses_name_the_entry(name: str, values: dict[str, str]) -> None:
    """File and line of master.cf."""
    service, _ = parse_service(f"{name} inet n - - - - smtpd", 3)
    with pytest.raises(ConfigError, match=r"^master\.cf:3: "):
        service_addresses(service, Settings.from_mapping(values), "master.cf")


def test_protocols_that_do_not_exist_are_the_parameter_s() -> None:
    """And no mistake in each service that listens."""
    service, _ = parse_service("25 inet n - - - - smtpd", 3)
    with pytest.raises(ConfigError, match=r"^inet_protocols: "):
        service_addresses(service, Settings.from_mapping({"inet_protocols": "x"}), "master.cf")


@pytest.mark.parametrize(
    ("text", "ports", "faults"),
    [
        ("smtp = 25, smtps = submissions = 465", {"smtp": 25, "smtps": 465, "submissions": 465}, []),
        ("", {}, []),
        ("a == b = 3", {"a": 3, "b": 3}, ['missing service name before "="']),
        ("a =", {}, ['missing port value after "="']),
        ("a = 4 5", {}, ["whitespace in port number"]),
        ("a b = 4", {}, ["whitespace in service name"]),
        ("a = x", {}, ["non-numerical service port"]),
        ("a = 70000", {}, ["port number out of range"]),
        ("12 = a = 4", {"a": 4}, ["numerical service name"]),
    ],
)
def test_known_ports_are_read(
    monkeypatch: pytest.MonkeyPatch, text: str, ports: dict[str, int], faults: list[str]
) -> None:
    """What is wrong is logged and left out."""
    logged: list[str] = []
    monkeypatch.setattr(log, "warning", logged.append)
    assert parse_tcp_ports(text, "known") == ports
    assert logged == [f'known: in "{text}": {fault}' for fault in faults]


def test_a_port_without_a_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Postfix's words."""
    logged: list[str] = []
    monkeypatch.setattr(log, "warning", logged.append)
    assert parse_tcp_ports("a, b = 1", "known") == {"b": 1}
    assert logged == ['known: in "a" is not in "name = value" form']


def test_an_address_that_cannot_be_found_is_told_with_its_place() -> None:
    """A daemon that needs it ends with file, line and parameter, not with a traceback."""
    origins = {"proxy_interfaces": Origin("/x/main.cf", 7)}
    explicit = {"proxy_interfaces": "a..b", "inet_interfaces": "loopback-only"}
    settings = Settings(explicit, Identity(), {}, origins)
    with pytest.raises(ConfigError, match=r"/x/main\.cf:7: proxy_interfaces: cannot find the address"):
        own_addresses.own_address_texts(settings)
