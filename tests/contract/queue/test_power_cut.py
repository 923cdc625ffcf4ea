"""Real power cuts, as far as a kernel can play one: the file system is shut down without writing its journal.

Whatever ext4 had not made durable is lost, names of spool files included; everything acknowledged before the cut
began must be there afterwards. Root, loop devices and the shutdown ioctl are needed; skipped elsewhere.
"""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.queue.harness import Harness, verified
from tests.contract.queue.writer import read_line, whole_lines, writing
from tests.support.cut_disk import CutDisk, cut_disk

CUTS = 5
SEED = 7


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[CutDisk]:
    """Make an ext4 file system of 64 MB."""
    with cut_disk("ext4", tmp_path) as disk:
        yield disk


@pytest.mark.root
def test_nothing_acknowledged_is_missing_after_a_power_cut(disk: CutDisk) -> None:
    """Writer, cut, remount, open, account; five times on one file system."""
    choice = random.Random(SEED)
    stored: set[str] = set()
    asked: set[str] = set()
    for turn in range(CUTS):
        lines = _run_and_cut(disk, f"P{turn}", choice.uniform(0.05, 0.3))
        stored |= {line[2:] for line in lines if line.startswith("A ")}
        queue = Harness(str(disk.mount))
        assert verified(queue.store, queue.loop) == []
        listed = set(queue.listed_ids())
        asked |= {line[2:] for line in lines if line.startswith("R ")}
        assert stored - asked <= listed
        for queue_id in sorted(stored - asked):
            assert queue.content(queue.get(queue_id).key) == queue_id.encode() * 300
        queue.close()
    assert len(stored) > 100


def _run_and_cut(disk: CutDisk, name: str, after_s: float) -> list[str]:
    """Let a writer work, take what it said, cut; lines said after the cut began count as removals only."""
    with writing(str(disk.mount), name) as writer:
        assert writer.stdout is not None
        said = [read_line(writer)]
        end = time.monotonic() + after_s
        while time.monotonic() < end:
            said.append(read_line(writer))
        disk.cut()
        writer.send_signal(signal.SIGKILL)
        late = whole_lines(writer)
    disk.restore()
    return said + [line for line in late if line.startswith("R ")]
