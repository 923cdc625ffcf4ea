"""A queue with something of everything, what is true of it, and how it is damaged and looked at again."""

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from posthouse.queue.values import CORRUPT, FOREVER, NotStoredError, StoreFailedError
from tests.contract.queue.harness import ARRIVAL, Harness, deferred, message, verified

STARTS = 4  # how often a queue manager may start until it serves


class True_(NamedTuple):  # noqa: N801 - True is taken
    """What was acknowledged of one message."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


@dataclass
class Sample:
    """A queue directory that was closed, one that was killed, and what both hold."""

    closed: Path
    killed: Path
    known: dict[str, True_] = field(default_factory=dict)
    removed: dict[str, True_] = field(default_factory=dict)


def make_sample(directory: Path, messages: int = 120) -> Sample:
    """Fill a queue; some mail is removed again, some content is in files, the log is copied half-way."""
    sample = Sample(directory / "closed", directory / "killed")
    choice = random.Random(5)
    made = directory / "made"
    made.mkdir()
    harness = Harness(str(made))
    keys: dict[str, int] = {}
    for number in range(messages):
        queue_id = f"4dK{number:06d}z"
        keys[queue_id] = _put_one(harness, queue_id, choice, sample)
        if number == messages * 2 // 3:
            harness = harness.reopen()  # the log begins anew, and the rest of the mail is in it alone
        if number % 7 == 5:
            harness.record(keys[queue_id], [deferred(1)], ARRIVAL + number)
            harness.defer(keys[queue_id], ARRIVAL + number)
        if number % 3 == 2:
            gone = choice.choice(sorted(sample.known))
            harness.remove(keys[gone], gone)
            sample.removed[gone] = sample.known.pop(gone)
    shutil.copytree(made, sample.killed)
    harness.close()
    shutil.copytree(made, sample.closed)
    return sample


def _put_one(harness: Harness, queue_id: str, choice: random.Random, sample: Sample) -> int:
    size = choice.choice((40, 900, 3000, 9000, 30_000))
    content = (queue_id.encode() + b" " + choice.randbytes(8).hex().encode()) * (size // 30)
    recipients = tuple(f"{queue_id}-{each}@example.org" for each in range(choice.randint(1, 4)))
    sender = f"{queue_id}@example.com"
    stored = harness.spool(content) if choice.random() < 0.1 else content
    [key] = harness.put(message(queue_id, *recipients, content=stored, sender=sender))
    sample.known[queue_id] = True_(sender, recipients, content)
    return key


@dataclass
class Found:
    """What a queue holds after its starts."""

    reports: list[str] = field(default_factory=list)
    whole: dict[str, True_] = field(default_factory=dict)
    corrupt: dict[str, bytes | None] = field(default_factory=dict)
    starts: int = 0
    problems: list[str] = field(default_factory=list)


def start_and_look(directory: Path) -> Found:
    """Do as the queue manager does, starting again as master would, until everything could be read."""
    found = Found()
    for _ in range(STARTS):
        found.starts += 1
        harness = Harness(str(directory))
        with closing(harness.loop):
            try:
                found.whole, found.corrupt = {}, {}
                for queue_id, is_whole, what in _everything(harness):
                    if is_whole:
                        found.whole[queue_id] = what
                    else:
                        found.corrupt[queue_id] = what.content
                found.problems = verified(harness.store, harness.loop)
            except StoreFailedError:
                continue
            finally:
                found.reports += harness.reports
                harness.loop.run_until_complete(harness.store.close())
            return found
    raise AssertionError(f"{directory} does not come up: {found.reports}")


def _everything(harness: Harness) -> Iterator[tuple[str, bool, True_]]:
    """Read all messages by several ways, as deliveries and listings do."""
    due = [found.queue_id for found in harness.wait(harness.store.due(FOREVER, limit=10_000)).messages]
    listed = harness.listed_ids()
    assert set(due) <= set(listed)
    for queue_id in listed:
        found = harness.get(queue_id)
        try:
            content = harness.content(found.key)
        except NotStoredError:
            content = None
        addresses = tuple(recipient.address for recipient in found.recipients)
        is_whole = found.queue_name != CORRUPT and content is not None
        yield queue_id, is_whole, True_(found.sender, addresses, content or b"")


def flip(path: Path, choice: random.Random, count: int, before: int = 0) -> None:
    """Change some octets of a file. before: the first place to leave alone."""
    with path.open("r+b") as file:
        size = before or os.fstat(file.fileno()).st_size
        for _ in range(count):
            at = choice.randrange(size)
            file.seek(at)
            octet = file.read(1)[0]
            file.seek(at)
            file.write(bytes((octet ^ choice.randint(1, 255),)))
