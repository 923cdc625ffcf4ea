"""kill -9 of a process that writes to the store, again and again, with an account of what it was told."""

import random
import signal
import time
from itertools import pairwise
from pathlib import Path

from tests.contract.queue.harness import Harness, verified
from tests.contract.queue.writer import read_line, whole_lines, writing

ROUNDS = 8
SEED = 20_240_607


def test_nothing_acknowledged_is_missing_after_kill_9(memory_path: Path) -> None:
    """Every message that was acknowledged and not removed is there with its content; no number is leased twice."""
    choice = random.Random(SEED)
    stored: set[str] = set()
    asked: set[str] = set()
    numbers: list[int] = []
    for turn in range(ROUNDS):
        lines = _run_and_kill(str(memory_path), f"P{turn}", choice.uniform(0.02, 0.2))
        stored |= {line[2:] for line in lines if line.startswith("A ")}
        asked |= {line[2:] for line in lines if line.startswith("R ")}
        numbers += [int(line[2:]) for line in lines if line.startswith("N ")]
        queue = Harness(str(memory_path))
        assert queue.reports == []
        assert verified(queue.store, queue.loop) == []
        listed = set(queue.listed_ids())
        assert stored - asked <= listed
        assert all(queue.wait(queue.store.is_committed(queue_id)) for queue_id in asked)
        for queue_id in choice.sample(sorted(stored - asked), min(50, len(stored - asked))):
            assert queue.content(queue.get(queue_id).key) == queue_id.encode() * 300
        queue.close()
    assert len(stored) > 500
    assert numbers == sorted(set(numbers))
    assert all(later - earlier >= 100 for earlier, later in pairwise(numbers))


def _run_and_kill(directory: str, name: str, after_s: float) -> list[str]:
    """Let a writer work for a while, kill it, return its whole lines."""
    with writing(directory, name) as writer:
        first = read_line(writer)  # it has begun
        time.sleep(after_s)
        writer.send_signal(signal.SIGKILL)
        return [first, *whole_lines(writer)]
