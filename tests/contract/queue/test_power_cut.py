"""Real power cuts, as far as a kernel can play one: the file system is shut down without writing its journal.

Whatever ext4 or XFS had not made durable is lost, names of spool files included; everything acknowledged before the cut
began must be there afterwards. Root, loop devices and the shutdown ioctl are needed; skipped elsewhere.
"""

import errno
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from posthouse.queue.values import Committed, StoreFailedError
from tests.contract.queue.faulty import Faults
from tests.contract.queue.harness import Harness, message, verified
from tests.contract.queue.test_faults import layer
from tests.contract.queue.writer import read_line, whole_lines, writing
from tests.support.cut_disk import KINDS, CutDisk, cut_disk

CUTS = 4
SEED = 7


@pytest.fixture(params=KINDS)
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[CutDisk]:
    """Make a small file system of each kind."""
    with cut_disk(request.param, tmp_path) as disk:
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


def restore(disk: CutDisk) -> None:
    """Mount it again, really: while somebody else still holds the old mount (another name space), it is the old one."""
    for _ in range(100):
        disk.restore()
        try:
            os.listdir(disk.mount)
            (disk.mount / "probe").touch()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            time.sleep(0.1)
        else:
            return
    pytest.fail("the old mount does not go away")


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
    restore(disk)
    return said + [line for line in late if line.startswith("R ")]


@pytest.mark.root
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # SQLite closes what failed to sync
@pytest.mark.parametrize("is_cut_at_once", [False, True])
def test_a_failed_sync_then_load_then_a_cut(disk: CutDisk, is_cut_at_once: bool) -> None:
    """The failed store is never used again, its copy takes over, and what either acknowledged survives the cut."""
    stored = _fail_a_sync(disk)
    if is_cut_at_once:  # the page cache still has what the failed sync did not write; now it is gone
        disk.cut()
        restore(disk)
    lines = _run_and_cut(disk, "L", 0.3)
    stored |= {line[2:] for line in lines if line.startswith("A ")}
    asked = {line[2:] for line in lines if line.startswith("R ")}
    assert any("copied" in line for line in lines)
    queue = Harness(str(disk.mount))
    assert (queue.files.generations(), queue.files.failed(), queue.reports) == ([2], None, [])
    assert verified(queue.store, queue.loop) == []
    assert stored - asked <= set(queue.listed_ids())
    for queue_id in sorted(stored - asked):
        assert queue.content(queue.get(queue_id).key) == queue_id.encode() * 300
    queue.close()


def _fail_a_sync(disk: CutDisk) -> set[str]:
    """Commit until a sync fails; what was acknowledged. Nothing is any more after that, and the store is marked."""
    stored: set[str] = set()
    is_broken = False
    faults = Faults(lambda _number, name: apsw.IOError("injected") if is_broken and name == "sync" else None)
    with layer(faults) as vfs:
        queue = Harness(str(disk.mount), vfs)
        for number in range(60):
            is_broken = number == 50
            queue_id = f"F{number}"
            content = queue_id.encode() * 300
            is_large = number % 9 == 0 and number < 50
            [answer] = queue.commit(message(queue_id, content=queue.spool(content) if is_large else content))
            assert isinstance(answer, Committed) == (number < 50)
            stored |= {queue_id} if number < 50 else set()
        assert faults.failed == 1, "a sync that failed is never tried again"
        assert isinstance(queue.store.failure, StoreFailedError)
        assert queue.files.failed() == (1, "IOError: injected")
        queue.close()
    return stored
