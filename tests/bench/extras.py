"""What is measured once for each server: memory, start, a full queue, one sendmail call."""

import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tests.bench.paths import LogTail
from tests.support import net
from tests.support.instance import Instance, Options
from tests.support.load import Load, smtp_source

SETTLE_S: Final = 1.0
SENDMAIL_CALLS: Final = 20
Maker = Callable[[Options], Instance]


@contextmanager
def running(make: Maker, options: Options) -> Iterator[Instance]:
    """A server of its own for one measurement."""
    instance = make(options)
    try:
        instance.start_and_greet()
        yield instance
    finally:
        instance.destroy()


def idle(make: Maker) -> dict[str, float]:
    """Memory of an idle server, and the time from the command to the first 220."""
    instance = make(Options())
    try:
        instance.start()  # the first start makes directories and users, once in a server's life
        net.wait_greeting(instance.port, 20)
        instance.stop()
        begin = time.monotonic()
        instance.start()
        net.wait_greeting(instance.port, 20)
        to_220 = time.monotonic() - begin
        time.sleep(SETTLE_S)
        return {"idle PSS MiB": instance.pss_bytes() / 2**20, "start to first 220 s": to_220}
    finally:
        instance.destroy()


def many_connections(make: Maker, count: int) -> dict[str, float]:
    """Memory while that many clients are connected, greeted, and say nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 500), hard))
    limit = Options(main={"default_process_limit": str(count + 50), "smtpd_client_connection_count_limit": "0"})
    clients: list[socket.socket] = []
    try:
        with running(make, limit) as instance:
            for _ in range(count):
                client = socket.create_connection((net.LOOPBACK, instance.port), timeout=60)
                clients.append(client)
            for client in clients:
                assert net.read_reply(client).startswith(b"220"), "a client was not greeted"
            time.sleep(SETTLE_S)
            return {f"PSS with {count} idle connections MiB": instance.pss_bytes() / 2**20}
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def full_queue(make: Maker, count: int) -> dict[str, float]:
    """The queue listing, and a restart, with that many messages deferred."""
    deferring = Options(
        main={"default_transport": "smtp:[127.0.0.1]:1", "defer_transports": "smtp", "mydestination": ""}
    )
    with running(make, deferring) as instance:
        smtp_source(Load(count, sessions=20, reuse=True, recipients=("user@far.test",)), instance.port)
        _wait_deferred(instance, count)
        begin = time.monotonic()
        listing = instance.command("postqueue", "-p", timeout_s=300)
        mailq_s = time.monotonic() - begin
        assert f"{count} Requests.".encode() in listing.stdout, listing.stdout[-200:]
        instance.stop()
        instance.options.main["transport_maps"] = "inline:{new.test=discard:}"
        instance.write_config()
        tail = LogTail(instance.maillog)
        begin = time.monotonic()
        instance.start()
        net.wait_greeting(instance.port, 60)
        to_220 = time.monotonic() - begin
        smtp_source(Load(1, recipients=("user@new.test",)), instance.port)
        to_delivery = tail.wait(1, 120) - begin
    return {
        f"mailq with {count} deferred s": mailq_s,
        f"restart with {count} deferred, to 220 s": to_220,
        f"restart with {count} deferred, to a delivery s": to_delivery,
    }


def _wait_deferred(instance: Instance, count: int) -> None:
    """Wait until each message was tried once."""
    deadline = time.monotonic() + 600
    while instance.maillog.read_bytes().count(b" status=deferred ") < count:
        assert time.monotonic() < deadline, "the queue manager does not get through"
        time.sleep(0.5)


def sendmail(make: Maker) -> dict[str, float]:
    """Processor time of one sendmail call, its children included."""
    options = Options(main={"default_transport": "discard:", "mydestination": ""})
    content = b"From: a@client.test\nTo: b@far.test\nSubject: one\n\n" + b"x" * 70 + b"\n"
    with running(make, options) as instance:
        times = []
        for _ in range(SENDMAIL_CALLS):
            before = os.times()
            done = instance.command("sendmail", "-f", "a@client.test", "b@far.test", stdin=content)
            after = os.times()
            assert done.returncode == 0, done.stderr
            used = after.children_user + after.children_system - before.children_user - before.children_system
            times.append(used * 1000)
        instance.wait_queue_empty(30)
    return {"one sendmail call CPU ms": sum(times) / len(times)}
