"""From master.cf to service orders: counts, addresses, owners, what is left out."""

import os

import pytest

from posthouse.commands.orders.begin import Files
from posthouse.commands.orders.main import make_orders, parse_configuration
from posthouse.commands.orders.services import Builder
from posthouse.config.registry import Registry
from posthouse.config.wire import parse_settings
from posthouse.ipc.orders_stream import format_orders
from posthouse.ipc.orders_wire import Address, Family, Owner, ServiceOrder, read_orders
from posthouse.util.errors import ConfigError

MAIN = b"inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\ncompatibility_level = 3.11\nmyhostname = a.example.test\n"


def _build(master: bytes | None, main: bytes = MAIN) -> tuple[dict[str, ServiceOrder], list[str]]:
    configuration = parse_configuration(Files("/etc/postfix", main, master))
    builder = Builder(configuration, configuration.settings("master"), as_root=False)
    return {f"{order.name}/{order.type}": order for order in builder.build()}, builder.notes


def test_processes_and_clients_share_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """maxproc is the number of clients: so many processes as processors, each its part, rounded up."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2})
    orders, _ = _build(
        b"2525 inet n - n - 10 smtpd\n2526 inet n - n - 1 smtpd\n2527 inet n - n - 0 smtpd\n2528 inet n - n - - smtpd\n"
    )
    counts = {name: (order.processes, order.clients) for name, order in orders.items() if name.endswith("/inet")}
    assert counts == {"2525/inet": (3, 4), "2526/inet": (1, 1), "2527/inet": (3, 0), "2528/inet": (3, 34)}


def test_a_solitary_program_has_one_process_and_any_number_of_clients() -> None:
    """qmgr's maxproc 1 means one process; so does a "-" that somebody left there."""
    orders, _ = _build(b"qmgr unix n - n 300 - qmgr\npickup unix n - n 60? 1 pickup\n")
    assert (orders["qmgr/unix"].limit, orders["qmgr/unix"].processes, orders["qmgr/unix"].clients) == (1, 1, 0)
    assert orders["qmgr/unix"].prefork
    assert (orders["pickup/unix"].wakeup_s, orders["pickup/unix"].wakeup_if_used) == (60, True)
    assert orders["qmgr/unix"].owner is Owner.QUEUE


def test_internal_services_are_added_once() -> None:
    """dns, submit, postlog ... come by themselves; an entry of the file goes before."""
    orders, _ = _build(b"dns unix n - n - 5 dns\n")
    assert orders["dns/unix"].addresses == (Address(Family.UNIX, path="public/dns"),)
    assert orders["submit/unix"].addresses == (Address(Family.UNIX, path="submit/submit"),)
    assert orders["postlog/unix-dgram"].addresses == (Address(Family.UNIX_DATAGRAM, path="public/postlog"),)


def test_local_mail_has_the_settings_of_pickup_by_either_way() -> None:
    """Its -o lines are for the submit socket too, and qmgr knows its filter; an entry for submit has its own."""
    master = b"qmgr unix n - n - 1 qmgr\npickup unix n - n 60 1 pickup -o content_filter=scan:$myhostname -o x_y=1\n"
    for text, wanted in ((b"", "scan:a.example.test"), (b"submit unix n - n - 1 pickup\n", "main:")):
        orders, _ = _build(master + text, MAIN + b"content_filter = main:\n")
        assert parse_settings(orders["submit/unix"].settings).text("content_filter") == wanted
        assert parse_settings(orders["submit/unix"].settings).service_name == "submit"
        assert parse_settings(orders["qmgr/unix"].settings).text("posthouse_requeue_filter") == "scan:a.example.test"


def test_one_daemon_says_what_an_address_becomes() -> None:
    """-o of smtpd or cleanup changes nothing there: relay control would judge another address than mail goes to."""
    orders, _ = _build(
        b"25 inet n - n - - smtpd -o myorigin=ours.test -o append_dot_mydomain=yes -o smtpd_banner=x\n"
        b"cleanup unix n - n - 0 cleanup -o myorigin=ours.test\n"
        b"rewrite unix - - n - - trivial-rewrite -o swap_bangpath=no\n",
        MAIN + b"myorigin = foreign.test\nappend_dot_mydomain = no\n",
    )
    for name in ("25/inet", "cleanup/unix"):
        settings = parse_settings(orders[name].settings)
        assert settings.text("myorigin") == "foreign.test"
        assert (settings.text("append_dot_mydomain"), settings.text("swap_bangpath")) == ("no", "no")
    assert parse_settings(orders["25/inet"].settings).text("smtpd_banner") == "x"
    orders, _ = _build(
        b"25 inet n - n - - smtpd -o rewrite_service_name=other -o myorigin=x\nrewrite unix - - n - - trivial-rewrite\n"
        b"other unix - - n - - trivial-rewrite -o myorigin=other.test\n"
    )
    assert parse_settings(orders["25/inet"].settings).text("myorigin") == "other.test"


def test_only_what_strangers_reach_is_exposed() -> None:
    """postconf(5) stress: loopback and UNIX-domain services are never under stress."""
    orders, _ = _build(
        b"25 inet n - n - - smtpd\n192.0.2.1:26 inet n - n - - smtpd\n[::1]:27 inet n - n - - smtpd\n",
        MAIN + b"inet_protocols = all\n",
    )
    exposed = {name for name, order in orders.items() if order.exposed}
    assert {"25/inet", "[::1]:27/inet"} <= orders.keys()
    assert exposed == {"192.0.2.1:26/inet"}


def test_without_master_cf_a_stock_one_runs() -> None:
    """No file at all: the services of Postfix's own."""
    orders, _ = _build(None, b"inet_interfaces = 127.0.0.1\nmyhostname = a.example.test\n")
    assert orders["smtp/inet"].addresses[0] == Address(Family.INET, "127.0.0.1", 25)
    assert orders["smtp/unix"].package == "smtp"


def test_what_is_not_built_is_named_once() -> None:
    """One line for all of them."""
    orders, notes = _build(b"x unix - - n - - nothere\nuucp unix - n n - - uucpd\n")
    assert "x/unix" not in orders
    assert notes == ["services whose program is not built yet are left out: x (unix, nothere), uucp (unix, uucpd)"]


def test_two_services_at_one_address_are_a_mistake() -> None:
    """The second one is named with its line."""
    with pytest.raises(ConfigError, match=r"master.cf:2: 127.0.0.1 port 2525 is already the address of service 2525"):
        _build(b"2525 inet n - n - - smtpd\n127.0.0.1:2525 inet n - n - - smtpd\n")


@pytest.mark.parametrize(
    ("disable", "left"),
    [
        ("", {"2525/inet", "smtp/unix"}),
        ("inet", {"smtp/unix"}),
        ("2525/inet", {"smtp/unix"}),
        ("!2525/inet, inet", {"2525/inet", "smtp/unix"}),
        ("smtp/unix", {"2525/inet"}),
    ],
)
def test_master_service_disable(disable: str, left: set[str]) -> None:
    """Types and name/type pairs; "!" takes one out; the first match counts."""
    main = MAIN + f"master_service_disable = {disable}\n".encode()
    orders, _ = _build(b"2525 inet n - n - - smtpd\nsmtp unix - - n - - smtp\n", main)
    assert {"2525/inet", "smtp/unix"} & orders.keys() == left


def test_chroot_dash_depends_on_the_level() -> None:
    """Below level 1 "-" means y."""
    line = b"2525 inet n - - - - smtpd\n"
    assert not _build(line)[0]["2525/inet"].chroot
    assert _build(line, MAIN.replace(b"3.11", b"0"))[0]["2525/inet"].chroot


def test_orders_survive_the_pipe() -> None:
    """What this process writes master can read."""
    files = Files("/etc/postfix", MAIN, b"2525 inet n - n - - smtpd -o smtpd_banner=hello\n")
    orders = make_orders(files, Registry.of(()), as_root=False)
    assert read_orders(format_orders(orders), as_root=False) == orders
    assert b"smtpd_banner" in orders.services[0].settings


@pytest.mark.parametrize(
    ("main", "says"),
    [
        (b"queue_directory = var/q\n", r"main.cf:1: queue_directory: .* absolute path"),
        (b"x y z\n", r"main.cf:1: missing '='|main.cf:1"),
        (b"default_process_limit = many\n", r"main.cf:1: default_process_limit"),
    ],
)
def test_a_mistake_is_named_with_its_place(main: bytes, says: str) -> None:
    """The operator reads file, line, parameter."""
    with pytest.raises(ConfigError, match=says):
        make_orders(Files("/etc/postfix", main, b""), Registry.of(()), as_root=False)
