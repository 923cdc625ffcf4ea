"""Every decoder of root's code, with valid inputs to start from and an independent idea of what it may let pass.

A target's `check` gets octets. It returns when they were decoded to a value within its limits, or refused with
ValueError; whatever else happens is a finding.
"""

import os
import random
import re
import string
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from posthouse.commands.orders.begin import mail_owner
from posthouse.ipc import orders_wire as orders
from posthouse.ipc import runas_wire, status_wire, warm_wire
from posthouse.ipc.fixed import Layout
from posthouse.ipc.orders_stream import format_failed, format_orders
from posthouse.master.listen import inherited_sockets, small_number
from posthouse.master.log import SYSTEM, Log
from posthouse.master.main import KEPT, clean_environment, parse_arguments
from tests.fuzz.mutate import Fields, damaged

ID_MAX: Final = 4294967294
PLAIN: Final = frozenset(string.ascii_lowercase + string.digits + "_")
PRINTABLE: Final = re.compile(rb"[^\x00-\x1f\x7f]*")


class Target(NamedTuple):
    """One decoder."""

    name: str
    make: Callable[[random.Random], bytes]
    check: Callable[[bytes], None]
    weight: int  # how many of all inputs are its


def targets_of(
    checks: Sequence[Callable[[bytes], None]], makers: Sequence[Callable[[random.Random], bytes]]
) -> list[Target]:
    """Make a target of each check with each maker; the check's name is check_NAME."""
    return [
        Target(f"{check.__name__.removeprefix('check_')} {make.__name__}", make, check, 1)
        for check in checks
        for make in makers
    ]


def record_target(name: str, layout: Layout[Any], values: Sequence[object], limits: Callable[[Any], bool]) -> Target:
    """Make the target of one kind of record; limits: whether a value may come out."""
    seeds, fields = [layout.pack(value) for value in values], Fields(layout)

    def make(source: random.Random) -> bytes:
        if source.random() < 0.5:
            return fields.change(source, source.choice(seeds))
        return damaged(source, seeds)

    def check(data: bytes) -> None:
        try:
            value = layout.unpack(data)
        except ValueError:
            return
        assert limits(value), f"beyond its limits: {value}"
        assert layout.pack(value) == data, f"the record says more than {value}"

    return Target(name, make, check, 60)


def is_user(number: int) -> bool:
    """Tell whether a number can be a user's or group's who is not root."""
    return 0 < number <= ID_MAX


def is_package(name: str) -> bool:
    """Tell whether a name is a plain one."""
    return len(name) <= 47 and name[:1].isalpha() and set(name) <= PLAIN


def is_text(text: str, size: int) -> bool:
    """Tell whether a text has less than size octets and no control character."""
    data = text.encode("utf-8", "surrogateescape")
    return len(data) < size and PRINTABLE.fullmatch(data) is not None


def identity_ok(identity: Any) -> bool:  # noqa: ANN401 - an Identity or a Request
    """Tell whether these ids are nobody's who matters."""
    ids = (identity.uid, identity.gid, *identity.groups)
    return all(map(is_user, ids)) and len(identity.groups) <= 16


def address_ok(address: orders.Address) -> bool:
    """Tell whether an address is a number with a port, or a path of two harmless parts."""
    if address.mode & ~0o666 or not 0 <= address.port <= 65535:
        return False
    if address.family in (1, 2):
        directory, slash, name = address.path.partition("/")
        return directory in ("private", "public", "submit") and slash == "/" and is_socket_name(name, address.host)
    return (
        not address.path
        and bool(address.host)
        and set(address.host.partition("%")[0]) <= set("0123456789abcdefABCDEF:.")
    )


def is_socket_name(name: str, host: str) -> bool:
    """Tell whether a name stays in its directory."""
    harmless = set(name) <= set(string.ascii_letters + string.digits + "_.:@%=+-")
    return not host and 0 < len(name) <= 80 and harmless and name[0] != "."


def service_ok(order: orders.ServiceOrder) -> bool:
    """Tell whether the fixed part of a service is within its limits."""
    return (
        0 < len(order.name) <= 99
        and not set(order.name) - set(string.ascii_letters + string.digits + "_.:@%=+-[]")
        and order.type in ("inet", "unix", "unix-dgram", "pass", "fifo")
        and is_text(order.program, 64)
        and is_package(order.package)
        and order.owner in (0, 1, 2)
        and 1 <= order.processes <= 1024
        and {type(flag) for flag in (order.chroot, order.prefork, order.exposed, order.wakeup_if_used)} == {bool}
    )


def global_ok(settings: orders.GlobalOrders) -> bool:
    """Tell whether the global orders are within their limits."""
    directories = (settings.config_directory, settings.queue_directory, settings.data_directory)
    return (
        all(is_text(path, 1024) and path.startswith("/") and ".." not in path.split("/") for path in directories)
        and is_text(settings.version, 64)
        and is_text(settings.syslog_name, 64)
        and settings.log in (0, 1)
        and len(settings.denied_groups) <= 32
    )


def job_ok(job: runas_wire.Job) -> bool:
    """Tell whether a job is of one kind, for ids that exist."""
    ids = (job.uid, job.gid, *job.groups)
    return job.kind in (1, 2, 4, 8) and len(job.groups) <= 16 and all(0 <= number <= ID_MAX for number in ids)


def lists_ok(limits: runas_wire.Limits) -> bool:
    """Tell whether the lists have the length they may have."""
    return len(limits.own_uids) <= 16 and len(limits.own_gids) <= 16 and len(limits.denied_groups) <= 32


EVERYTHING: Final = orders.GlobalOrders("/etc/postfix", "/q", "/d", "3.11", "postfix", denied_groups=(6,))
OWNERS: Final = (orders.Identity(10, 10, (11,)), orders.Identity(20, 20), orders.Identity(30, 30, tuple(range(1, 17))))
INET: Final = orders.Address(orders.Family.INET6, "fe80::1%eth0", 25)
UNIX: Final = orders.Address(orders.Family.UNIX, path="private/local", mode=0o600)
DATAGRAM: Final = orders.Address(orders.Family.UNIX_DATAGRAM, path="public/postlog")
SMTPD: Final = orders.ServiceOrder("[::1]:25", "inet", "smtpd", "smtpd", orders.Owner.NETWORK, exposed=True)
LOCAL: Final = orders.ServiceOrder("local", "unix", "local", "local", orders.Owner.INNER, wakeup_s=60, prefork=True)
RULE: Final = orders.RunasRule(3, 1)
FORK: Final = warm_wire.Request(warm_wire.Ask.FORK, 7, "smtpd", become=True, uid=5, gid=6, groups=(7, 8))
IMPORT: Final = warm_wire.Request(warm_wire.Ask.IMPORT, package="trivial_rewrite")
FAILED: Final = warm_wire.Answer(warm_wire.Said.FAILED, 7, 0, "no memory")
FORKED: Final = warm_wire.Answer(warm_wire.Said.FORKED, 7, 4242)
JOBS: Final = (
    runas_wire.Job(runas_wire.JobKind.COMMAND, 1, 1000, 1000, (4, 5)),
    runas_wire.Job(runas_wire.JobKind.MAILBOX, 2, 1001, 1001),
    runas_wire.Job(runas_wire.JobKind.PIPE, 3, 0, 1000, tuple(range(16))),
)
LIMITS: Final = runas_wire.Limits((101, 102), (101,), (6, 42))
STARTED: Final = runas_wire.Answer(runas_wire.Verdict.STARTED, 1, 99)
REPORTS: Final = tuple(status_wire.Status(state, 3) for state in status_wire.State)


def streams(owners: tuple[orders.Identity, ...]) -> list[bytes]:
    """Give whole streams of orders."""
    services = (
        SMTPD._replace(addresses=(INET,), settings=b"\0opaque"),
        LOCAL._replace(addresses=(UNIX, DATAGRAM), runas=RULE),
    )
    everything = EVERYTHING._replace(owners=owners)
    return [
        format_orders(orders.Orders(everything, services, ("a note",))),
        format_orders(orders.Orders(everything, services[:1], ())),
        format_failed("main.cf:3: no"),
    ]


def orders_target(name: str, owners: tuple[orders.Identity, ...]) -> Target:
    """Make the target of the whole stream of orders."""
    seeds = streams(owners)

    def check(data: bytes) -> None:
        try:
            value = orders.read_orders(data, as_root=bool(owners))
        except (orders.OrdersFailed, orders.WireError) as error:
            assert len(str(error)) <= orders.MAX_TEXT  # noqa: PT017 - its length only
            return
        assert global_ok(value.settings), value.settings
        assert len(value.settings.owners) == len(owners)
        assert all(map(identity_ok, value.settings.owners)), value.settings.owners
        for service in value.services:
            assert service_ok(service), service
            assert service.addresses, service
            assert all(map(address_ok, service.addresses)), service
            assert service.runas.kinds < 256
        assert len({service.key for service in value.services}) == len(value.services)
        assert all(len(note) <= orders.MAX_TEXT for note in value.notes)

    return Target(name, lambda source: damaged(source, seeds), check, 40)


def text_of(data: bytes) -> str:
    """Give what a program sees of octets in its arguments and environment."""
    return data.decode("utf-8", "surrogateescape")


def check_arguments(data: bytes) -> None:
    """master's arguments: a directory that is a text, and a small descriptor or none."""
    directory, outcome = parse_arguments([text_of(word) for word in data.split(b"\n")])
    assert isinstance(directory, str)
    assert -1 <= outcome <= 999


def check_environment(data: bytes) -> None:
    """The environment and systemd's descriptors: nothing but what is named gets through."""
    me = str(os.getpid()).encode()
    pairs = [line.partition(b"=") for line in data.replace(b"PID", me).split(b"\n")]
    environment = {text_of(name): text_of(value) for name, _, value in pairs}
    before = dict(environment)
    sockets = inherited_sockets(environment)
    for sock in sockets:
        sock.detach()
    announced = before.get("LISTEN_FDS", "")
    mine = before.get("LISTEN_PID") == me.decode()
    assert len(sockets) <= (int(announced) if mine and re.fullmatch("[0-9]{1,3}", announced) else 0)
    assert not set(environment) & {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}
    clean = clean_environment(before)
    assert set(clean) <= {"PATH", *KEPT}
    assert clean["PATH"] == "/usr/sbin:/usr/bin:/sbin:/bin"


def check_mail_owner(data: bytes) -> None:
    """Root's part of the orders process: one plain name, or none."""
    found = mail_owner(data)
    assert len(found) <= 1
    assert all(re.fullmatch("[a-z_][a-z0-9_-]{0,31}", name) for name in found), found


def check_number(data: bytes) -> None:
    """Small numbers."""
    assert -1 <= small_number(text_of(data)) <= 999


def check_log(data: bytes) -> None:
    """Texts of others in master's log: one line, whatever they are."""
    log = Log()
    for path, is_json in ((SYSTEM, False), ("/q/public/postlog", False), (SYSTEM, True)):
        log.open("postfix/master", path, json=is_json)
        line = log.line("warning", text_of(data))
        assert PRINTABLE.fullmatch(line.removesuffix(b"\n")), line


TEXTS: Final = {
    "arguments": (check_arguments, (b"-c\n/etc/postfix\n-r\n7", b"-r\n12\n-c", b"-x\n-c\n-r\n999999999999", b"")),
    "environment": (
        check_environment,
        (
            b"LISTEN_PID=PID\nLISTEN_FDS=2\nTZ=UTC\nPATH=/tmp\nLD_PRELOAD=x",
            b"LISTEN_PID=PID\nLISTEN_FDS=999\nMAIL_CONFIG=/x",
            b"LISTEN_PID=1\nLISTEN_FDS=\xc2\xb2\nLANG=C",
        ),
    ),
    "mail_owner": (
        check_mail_owner,
        (b"a = b\nmail_owner = posthouse\n", b"mail_owner=x\nmail_owner = y z\r\n", b"mail_owner \t= _a-0 \t\n"),
    ),
    "number": (check_number, (b"0", b"12", b"999", b"1000", b"-1", b"\xd9\xa1", b"1_0", b" 1")),
    "log": (check_log, (b"a reason", b"two\nlines\x1b[0m", b"\xc2\x85\xe2\x80\xa8", b"x" * 9000)),
}


def targets() -> list[Target]:
    """Make all of them."""
    made = [
        record_target("warm request", warm_wire.REQUEST, (FORK, IMPORT), lambda v: identity_ok(v) and package_ok(v)),
        record_target("warm answer", warm_wire.ANSWER, (FAILED, FORKED), lambda v: is_text(v.reason, 400)),
        record_target("runas limits", runas_wire.LIMITS, (LIMITS,), lists_ok),
        record_target("runas rule", runas_wire.RULE, (RULE,), lambda v: 0 <= v.kinds < 256),
        record_target("runas job", runas_wire.JOB, JOBS, job_ok),
        record_target("runas answer", runas_wire.ANSWER, (STARTED,), lambda v: v.verdict in (0, 1, 2)),
        record_target("status", status_wire.STATUS, REPORTS, lambda v: v.state in (1, 2, 3, 4, 5)),
        record_target("orders global", orders.GLOBAL, (EVERYTHING,), global_ok),
        record_target("orders owner", orders.OWNER, OWNERS, identity_ok),
        record_target("orders service", orders.SERVICE, (SMTPD, LOCAL), service_ok),
        record_target("orders address", orders.ADDRESS, (INET, UNIX, DATAGRAM), address_ok),
        orders_target("orders", OWNERS),
        orders_target("orders without root", ()),
    ]
    for name, (check, seeds) in TEXTS.items():
        made.append(Target(name, lambda source, seeds=seeds: damaged(source, seeds), check, 10))  # type: ignore[misc]
    return made


def package_ok(request: warm_wire.Request) -> bool:
    """Tell whether a request names a daemon or nothing, in one of the four ways."""
    return request.ask in (1, 2, 3, 4) and (not request.package or is_package(request.package))
