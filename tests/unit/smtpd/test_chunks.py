"""BDAT in whole sessions with smtpd: what is decided when, what is logged, and that nobody waits for other's chunks."""

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable

from posthouse.daemons.smtpd.connection import CHUNKS_IN_A_TURN, MAX_BUFFERED, SmtpConnection
from posthouse.ipc.queue import CommitResult
from posthouse.util.connection import READ_SIZE
from tests.support.inprocess import Client
from tests.support.receiver import MakeReceiver, Receiver, talk
from tests.support.work import Counter, counting

ENVELOPE = ("EHLO c.test", "MAIL FROM:<a@b.test>", "RCPT TO:<alice@example.test>")
TINY = "BDAT 1\r\nx"


def chunk(text: str, last: str = "") -> str:
    """Write a chunk, as `talk` wants it: the line end that it adds is the last two octets."""
    return f"BDAT {len(text) + 2}{last}\r\n{text}"


def test_a_message_in_chunks_is_one_by_data(receiver: MakeReceiver) -> None:
    """The same envelope and octets in the queue; the replies tell sizes, and chunks are counted."""
    system = receiver()
    said = talk(system, *ENVELOPE, chunk("Subject: x\r\n"), chunk("..x", " LAST"), "QUIT")
    talk(system, *ENVELOPE, "DATA", "Subject: x\r\n\r\n...x\r\n.", "QUIT")
    (by_bdat, _, chunked), (by_data, _, whole) = system.queue.messages
    assert (
        chunked.partition(b"Subject")[2].partition(b"Mess")[0] == whole.partition(b"Subject")[2].partition(b"Mess")[0]
    )
    assert chunked.endswith(b"\n\n..x\n")
    assert (by_bdat.size, by_bdat.sender) == (by_data.size, by_data.sender)
    assert said[4:] == [
        "250 2.0.0 Ok: 14 bytes",
        f"250 2.0.0 Ok: 19 bytes queued as {by_bdat.queue_id}",
        "221 2.0.0 Bye",
    ]
    end = "disconnect from unknown[127.0.0.1] ehlo=1 mail=1 rcpt=1 bdat=2 quit=1 commands=6"
    assert end in system.system.log.lines


def test_250_comes_after_the_commit(receiver: MakeReceiver) -> None:
    """A queue that fails is told at the last chunk, and the next message finds a clean session."""
    system = receiver()
    answers = iter([CommitResult(0, "disk gone")])
    system.queue.fail = lambda _commit: next(answers, None)
    said = talk(system, *ENVELOPE, chunk("a"), chunk("b", " LAST"), *ENVELOPE[1:], chunk("c", " LAST"))
    assert said[5] == "451 4.3.0 Error: queue file write error"
    assert said[8].startswith("250 2.0.0 Ok: 3 bytes queued as ")
    assert len(system.queue.messages) == 1


def test_restrictions_are_asked_once(receiver: MakeReceiver) -> None:
    """Those for DATA at the first chunk, in the log BDAT; those for the end of data with the size of the whole."""
    rules = {
        "smtpd_data_restrictions": "warn_if_reject reject",
        "smtpd_end_of_data_restrictions": "warn_if_reject reject",
    }
    system = receiver(rules)
    said = talk(system, *ENVELOPE, chunk("a"), chunk("b"), chunk("c", " LAST"))
    assert said[6].startswith("250 2.0.0 Ok: 9 bytes queued as ")
    warnings = [line.split(": ")[1:4] for line in system.system.log.lines if "reject_warning" in line]
    assert [words[1].split(" ")[0] for words in warnings] == ["BDAT", "END-OF-MESSAGE"]
    assert warnings[0][2] == "554 5.7.1 <DATA>"


def test_a_refused_chunk_is_read_and_the_message_gone(receiver: MakeReceiver) -> None:
    """Refused by policy: the octets are no commands, nothing is queued, later chunks count as errors."""
    system = receiver(
        {"smtpd_data_restrictions": "reject", "smtpd_hard_error_limit": "3", "smtpd_error_sleep_time": "0"}
    )
    said = talk(system, *ENVELOPE, chunk("QUIT"), chunk("QUIT"), chunk("QUIT"))
    assert said[4:6] == [
        "554 5.7.1 <DATA>: Data command rejected: Access denied",
        "551 5.0.0 Discarded 6 bytes after earlier error",
    ]
    assert system.queue.messages == []
    lines = system.system.log.lines
    assert "too many errors after BDAT from unknown[127.0.0.1]" in lines
    assert lines[-1] == "disconnect from unknown[127.0.0.1] ehlo=1 mail=1 rcpt=1 bdat=0/3 commands=3/6"


def test_a_client_that_leaves_inside_a_chunk(receiver: MakeReceiver) -> None:
    """Nothing is queued; the log says how much there was."""
    system = receiver()

    async def leave() -> None:
        client = await Client.connect(system.port)
        await client.reply()
        await client.dialog(*ENVELOPE, chunk("a"))
        client.send("BDAT 1000 LAST\r\nabc")
        client.close()
        for _ in range(300):
            await asyncio.sleep(0.01)
            if "disconnect" in system.system.log.lines[-1]:
                break

    system.system.run(leave())
    assert system.queue.messages == []
    assert system.system.log.lines[-2:] == [
        "lost connection after BDAT (6 bytes) from unknown[127.0.0.1]",
        "disconnect from unknown[127.0.0.1] ehlo=1 mail=1 rcpt=1 bdat=1/2 commands=4/5",
    ]


def with_open_message(system: Receiver, then: Callable[[Client], Awaitable[None]]) -> None:
    """Bring a client to where chunks may come."""

    async def session() -> None:
        client = await Client.connect(system.port)
        await client.reply()
        await client.dialog(*ENVELOPE)
        await then(client)
        client.close()

    system.system.run(session())


def test_others_have_their_turns(receiver: MakeReceiver) -> None:
    """Thousands of chunks that come at once do not hold up the loop, and cost the same each."""
    system = receiver()
    number, work, longest = 4000, [0, 0], [0]

    async def send(client: Client, counter: Counter, times: int) -> int:
        before = last = counter.calls
        client.send(TINY * (number * times))
        answers = asyncio.ensure_future(replies(client, number * times))
        while not answers.done():
            await asyncio.sleep(0)
            longest[0], last = max(longest[0], counter.calls - last), counter.calls
        return counter.calls - before

    async def replies(client: Client, count: int) -> None:
        for _ in range(count):
            assert await client.reply() == "250 2.0.0 Ok: 1 bytes"

    async def both(client: Client) -> None:
        await send(client, Counter(), 1)
        with counting() as counter:
            work[0] = await send(client, counter, 1)
            work[1] = await send(client, counter, 2)

    with_open_message(system, both)
    assert work[1] <= 3 * work[0], "four times would be quadratic; how often the loop turns is the kernel's choice"
    assert longest[0] <= 0.5 * work[0]


class Hasty:
    """A client that sends a message in tiny chunks, not waiting for replies. deaf: the kernel keeps few of them."""

    def __init__(self, system: Receiver, number: int, *, deaf: bool = True) -> None:
        self._loop, self._port = system.system.loop, system.port
        self._stream = "".join(f"{line}\r\n" for line in ENVELOPE[1:]) + TINY * number + "BDAT 0 LAST\r\n"
        self.socket = socket.socket()
        self.socket.setblocking(False)
        if deaf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for listener in system.system._sockets if deaf else ():
            if listener.family == socket.AF_INET:  # those that it accepts have it, too: the kernel would keep megabytes
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    async def begin(self) -> tuple[SmtpConnection, "asyncio.Task[None]"]:
        """Connect and begin to send; give the server's side of it, and the sending."""
        await self._loop.sock_connect(self.socket, ("127.0.0.1", self._port))
        await self._loop.sock_sendall(self.socket, f"{ENVELOPE[0]}\r\n".encode())
        heard = b""
        while b"250 CHUNKING\r\n" not in heard:
            heard += await self._loop.sock_recv(self.socket, 65536)
        (ours,) = [one for one in gc.get_objects() if type(one) is SmtpConnection and not one.closed]
        return ours, asyncio.ensure_future(self._loop.sock_sendall(self.socket, self._stream.encode()))

    async def listen(self) -> bytes:
        """Read on to the last reply."""
        heard = b""
        while b"queued" not in heard[-100:]:
            heard += await self._loop.sock_recv(self.socket, 65536)
        return heard


def test_what_waits_for_its_turn_has_a_bound(receiver: MakeReceiver) -> None:
    """A client is read no further while much of what it sent is waiting, and read on when little is."""
    system, number = receiver(), 100_000
    client = Hasty(system, number, deaf=False)
    unread = [0]

    async def session() -> None:
        ours, sending = await client.begin()
        listening = asyncio.ensure_future(client.listen())
        while not listening.done():
            await asyncio.sleep(0)
            unread.append(ours._session.buffered_bytes)
        await sending
        client.socket.close()
        assert listening.result().count(b"250 2.0.0 Ok: 1 bytes\r\n") == number

    system.system.run(session(), limit_s=60)
    assert MAX_BUFFERED < max(unread) <= MAX_BUFFERED + READ_SIZE
    assert len(system.queue.messages) == 1


def test_a_client_that_does_not_read(receiver: MakeReceiver) -> None:
    """It is read no further when its replies pile up; when it reads again, it gets all of them."""
    system, number = receiver(), 60_000
    client = Hasty(system, number)
    unsent, unread = [0], [0]

    async def session() -> None:
        ours, sending = await client.begin()
        for _ in range(200):
            await asyncio.sleep(0.005)
            unsent.append(ours._unsent_size)
            unread.append(ours._session.buffered_bytes)
        heard = await client.listen()
        await sending
        client.socket.close()
        assert heard.count(b"250 2.0.0 Ok: 1 bytes\r\n") == number

    system.system.run(session())
    assert SmtpConnection.high_water < max(unsent) <= SmtpConnection.high_water + 3 * CHUNKS_IN_A_TURN * 30
    assert unsent[-1] == unsent[-2], "it stands still"
    assert max(unread) <= MAX_BUFFERED + 2 * READ_SIZE
    assert len(system.queue.messages) == 1


def test_a_client_that_never_reads(receiver: MakeReceiver) -> None:
    """Its time runs out as for one that never speaks."""
    system = receiver({"smtpd_timeout": "1s"})
    client = Hasty(system, 30_000)

    async def session() -> None:
        ours, sending = await client.begin()
        for _ in range(500):
            await asyncio.sleep(0.01)
            if ours.closed:
                break
        sending.cancel()
        await asyncio.wait([sending])
        client.socket.close()

    system.system.run(session())
    assert "timeout after BDAT" in system.system.log.lines[-2]
    assert system.queue.messages == []
