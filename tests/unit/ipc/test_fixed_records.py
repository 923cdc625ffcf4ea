"""The records that root reads: what is written is read again, and nothing else is."""

import random
import re
from collections.abc import Callable

import pytest

from posthouse.ipc import orders_stream, runas_wire, status_wire, warm_wire
from posthouse.ipc import orders_wire as wire
from posthouse.ipc.fixed import Layout

OWNERS = (wire.Identity(10, 10, (11,)), wire.Identity(20, 20), wire.Identity(30, 30, (10,)))


def _orders(changes: Callable[[wire.ServiceOrder], wire.ServiceOrder] = lambda order: order) -> wire.Orders:
    everything = wire.GlobalOrders("/etc/postfix", "/q", "/d", "3.11.0", "postfix", denied_groups=(6,), owners=OWNERS)
    smtpd = wire.ServiceOrder(
        name="[::1]:25",
        type="inet",
        program="smtpd",
        package="smtpd",
        owner=wire.Owner.NETWORK,
        limit=100,
        processes=2,
        clients=50,
        addresses=(wire.Address(wire.Family.INET6, "::1", 25), wire.Address(wire.Family.INET, "127.0.0.1", 25)),
        settings=b"\x00opaque\xff",
    )
    local = wire.ServiceOrder(
        name="local",
        type="unix",
        program="local",
        package="local",
        owner=wire.Owner.INNER,
        runas=wire.RunasRule(3, 1),
        addresses=(wire.Address(wire.Family.UNIX, path="private/local"),),
    )
    return wire.Orders(everything, (changes(smtpd), local), ("a note",))


def test_orders_come_back_as_they_were_written() -> None:
    """Everything survives the pipe, opaque settings included."""
    orders = _orders()
    assert wire.read_orders(orders_stream.format_orders(orders), as_root=True) == orders


def test_a_failure_comes_back_as_its_text() -> None:
    """The error of the configuration is the text that was given."""
    with pytest.raises(wire.OrdersFailed, match=re.escape("/etc/postfix/main.cf:3: no")):
        wire.read_orders(orders_stream.format_failed("/etc/postfix/main.cf:3: no"), as_root=True)


@pytest.mark.parametrize("keep", [0, 5, 0.5, -1])
def test_a_cut_stream_is_no_orders(keep: float) -> None:
    """A dead orders process must not look like one with fewer services."""
    data = orders_stream.format_orders(_orders())
    cut = data[: int(len(data) * keep)] if 0 < keep < 1 else data[: int(keep)]
    with pytest.raises(wire.WireError):
        wire.read_orders(cut, as_root=True)


def test_something_after_the_end_is_refused() -> None:
    """END is the end."""
    with pytest.raises(wire.WireError):
        wire.read_orders(orders_stream.format_orders(_orders()) + b"\0", as_root=True)


def test_endless_records_are_refused() -> None:
    """A stream of ten thousand records without an end is not read on."""
    note = wire.HEAD.pack(wire.Kind.NOTE, 1) + b"x"
    with pytest.raises(wire.WireError, match="too many records"):
        wire.read_orders(note * (wire.MAX_RECORDS + 1), as_root=True)


_UNIX = wire.Address(wire.Family.UNIX, path="private/x")


@pytest.mark.parametrize(
    "change",
    [
        lambda order: order._replace(addresses=(_UNIX._replace(path="private/../../etc/passwd"),)),
        lambda order: order._replace(addresses=(_UNIX._replace(path="/etc/x"),)),
        lambda order: order._replace(addresses=(_UNIX._replace(path="pid/master.pid"),)),
        lambda order: order._replace(addresses=(_UNIX._replace(path="private/.."),)),
        lambda order: order._replace(addresses=(_UNIX._replace(path="private/.x"),)),
        lambda order: order._replace(addresses=(_UNIX._replace(mode=0o4666),)),
        lambda order: order._replace(addresses=(_UNIX._replace(host="::1"),)),
        lambda order: order._replace(addresses=(wire.Address(wire.Family.INET, "localhost", 25),)),
        lambda order: order._replace(addresses=()),
        lambda order: order._replace(package="os.path"),
        lambda order: order._replace(package=""),
        lambda order: order._replace(name="a b"),
        lambda order: order._replace(type="tcp"),
        lambda order: order._replace(processes=0),
        lambda order: order._replace(processes=5000),
        lambda order: order._replace(name="local", type="unix"),
    ],
)
def test_what_could_harm_root_is_refused(change: Callable[[wire.ServiceOrder], wire.ServiceOrder]) -> None:
    """Paths that lead elsewhere, modules that are no daemons, a service twice: the reader believes none of it."""
    with pytest.raises(wire.WireError):
        wire.read_orders(orders_stream.format_orders(_orders(change)), as_root=True)


@pytest.mark.parametrize(
    "owners",
    [
        (wire.Identity(0, 10), *OWNERS[1:]),
        (wire.Identity(10, 0), *OWNERS[1:]),
        (wire.Identity(10, 10, (0,)), *OWNERS[1:]),
        (wire.Identity(2**32 - 1, 10), *OWNERS[1:]),
        OWNERS[1:],
        (),
    ],
    ids=str,
)
def test_no_daemon_is_root(owners: tuple[wire.Identity, ...]) -> None:
    """An owner with root's user or group, or a missing owner, stops the start."""
    orders = _orders()
    data = orders_stream.format_orders(orders._replace(settings=orders.settings._replace(owners=owners)))
    with pytest.raises(wire.WireError):
        wire.read_orders(data, as_root=True)


def test_owners_are_refused_where_nobody_can_be_changed() -> None:
    """Without root there are none."""
    with pytest.raises(wire.WireError):
        wire.read_orders(orders_stream.format_orders(_orders()), as_root=False)


def test_garbage_never_raises_anything_else() -> None:
    """Any bytes: orders, OrdersFailed or WireError."""
    source = random.Random(20261122)
    good = orders_stream.format_orders(_orders())
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(source.randrange(1, 6)):
            data[source.randrange(len(data))] = source.randrange(256)
        cut = bytes(data[: source.randrange(len(data) + 1)]) if source.random() < 0.3 else bytes(data)
        try:
            wire.read_orders(cut, as_root=True)
        except (wire.OrdersFailed, wire.WireError):
            continue


LAYOUTS = [
    (warm_wire.REQUEST, warm_wire.Request(warm_wire.Ask.FORK, 7, "smtpd", become=True, uid=5, gid=6, groups=(7, 8))),
    (warm_wire.ANSWER, warm_wire.Answer(warm_wire.Said.FAILED, 7, 0, "no memory")),
    (runas_wire.LIMITS, runas_wire.Limits((1, 2), (3,), (6,))),
    (runas_wire.RULE, wire.RunasRule(1, 100, 5, 6)),
    (runas_wire.JOB, runas_wire.Job(runas_wire.JobKind.COMMAND, 1, 1000, 1000, (4, 5))),
    (runas_wire.ANSWER, runas_wire.Answer(runas_wire.Verdict.REFUSED, 1)),
]


@pytest.mark.parametrize(("layout", "value"), LAYOUTS, ids=lambda item: type(item).__name__)
def test_each_layout_reads_what_it_writes_and_no_other_size(layout: Layout[object], value: object) -> None:
    """Round trip; a record that is longer, shorter or of another kind is refused."""
    record = layout.pack(value)
    assert layout.unpack(record) == value
    for wrong in (record[:-1], record + b"\0", b"XXXX" + record[4:], b""):
        with pytest.raises(ValueError, match="record of another"):
            layout.unpack(wrong)


@pytest.mark.parametrize(("layout", "value"), LAYOUTS, ids=lambda item: type(item).__name__)
def test_random_records_give_a_value_or_valueerror(layout: Layout[object], value: object) -> None:
    """No octets make a layout raise anything but ValueError."""
    source = random.Random(1)
    magic = layout.pack(value)[:4]
    for _ in range(2000):
        try:
            layout.unpack(magic + source.randbytes(layout.size - 4))
        except ValueError:
            continue


@pytest.mark.parametrize(
    "request_",
    [
        warm_wire.Request(warm_wire.Ask.FORK, become=True, uid=0),
        warm_wire.Request(warm_wire.Ask.FORK, become=True, gid=0),
        warm_wire.Request(warm_wire.Ask.FORK, become=True, groups=(0,)),
        warm_wire.Request(warm_wire.Ask.IMPORT, package="os"[:1] + "."),
        warm_wire.Request(warm_wire.Ask.IMPORT, package="../x"),
    ],
    ids=str,
)
def test_warm_forks_no_root_and_imports_no_path(request_: warm_wire.Request) -> None:
    """The reader refuses root's ids and names that are no package."""
    with pytest.raises(ValueError, match=r"between|package|stand"):
        warm_wire.REQUEST.unpack(warm_wire.REQUEST.pack(request_))


@pytest.mark.parametrize("state", status_wire.State)
def test_status_round_trip(state: status_wire.State) -> None:
    """Each state and a count survive."""
    status = status_wire.Status(state, 12345)
    assert status_wire.STATUS.unpack(status_wire.STATUS.pack(status)) == status


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: wire.Identity(1, 1, tuple(range(100))), "too many"),
        (lambda: wire.Identity(2**40, 1), "out of range"),
    ],
)
def test_what_does_not_fit_is_not_written(make: Callable[[], wire.Identity], why: str) -> None:
    """The writer says so, instead of cutting."""
    with pytest.raises(ValueError, match=why):
        wire.OWNER.pack(make())


def test_a_text_with_a_newline_is_not_written() -> None:
    """A control character in a name is somebody's trick."""
    with pytest.raises(ValueError, match="control characters"):
        wire.SERVICE.pack(_orders().services[0]._replace(program="a\nb"))
