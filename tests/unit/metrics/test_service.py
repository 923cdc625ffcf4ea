"""metrics(8) in this process, before a real governor and a real cleanup: what each path is answered, and to whom."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from posthouse.daemons.cleanup.daemon import DAEMON as CLEANUP
from posthouse.daemons.governor.daemon import DAEMON as GOVERNOR
from posthouse.daemons.metrics import service
from posthouse.daemons.metrics.daemon import DAEMON
from posthouse.ipc import health
from tests.support.fake_queue import FakeQueue
from tests.support.inprocess import System, descriptors


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """Make a system without daemons; what does not answer is not waited for long."""
    for name in ("data/governor", "posthouse", "pid"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(health, "LIMIT_S", 0.2)
    monkeypatch.setattr(health, "FRESH_S", 0.0)
    monkeypatch.setattr(service, "REQUEST_LIMIT_S", 0.3)
    monkeypatch.setattr(service, "LINGER_S", 0.1)
    found = System(tmp_path, {"message_size_limit": "1000", "data_directory": str(tmp_path / "data")})
    yield found
    found.close()


@pytest.fixture
def whole(system: System) -> System:
    """Add governor, cleanup and a queue."""
    system.start(GOVERNOR, "private/governor")
    system.start(FakeQueue, "public/qmgr")
    system.start(CLEANUP, "public/cleanup")
    return system


async def exchange(port: int, octets: bytes) -> tuple[int, str, bytes]:
    """Send octets; give status, head and body of the answer, (0, "", b"") when there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(octets)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), head.decode("ascii"), body


async def get(port: int, path: str, method: str = "GET", accept: str = "*/*") -> tuple[int, str, bytes]:
    """Make a request."""
    return await exchange(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n".encode())


def test_all_is_well(whole: System) -> None:
    """Numbers in the format asked for, alive, ready; other paths and methods are refused."""
    port = whole.start_tcp(DAEMON)
    status, head, body = whole.run(get(port, "/metrics?x=y"))
    assert (status, "Content-Type: text/plain; version=0.0.4" in head) == (200, True)
    assert f"Content-Length: {len(body)}\r\n" in head
    assert b"\nposthouse_queue_disk_free_bytes " in body
    status, head, body = whole.run(get(port, "/metrics", accept="application/openmetrics-text"))
    assert (status, "Content-Type: application/openmetrics-text; version=1.0.0" in head) == (200, True)
    assert body.endswith(b"\n# EOF\n")
    assert whole.run(get(port, "/live"))[::2] == (200, b"alive\n")
    assert whole.run(get(port, "/ready"))[::2] == (200, b"ready\n")
    assert whole.run(get(port, "/live", method="HEAD"))[::2] == (200, b"")
    assert whole.run(get(port, "/"))[0] == 404
    assert whole.run(get(port, "/live", method="DELETE"))[0] == 405


def test_nobody_else_is_there(system: System) -> None:
    """Numbers say that the governor is away; neither alive nor ready."""
    port = system.start_tcp(DAEMON)
    status, _, body = system.run(get(port, "/metrics"))
    assert (status, b"\nposthouse_governor_up 0.0\n" in body) == (200, True)
    for path in ("/live", "/ready"):
        status, _, body = system.run(get(port, path))
        assert (status, b"governor service does not answer" in body) == (503, True)


def test_without_cleanup_it_is_alive_and_not_ready(system: System) -> None:
    """The governor alone takes no mail."""
    system.start(GOVERNOR, "private/governor")
    port = system.start_tcp(DAEMON)
    assert system.run(get(port, "/live"))[0] == 200
    assert system.run(get(port, "/ready"))[::2] == (503, b"cleanup and qmgr do not answer within 0 s\n")


def test_without_a_queue_it_is_not_ready(system: System) -> None:
    """cleanup is there and can ask nobody."""
    system.start(GOVERNOR, "private/governor")
    system.start(CLEANUP, "public/cleanup")
    assert system.run(get(system.start_tcp(DAEMON), "/ready"))[0] == 503


def test_who_asks_without_end_does_not_keep_the_governor_busy(whole: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer serves everybody for a moment; then it is asked for anew."""
    port = whole.start_tcp(DAEMON)
    own = whole.services[-1]
    assert isinstance(own, service.MetricsService)
    governor = own._health._governor
    for _ in range(3):
        whole.run(get(port, "/ready"))
    assert governor._number == 3
    monkeypatch.setattr(health, "FRESH_S", 1000.0)
    for _ in range(10):
        assert whole.run(get(port, "/ready"))[0] == 200
    assert governor._number == 4


def test_many_who_ask_at_once_are_all_answered(whole: System) -> None:
    """However few answers there are for them."""
    port = whole.start_tcp(DAEMON)

    async def all_of_them() -> list[tuple[int, str, bytes]]:
        return await asyncio.gather(*(get(port, path) for path in ("/metrics", "/live", "/ready") * 10))

    assert {status for status, _, _ in whole.run(all_of_them())} == {200}


def test_what_is_no_request_gets_its_answer_and_the_end(system: System) -> None:
    """Also when much more comes than is read; and the process goes on."""
    port = system.start_tcp(DAEMON)
    for octets in (
        b"EHLO x\r\n" * 20_000,
        b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 200_000,
        b"\0" * 100_000,
    ):
        status, _, body = system.run(exchange(port, octets))
        assert status in (400, 405)
        assert body
    assert system.run(get(port, "/"))[0] == 404


def test_who_says_nothing_or_half_is_hung_up_on(system: System) -> None:
    """Within one limit from the connection, however slowly octets come."""
    port = system.start_tcp(DAEMON)
    system.run(exchange(port, b"GET / HTTP/1.0\r\n\r\n"))  # the loop opens what it needs
    before = descriptors()

    async def drip() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = system.loop.time()
        ended = asyncio.ensure_future(reader.read())
        while not ended.done():
            writer.write(b"G")
            await asyncio.sleep(0.05)
            assert system.loop.time() - began < 5, "each octet moves the limit"
        writer.close()
        return ended.result()

    assert system.run(exchange(port, b"")) == (0, "", b"")
    assert system.run(exchange(port, b"GET / HTTP/1.1\r\n")) == (0, "", b"")
    assert system.run(drip()) == b""
    assert descriptors() <= before


def test_a_client_that_sends_no_more_gets_its_answer(whole: System) -> None:
    """Half a connection is enough."""
    port = whole.start_tcp(DAEMON)

    async def half() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /live HTTP/1.0\r\n\r\n")
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    assert whole.run(half()).endswith(b"alive\n")


def test_a_unix_socket_answers_the_systems_own_users(whole: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else."""
    own = whole.start(DAEMON, "private/metrics")
    path = str(whole.directory / "private/metrics")

    async def ask() -> bytes:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /live HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    assert whole.run(ask()).endswith(b"alive\n")
    assert not whole.log.lines
    assert isinstance(own, service.MetricsService)
    monkeypatch.setattr(own._door, "_own", frozenset({os.getuid() + 1}))
    with suppress(ConnectionError):  # closed before our request was written
        assert whole.run(ask()) == b""
    assert any("may not use the metrics service" in line for line in whole.log.lines)


def test_a_client_killed_in_the_middle_of_its_request_is_gone_at_once(
    whole: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session is not kept until the time for requests is over."""
    monkeypatch.setattr(service, "REQUEST_LIMIT_S", 600.0)
    port = whole.start_tcp(DAEMON)
    before = descriptors()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /li")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    turns = 0
    while turns < 20 or descriptors() > before:
        whole.run(asyncio.sleep(0.01))
        turns += 1
        assert turns < 500


def test_a_client_that_hangs_up_early_harms_nobody(whole: System) -> None:
    """Reset in the middle of a request, and while its answer is being made."""
    port = whole.start_tcp(DAEMON)
    for octets in (b"GET /li", b"GET /ready HTTP/1.0\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(octets)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert whole.run(get(port, "/ready"))[0] == 200
