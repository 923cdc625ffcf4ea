"""Checked content, large and small: what nothing rewrites stays octet for octet, and nothing holds up the others."""

import asyncio
import random
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.daemons.cleanup.client import MAX_BACKLOG
from posthouse.daemons.cleanup.content_pass import ContentPass
from posthouse.daemons.cleanup.service import CleanupService
from posthouse.daemons.cleanup.transaction import Transaction
from posthouse.ipc.cleanup import CleanupClient, Done
from posthouse.ipc.message import NO_HEADER_BODY_CHECKS, ClientInfo, Envelope, Recipient
from posthouse.util.turns import TURN_S
from tests.support.mime_messages import Tree, lines
from tests.support.receiver import MakeReceiver, Receiver

STRANGER: Final = Envelope("q", "s@b.test", 0.0, client=ClientInfo("c", "192.0.2.1", rewrite_context="remote"))
ALL: Final = {"header_checks": "static:DUNNO", "body_checks": "static:OK", "message_reject_characters": r"\001"}
SMALL: Final = {"body_checks_size_limit": "30", "mime_nesting_limit": "1000", "line_length_limit": "512"}
CHANGES: Final = {
    "header_checks": "regexp:{ {/^x-a/ PREPEND X-P: 1} {/^From/ IGNORE} {/^content-t/ REPLACE X-T: x} {/^To/ HOLD} }",
    "nested_header_checks": "regexp:{ {/^x-number: (.*)/ REPLACE X-N: $$1} }",
    "body_checks": "regexp:{ {/text/ REPLACE new} {/^--aa/ IGNORE} {/^x+/ PREPEND before} }",
    "message_strip_characters": r"\0=",
}
WHOLE: Final = 50_000_000  # octets of a large message
CHUNK: Final = 65536
_BLANKS: Final = re.compile(rb"^([!-9;-~]+)[ \t]+:", re.MULTILINE)  # these go, in parts only where they are looked at
LINE: Final = b"0123456789 a line of a text that nobody will ever read\n"


def service_of(system: Receiver) -> CleanupService:
    """Give the cleanup of a system."""
    return next(service for service in system.system.services if isinstance(service, CleanupService))


def checks_of(system: Receiver, envelope: Envelope = STRANGER) -> ContentPass | None:
    """Begin to check a message."""
    recipients = [Recipient("alice@example.test")]
    return service_of(system).checks_of(Transaction(envelope, recipients, size_limit=0, replace_cr=True))


def random_message(source: random.Random) -> bytes:
    """Give a tree or lines in any order."""
    message = Tree(source).text if source.random() < 0.5 else lines(source)
    return _BLANKS.sub(rb"\1:", message.rstrip(b"\n") + b"\n")


async def checked(system: Receiver, message: bytes, pieces: Callable[[], int]) -> bytes:
    """Give what becomes of a message that comes in pieces of these sizes."""
    checks = checks_of(system)
    assert checks is not None
    position = 0
    while position < len(message):
        end = position + pieces()
        await checks.feed(message[position:end])
        position = end
    await checks.close()
    return checks.take()


def any_size(source: random.Random) -> Callable[[], int]:
    """Give sizes of pieces."""
    return lambda: source.choice((1, 7, 50, 1000))


EXAMPLES: Final = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_what_nothing_rewrites_is_the_same_however_it_comes(receiver: MakeReceiver) -> None:
    """Random trees and random lines, in random pieces: checked and unchecked messages are equal."""
    system = receiver({**ALL, **SMALL})
    editor = service_of(system).headers

    async def both(source: random.Random) -> tuple[bytes, bytes]:
        message = random_message(source)
        edited = await editor.edit(message.replace(b"\r", b" "), STRANGER)
        return await checked(system, message, any_size(source)), edited.content

    @EXAMPLES
    @given(st.integers(0, 2**32))
    def property_holds(seed: int) -> None:
        got, plain = system.system.run(both(random.Random(seed)))
        assert got == plain

    property_holds()


def test_what_is_rewritten_does_not_depend_on_how_it_comes(receiver: MakeReceiver) -> None:
    """Random pieces again; headers and lines are dropped, replaced, and put before others."""
    system = receiver({**CHANGES, **SMALL})
    system.system.log.lines.clear()
    changed = 0

    async def both(source: random.Random) -> tuple[bytes, bytes, bytes]:
        message = random_message(source)
        whole = await checked(system, message, lambda: len(message))
        return message, whole, await checked(system, message, any_size(source))

    @EXAMPLES
    @given(st.integers(0, 2**32))
    def property_holds(seed: int) -> None:
        nonlocal changed
        message, whole, pieces = system.system.run(both(random.Random(seed)))
        assert whole == pieces
        changed += whole != message

    property_holds()
    assert changed > 20


def test_by_default_no_message_is_taken_apart(receiver: MakeReceiver) -> None:
    """That costs the time of one question."""
    assert checks_of(receiver()) is None


def test_a_message_that_is_not_to_be_checked_is_not_taken_apart(receiver: MakeReceiver) -> None:
    """Because it is our own, or receive_override_options says so."""
    system = receiver(ALL)
    assert checks_of(system) is not None
    override = Envelope("q", "", 0.0, overrides=NO_HEADER_BODY_CHECKS)
    assert checks_of(system, override) is None


def test_memory_does_not_grow_with_the_message(receiver: MakeReceiver) -> None:
    """Fifty megabytes of two parts: a header, a line and a piece are kept, no more."""
    system = receiver({**ALL, "strict_8bitmime": "yes"})
    head = b'Content-Type: multipart/mixed; boundary="b"\n\n--b\n\n'

    async def feed() -> int:
        checks = checks_of(system)
        assert checks is not None
        piece, size = LINE * (CHUNK // len(LINE)), len(head)
        await checks.feed(head)
        tracemalloc.start()
        while size < WHOLE:
            await checks.feed(piece)
            size += len(piece)
            assert checks.take()
        await checks.close()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert system.system.run(feed(), limit_s=60) < 4_000_000


def test_copies_for_many_are_counted_once_each(receiver: MakeReceiver) -> None:
    """A table that takes addresses from headers: the work is in proportion to them."""
    system = receiver({"header_checks": "regexp:{ {/^X-B: (.*)/ BCC $$1@c.test} }"})
    message = Transaction(STRANGER, [], size_limit=0, replace_cr=True)
    checks = service_of(system).checks_of(message)
    assert checks is not None

    async def feed() -> None:
        await checks.feed(b"".join(b"X-B: u%d\n" % (number // 2) for number in range(20_000)))
        await checks.close()

    system.system.run(feed())
    assert message.envelope.bcc == tuple(f"u{number}@c.test" for number in range(10_000))


def test_others_have_their_turn(receiver: MakeReceiver) -> None:
    """However long the checks of one message take, the event loop turns every few milliseconds of them."""
    patterns = "".join(f" {{/no{number}.*such (text|line)$$/ REJECT}}" for number in range(100))
    system = receiver({"body_checks": f"regexp:{{{patterns} }}", "body_checks_size_limit": "10000000"})
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        system.system.loop.call_soon(turn)

    async def feed() -> float:
        checks = checks_of(system)
        assert checks is not None
        system.system.loop.call_soon(turn)
        before = time.process_time()
        await checks.feed(b"a: b\n\n" + LINE * 20_000)
        return time.process_time() - before

    took = system.system.run(feed(), limit_s=60)
    assert turns > took / TURN_S / 4


def large(size: int) -> Iterator[bytes]:
    """Give a message in pieces: a header with what is looked for, then lines."""
    yield b"Subject: a\nX-Gone: 1\n\n"
    for _ in range(size // CHUNK):
        yield LINE * (CHUNK // len(LINE))


def sent(system: Receiver, tail: bytes) -> Done | None:
    """Send a large message to cleanup; give its answer. No tail: it is given up, and has no answer."""
    loop = system.system.loop
    client = CleanupClient(loop, f"{system.system.directory}/public/cleanup")

    async def send() -> Done | None:
        queue_id = await client.new_queue_id()
        transaction = client.begin(Envelope(queue_id, "s@b.test", 0.0), [Recipient("alice@example.test")])
        for piece in large(3_000_000):
            transaction.content(piece)
        transaction.content(tail)
        if not tail:
            transaction.abort()
        done = await transaction.end() if tail else None
        client.close()
        return done

    return system.system.run(send(), limit_s=30)


RULES: Final = {
    "header_checks": "regexp:{ {/^X-Gone/ IGNORE} {/^Subject/ HOLD h} {/^Subject: a/ DUNNO} }",
    "body_checks": "regexp:{ {/^bad/ REJECT no} }",
    "body_checks_size_limit": "2000000000",
}


def test_a_large_message_goes_through_a_spool_file(receiver: MakeReceiver) -> None:
    """It comes faster than it is checked, and waits; what is stored is what came, but for what a check takes out."""
    system = receiver(RULES)
    done = sent(system, b"last")
    assert done is not None
    assert done.code == 250
    envelope, _, content = system.queue.messages[0]
    header, body = content.split(b"\n\n", 1)
    assert body == b"".join(large(3_000_000)).split(b"\n\n", 1)[1] + b"last\n"
    assert header.startswith(b"Subject: a\nMessage-Id: ")
    assert (envelope.hold, envelope.size) == ("h", len(content))
    assert len(body) > 8 * MAX_BACKLOG


def test_a_large_message_is_refused_at_its_end(receiver: MakeReceiver) -> None:
    """Or given up in its middle: the spool file goes back."""
    system = receiver(RULES)
    done = sent(system, b"bad\n")
    assert done is not None
    assert (done.code, done.dsn, done.text) == (550, "5.7.1", "no")
    assert len(system.queue.dropped) == 1
    sent(system, b"")
    while service_of(system).clients:  # it is still busy with what has come
        system.system.run(asyncio.sleep(0.01))
    system.system.run(asyncio.sleep(0.05))  # the other end sees that it is closed
    assert len(system.queue.dropped) == 2
    assert system.queue.messages == []
