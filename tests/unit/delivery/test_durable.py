"""Which file systems keep one journal in order, and what is synced on them and elsewhere."""

import os
from pathlib import Path

import pytest

from posthouse.delivery import durable

DEVICE = os.makedev(8, 1)
MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:1 / / rw,relatime shared:1 master:2 - {kind} /dev/sda1 rw,{options}
"""


@pytest.mark.parametrize(
    ("kind", "options", "journal", "expected"),
    [
        ("ext4", "discard", True, True),
        ("ext4", "discard", False, False),  # made without a journal
        ("ext4", "data=journal", True, False),
        ("ext3", "discard", True, False),
        ("xfs", "attr2", False, True),
        ("btrfs", "ssd", False, False),
        ("overlay", "lowerdir=/a", False, False),
    ],
)
def test_only_known_file_systems_keep_one_order(
    kind: str, options: str, journal: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything else is synced in the ordinary way."""
    lines = [line.split() for line in MOUNTS.format(kind=kind, options=options).splitlines()]
    monkeypatch.setattr(durable, "_mount_lines", lambda: lines)
    monkeypatch.setattr(durable, "_has_journal", lambda _device: journal)
    assert durable.in_order.__wrapped__(DEVICE) is expected
    assert durable.in_order.__wrapped__(os.makedev(8, 2)) is False  # not mounted as far as is known


def test_this_machine_is_understood(tmp_path: Path) -> None:
    """Whatever file system this is, the real files in /proc and /sys are read without trouble."""
    assert durable.in_order(tmp_path.stat().st_dev) in (True, False)
    assert any(line[2:] for line in durable._mount_lines())


@pytest.mark.parametrize("ordered", [False, True])
def test_contents_are_brought_to_the_disk(tmp_path: Path, ordered: bool) -> None:
    """What fails is said at its place."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10_000)
    descriptor = os.open(path, os.O_RDWR)
    read_end, write_end = os.pipe()  # cannot be synced
    failed = durable.write_out([descriptor, write_end, descriptor], ordered=ordered)
    for each in (descriptor, read_end, write_end):
        os.close(each)
    assert failed[0] is None
    assert isinstance(failed[1], OSError)
    assert failed[2] is None


def test_one_sync_where_there_is_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the directory that changed last; each directory elsewhere."""
    synced: list[str] = []
    monkeypatch.setattr(durable, "sync_directory", synced.append)
    monkeypatch.setattr(durable, "in_order", lambda device: device == 1)
    changed = [("a", 1), ("x", 2), ("b", 1), ("y", 2), ("a", 1), ("x", 2)]
    assert durable.sync_directories(changed) == {}
    assert sorted(synced) == ["a", "x", "y"]


def test_a_sync_that_fails_fails_for_all_it_stood_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And for nothing else."""

    def fail(directory: str) -> None:
        if directory in ("b", "x"):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(durable, "sync_directory", fail)
    monkeypatch.setattr(durable, "in_order", lambda device: device == 1)
    failed = durable.sync_directories([("a", 1), ("x", 2), ("b", 1), ("y", 2)])
    assert set(failed) == {"a", "b", "x"}
