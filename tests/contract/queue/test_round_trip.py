"""Random queues: what is backed up and put back is the same queue, to the last octet."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.ipc.showq import Listed
from posthouse.queue.sqlite import care
from posthouse.queue.values import Change, StoredMessage, StoredRecipient
from tests.contract.queue.harness import ARRIVAL, Harness, bounced, deferred, message, sent, verified

RESULTS = {"sent": sent, "deferred": deferred, "bounced": bounced}
OCTETS = st.binary(min_size=1, max_size=12).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
ADDRESSES = st.one_of(st.just("a@example.org"), OCTETS)


@dataclass(frozen=True)
class Plan:
    """One message, and what becomes of it."""

    sender: str
    recipients: list[str]
    content: bytes
    is_spooled: bool
    hold: bool
    flags: int
    results: list[str]  # of the first recipients
    fate: str


PLANS = st.builds(
    Plan,
    sender=st.one_of(st.just(""), ADDRESSES),
    recipients=st.lists(ADDRESSES, min_size=1, max_size=4),
    content=st.one_of(st.binary(max_size=50), st.binary(min_size=1, max_size=3).map(lambda octets: octets * 4000)),
    is_spooled=st.booleans(),
    hold=st.booleans(),
    flags=st.integers(0, 3),
    results=st.lists(st.sampled_from(sorted(RESULTS)), max_size=3),
    fate=st.sampled_from(["", "", "removed", "deferred", Change.HOLD, Change.CORRUPT, Change.EXPIRE]),
)
Seen = tuple[list[Listed], list[tuple[StoredMessage, bytes | None, list[StoredRecipient]]], list[bool]]


def fill(harness: Harness, plans: list[Plan]) -> None:
    """Do what the plans say."""
    for number, plan in enumerate(plans):
        queue_id = f"ID{number}"
        content = harness.spool(plan.content) if plan.is_spooled else plan.content
        fields = {"content": content, "sender": plan.sender, "hold": plan.hold, "flags": plan.flags}
        [key] = harness.put(message(queue_id, *plan.recipients, **fields))  # type: ignore[arg-type]
        results = list(zip(range(1, len(plan.recipients) + 1), plan.results, strict=False))
        harness.store.record(key, [RESULTS[result](rcpt_id) for rcpt_id, result in results], ARRIVAL + number)
        if plan.fate == "removed":
            harness.remove(key, queue_id)
        elif plan.fate == "deferred":
            harness.defer(key, ARRIVAL + 5.25)
        elif plan.fate:
            harness.wait(harness.store.change(plan.fate, [queue_id]))


def look(harness: Harness, count: int) -> Seen:
    """Read everything there is to read."""
    listed = harness.wait(harness.store.page()).messages
    found = []
    for each in listed:
        stored = harness.get(each.queue_id)
        rows = harness.wait(harness.store.recipients(stored.key))
        found.append((stored, harness.content(stored.key), rows))
    return listed, found, [harness.wait(harness.store.is_committed(f"ID{number}")) for number in range(count + 1)]


@contextmanager
def opened(directory: Path) -> Iterator[Harness]:
    """A queue, closed at the end."""
    harness = Harness(str(directory))
    yield harness
    harness.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans=st.lists(PLANS, max_size=6), is_running=st.booleans())
def test_restored_queue_is_the_queue(plans: list[Plan], is_running: bool) -> None:
    """Listing, envelopes, recipients with their results, content, and which queue IDs were committed."""
    home = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=home) as path:
        here, copy, there = Path(path, "here"), Path(path, "copy"), Path(path, "there")
        here.mkdir()
        (there / "posthouse").mkdir(parents=True)
        with opened(here) as harness:
            fill(harness, plans)
            before = look(harness, len(plans))
            if is_running:
                care.back_up(str(here), str(copy), lambda *_: None)
        if not is_running:
            care.back_up(str(here), str(copy), lambda *_: None)
        made = care.restore(str(there), str(copy), lambda *_: None)
        with opened(there) as harness:
            assert look(harness, len(plans)) == before
            assert verified(harness.store, harness.loop) == []
            assert harness.reports == []
        assert sum(made.numbers.queues.values()) == len(before[0])
        assert care.verify(str(there)).findings == []
