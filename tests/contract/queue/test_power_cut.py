"""Real power cuts, as far as a kernel can play one: the file system is shut down without writing its journal.

Whatever ext4 had not made durable is lost, names of spool files included; everything acknowledged before the cut
began must be there afterwards. Root, loop devices and the shutdown ioctl are needed; skipped elsewhere.
"""

import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.queue.harness import Harness, verified
from tests.contract.queue.writer import read_line, whole_lines, writing

CUTS = 5
SEED = 7
SHUTDOWN = 2 << 30 | 4 << 16 | ord("X") << 8 | 125  # EXT4_IOC_SHUTDOWN
NO_LOG_FLUSH = 2


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """A file with an ext4 file system of 64 MB, and a directory to mount it on."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("needs root and mkfs.ext4")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    (tmp_path / "mount").mkdir()
    if subprocess.run(["mount", "-o", "loop", image, tmp_path / "mount"], check=False).returncode != 0:
        pytest.skip("loop devices cannot be mounted here")
    yield tmp_path / "mount"
    subprocess.run(["umount", "-l", tmp_path / "mount"], check=True)  # also when a failed test left it in use


@pytest.mark.root
def test_nothing_acknowledged_is_missing_after_a_power_cut(image: Path) -> None:
    """Writer, cut, remount, open, account; five times on one file system."""
    choice = random.Random(SEED)
    stored: set[str] = set()
    asked: set[str] = set()
    for turn in range(CUTS):
        lines = _run_and_cut(image, f"P{turn}", choice.uniform(0.05, 0.3))
        stored |= {line[2:] for line in lines if line.startswith("A ")}
        queue = Harness(str(image))
        assert verified(queue.store, queue.loop) == []
        listed = set(queue.listed_ids())
        asked |= {line[2:] for line in lines if line.startswith("R ")}
        assert stored - asked <= listed
        for queue_id in sorted(stored - asked):
            assert queue.content(queue.get(queue_id).key) == queue_id.encode() * 300
        queue.close()
    assert len(stored) > 100


def _run_and_cut(mount: Path, name: str, after_s: float) -> list[str]:
    """Let a writer work, take what it said, cut; lines said after the cut began count as removals only."""
    with writing(str(mount), name) as writer:
        assert writer.stdout is not None
        said = [read_line(writer)]
        end = time.monotonic() + after_s
        while time.monotonic() < end:
            said.append(read_line(writer))
        descriptor = os.open(mount, os.O_RDONLY)
        fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(descriptor)
        writer.send_signal(signal.SIGKILL)
        late = whole_lines(writer)
    subprocess.run(["umount", mount], check=True)
    subprocess.run(["mount", "-o", "loop", mount.parent / "image", mount], check=True)
    return said + [line for line in late if line.startswith("R ")]
