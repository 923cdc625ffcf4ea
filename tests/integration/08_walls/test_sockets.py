"""Every socket of a running system, as a user who means harm finds it."""

import os
import random
import socket
import stat
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from posthouse.ipc import bounce, cleanup, delivery, proxymap, queue, rewrite, showq
from posthouse.ipc.message import ClientInfo, Envelope, Recipient
from posthouse.ipc.record import Hello, Request
from posthouse.ipc.showq import Count, Fetch, Flush, ListPage, Steer
from posthouse.ipc.stream import encode_frame
from tests.support import net
from tests.support.attacker import DESCRIPTORS, KEPT, Acting, Person, Walls, act, connect, talk
from tests.support.instance import Instance

pytestmark = pytest.mark.root
Start = Callable[..., Walls]
OPEN = ("submit/submit", "public/cleanup", "public/pickup", "public/qmgr", "public/showq")
POSTLOG = "public/postlog"
HELLO = encode_frame(Hello(showq.NAME, showq.VERSION))


def sockets_of(system: Walls) -> list[Path]:
    """Every UNIX socket below the system's directories."""
    roots = (system.server.queue_directory, system.server.data_directory)
    return sorted(path for root in roots for path in root.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode))


def can_connect(path: Path) -> bool:
    """Whether connecting works, in whatever way."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        with suppress(OSError), connect(path, kind):
            return True
    return False


def test_internal_sockets_refuse_users(walls: Start) -> None:
    """What stands in private/ or the data directory cannot even be connected to; what can be is listed here."""
    system = walls()
    everything = sockets_of(system)
    assert len(everything) > 15
    queue_directory = system.server.queue_directory
    reached = act(system.mallory, lambda: [str(p.relative_to(queue_directory)) for p in everything if can_connect(p)])
    assert set(reached) == {*OPEN, POSTLOG}
    system.unharmed()


def garbage() -> list[tuple[bytes, ...]]:
    """What somebody says who means harm, or speaks another protocol."""
    rng = random.Random(4)
    hellos = [
        encode_frame(Hello(protocol.NAME, protocol.VERSION))
        for protocol in (queue, showq, cleanup, delivery, bounce, rewrite, proxymap)
    ]
    frames = [struct.pack(">I", length) for length in (0, 1, 0xFFFFFF, 0x1000000, 0xFFFFFFFF, 0x7FFFFFFF)]
    said: list[tuple[bytes, ...]] = [(letters,) for letters in (b"", b"\0", b"\n" * 1000, b"EHLO x\r\n", b"W" * 70_000)]
    said += [(rng.randbytes(size),) for size in (1, 4, 5, 100, 10_000, 300_000)]
    said += [(frame, rng.randbytes(100)) for frame in frames]
    for hello in [*hellos, encode_frame(Hello(delivery.RESULTS_NAME, delivery.VERSION))]:
        said += [(hello[: len(hello) // 2],), (hello, rng.randbytes(500)), (hello, hello), (hello, hello[:5])]
        said += [(hello, frame, rng.randbytes(50)) for frame in frames]
        said += [(hello, encode_frame(Steer(1, "delete", "ALL"))), (hello, encode_frame(Fetch(1, "4Nnnnn0nnnznn")))]
    return said


def test_garbage_on_every_open_socket(walls: Start) -> None:
    """Random octets, oversized frames, greetings of every protocol with nonsense behind, half records."""
    system = walls()

    def speak() -> int:
        for name in OPEN:
            for said in garbage():
                with connect(system.server.queue_directory / name) as sock, suppress(OSError):
                    for piece in said:
                        sock.sendall(piece)
        return len(garbage()) * len(OPEN)

    assert act(system.mallory, speak) > 400
    assert act(system.mallory, garbage_by_smtp, system.server.port) > 10
    system.unharmed()


def garbage_by_smtp(port: int) -> int:
    """Say the same to the SMTP port, and what only it understands, in halves."""
    halves = (b"EHLO x\r\nMAIL FROM:<a@client.test>\r\n", b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<root>\r\nDATA\r\nhalf")
    for said in [*(piece for piece, *_ in garbage()[:12]), *halves]:
        with socket.create_connection((net.LOOPBACK, port), 5) as sock, suppress(OSError):
            sock.sendall(said)
    return 12 + len(halves)


def ask(path: Path, record: Request) -> bytes:
    """Greet showq, ask, and return its first answer; empty when it hangs up."""
    heard = b""
    with connect(path) as sock, suppress(ConnectionResetError, BrokenPipeError):
        sock.sendall(HELLO + encode_frame(record))
        while len(heard) <= len(HELLO) and (piece := sock.recv(65536)):
            heard += piece
    return heard[len(HELLO) :]


ODD = (
    "9" * 5000,
    "9" * 30,
    "9223372036854775808",
    "-1",
    "\udc80",
    "\0",
    "x" * 100_000,
    "x' OR 1=1",
    "../../etc/passwd",
)


def test_odd_questions_about_the_queue(walls: Start) -> None:
    """Numbers that fit nothing, text that is none, names of files: refused before qmgr has to do with it."""
    system = walls()
    path = system.server.queue_directory / "public/showq"

    def questions() -> list[bytes]:
        said = []
        for odd in ODD:
            records = (ListPage(1, odd), ListPage(1, "", odd), ListPage(1, "", "", odd), ListPage(1, "", "", "", odd))
            said += [ask(path, record) for record in (*records, Flush(1, odd), Flush(1, "", odd))]
        return [*said, ask(path, Count(-(2**60)))]

    answers = act(system.mallory, questions)
    assert sum(b"bad " in answer for answer in answers) > len(ODD) * 3
    assert b"hold" in answers[-1]
    for name, what in (("public/showq", b"only root"), ("public/qmgr", b""), ("public/cleanup", b"")):
        for record in (Steer(1, "delete", "ALL"), Fetch(1, "4Nnnnn0nnnznn")):
            assert what in act(system.mallory, ask, system.server.queue_directory / name, record)
    system.unharmed()


def test_cleanup_takes_no_message_from_users(walls: Start) -> None:
    """There a message could come from any client and any user; it hangs up on everybody who is not of the system."""
    system = walls()
    client = ClientInfo(name="trusted.example.test", address="192.0.2.1", uid=0)
    envelope = Envelope("4Nnnnn0nnnznn", "root@example.test", time.time(), 5, client=client)
    records = (
        Hello(cleanup.NAME, cleanup.VERSION),
        cleanup.Lease(0, 64),
        cleanup.Open(1, envelope, [Recipient(system.alice.address)]),
        cleanup.End(1, b"Subject: forged\n\nx\n"),
    )
    said = b"".join(map(encode_frame, records))
    assert act(system.mallory, talk, system.server.queue_directory / "public/cleanup", said) == b""
    system.server.wait_log(rf"cleanup\[\d+\]: warning: uid {system.mallory.uid} may not use")
    system.unharmed()
    assert "forged" not in system.mailbox(system.alice)


def pass_along(path: Path, kind: socket.SocketKind, said: bytes) -> list[str]:
    """Pass descriptors: a connection whose end waits ten minutes for a reader that never reads, files, a whole heap."""
    listener = socket.create_server((net.LOOPBACK, 0))
    slow = socket.create_connection(listener.getsockname())
    slow.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            slow.send(b"x" * 65536)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
    huge = os.memfd_create("huge")
    os.truncate(huge, 1 << 40)
    KEPT.extend((listener, slow))  # closing it would hold up the attacker himself
    answers = []
    for heap in ([huge], [huge] * 200, [os.open("/proc/self", os.O_RDONLY)], [slow.fileno()]):
        with connect(path, kind) as sock:
            try:
                socket.send_fds(sock, [said], heap)
                answers.append("taken")
            except OSError as error:
                answers.append(type(error).__name__)
    return answers


def test_descriptors_that_are_passed_along(walls: Start) -> None:
    """They are refused; one that takes long to close would otherwise hold up the daemon for everybody."""
    system = walls()
    if not net.refuses_descriptors():
        pytest.xfail("this kernel cannot refuse descriptors: docs/security.md, Local users")
    for name in (*OPEN, POSTLOG):
        kind = socket.SOCK_DGRAM if name == POSTLOG else socket.SOCK_STREAM
        said = HELLO if name == "public/showq" else b"x"
        with Acting(system.mallory, partial(pass_along, system.server.queue_directory / name, kind, said)) as acting:
            assert set(acting.result) <= {"PermissionError", "BrokenPipeError"}, name  # refused, or hung up on
            system.normal_mail()
    system.unharmed()


@pytest.mark.skipif(not net.refuses_descriptors(), reason="this kernel cannot: docs/security.md, Local users")
def test_descriptors_passed_before_a_daemon_starts(posthouse: Callable[..., Instance]) -> None:
    """The socket stands before anybody reads from it; what is passed then is refused as well."""
    server = posthouse()
    assert "showq" not in {process.name for process in server.processes()}
    nobody = Person("nobody", 65534, 65534, Path("/nonexistent"))
    action = partial(pass_along, server.queue_directory / "public/showq", socket.SOCK_STREAM, HELLO)
    with Acting(nobody, action) as acting:
        assert set(acting.result) == {"PermissionError"}
    assert server.command("postqueue", "-p").returncode == 0


def hold(path: Path | int, count: int, said: bytes) -> int:
    """Open so many connections and keep them; returns how many were made before no more could be."""
    for _ in range(count):
        try:
            sock = socket.create_connection((net.LOOPBACK, path), 1) if isinstance(path, int) else connect(path)
        except OSError:
            break
        KEPT.append(sock)
        with suppress(OSError):  # it was refused before a word was said
            sock.sendall(said)
    return len(KEPT)


def test_thousands_of_connections_that_say_nothing(walls: Start) -> None:
    """One user gets his share of connections and no more, so others still submit, list the queue and get mail."""
    system = walls()
    for name, said in (*((name, b"") for name in OPEN), ("public/showq", HELLO[:5]), ("submit/submit", b"V\0\0")):
        path = system.server.queue_directory / name
        with Acting(system.mallory, partial(hold, path, DESCRIPTORS // 8, said)) as acting:
            assert acting.result > 50, name
            system.normal_mail()
            assert system.run(system.alice, "postqueue", "-p").returncode == 0, name
    with Acting(system.mallory, partial(hold, system.server.port, 300, b"")):
        system.normal_mail()
    assert net.greeting(system.server.port).startswith(b"220")
    system.unharmed()


def test_a_flood_of_triggers(walls: Start) -> None:
    """Anybody may say that there is mail in maildrop; that costs a look into it, however often it is said."""
    system = walls()

    def trigger() -> int:
        for number in range(3000):
            name = ("public/pickup", "public/qmgr")[number % 2]
            with suppress(OSError), connect(system.server.queue_directory / name) as sock:
                sock.sendall(b"WIAFD"[number % 5 :][:1])
        return 3000

    triggering = Acting(system.mallory, trigger)
    system.normal_mail()
    with triggering:
        system.normal_mail()
    system.unharmed()
