"""Maildirs and a power cut: what was said to be delivered is there, and nothing in new/ is short.

The child's own loop is run in a process of its own, on file systems where a batch costs one sync.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posthouse.delivery import durable
from tests.support.cut_disk import KINDS, CutDisk, cut_disk

CUTS = 4
SEED = 11
BOXES = 5
# Delivers batches of various sizes into several Maildirs; prints the number of each message that counts as delivered.
WRITER = """
import os, random, sys
from posthouse.delivery import maildir

def content(number):
    return b"%d\\n" % number + b"%d " % number * (number * 37 % 9000) + b"\\nend\\n"

directory, boxes, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
choice = random.Random(number)
while True:
    batch = range(number, number + choice.randint(1, 40))
    number = batch.stop
    drafts = [maildir.write(f"{directory}/box{each % boxes}", "x", b"Head: er\\n", content(each)) for each in batch]
    failed = maildir.deliver(drafts)
    said = [str(each) for each, error in zip(batch, failed) if error is None]
    os.write(1, ("\\n".join(said) + "\\n").encode())
"""


@pytest.mark.root
@pytest.mark.parametrize("kind", KINDS)
def test_no_delivered_message_is_missing_or_short(kind: str, tmp_path: Path) -> None:
    """Write, cut, mount again, account; several times on one file system."""
    choice = random.Random(SEED)
    delivered: set[int] = set()
    with cut_disk(kind, tmp_path) as disk:
        assert durable.in_order(disk.mount.stat().st_dev), "this test is about file systems with one journal in order"
        for turn in range(CUTS):
            delivered |= _write_and_cut(disk, turn * 1_000_000, choice.uniform(0.1, 0.4))
            found = [_number(file) for file in disk.mount.glob("box*/new/*")]
            assert delivered <= set(found)
            assert len(found) == len(set(found))
        assert len(delivered) > 100


def _write_and_cut(disk: CutDisk, first: int, seconds: float) -> set[int]:
    """Let a writer work for a while; the numbers it said before the power was cut."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(disk.mount), str(BOXES), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        said = writer.stdout.readline()
        os.set_blocking(writer.stdout.fileno(), False)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            said += writer.stdout.read() or b""
            time.sleep(0.001)
        disk.cut()
        writer.send_signal(signal.SIGKILL)
    disk.restore()
    return {int(line) for line in said[: said.rfind(b"\n")].split()}


def _number(file: Path) -> int:
    """Check a file against what was written into it; its number."""
    head, line, rest = file.read_bytes().split(b"\n", 2)
    number = int(line)
    assert head == b"Head: er"
    assert rest == b"%d " % number * (number * 37 % 9000) + b"\nend\n"
    return number
