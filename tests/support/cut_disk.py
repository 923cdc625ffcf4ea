"""A disk whose power can be cut: a file system in a file, shut down without writing its journal, and mounted again.

Whatever the file system had not made durable is lost then, names included. Needs root, loop devices and the shutdown
ioctl of ext4 and XFS.

Another mount name space (a service's own) may still hold the old mount after umount(8). The kernel then keeps the dead
file system, and gives it to whoever mounts its device: so each mount has a loop device of its own.
"""

import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

_SHUTDOWN: Final = 2 << 30 | 4 << 16 | ord("X") << 8 | 125  # EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
_NO_LOG_FLUSH: Final = 2
_MAKE: Final = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
_SIZE: Final = {"ext4": 64 << 20, "xfs": 320 << 20}  # bytes; mkfs.xfs makes none below 300 MB
_OPTIONS: Final = {"ext4": "defaults", "xfs": "nouuid"}  # the dead one may still be there, with the same identity
_LEAVE_S: Final = 20.0  # how long processes that were killed may take to leave
KINDS: Final = [kind for kind in _MAKE if kind in Path("/proc/filesystems").read_text(encoding="ascii").split()]


class CutDisk:
    """See the module's docstring; `mount` is where it is mounted. size: bytes, 0: as small as possible."""

    def __init__(self, kind: str, directory: Path, size: int = 0) -> None:
        self.mount = directory / "mount"
        self._image = directory / "image"
        with self._image.open("wb") as file:
            file.truncate(max(size, _SIZE[kind]))
        subprocess.run([*_MAKE[kind], self._image], check=True)
        self.mount.mkdir()
        self._options = _OPTIONS[kind]
        self._device = ""
        if self._mount():
            pytest.skip("loop devices cannot be mounted here")

    def cut(self) -> None:
        """Let nothing more get to the disk."""
        descriptor = os.open(self.mount, os.O_RDONLY)
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        os.close(descriptor)

    def restore(self) -> None:
        """Mount it again, once nobody uses it any more. The journal is replayed."""
        deadline = time.monotonic() + _LEAVE_S
        while failed := _run("umount", self.mount):
            assert time.monotonic() < deadline, failed
            time.sleep(0.02)
        # Where the dead file system lives on, its device may still have blocks to write; none come after these.
        _run("blockdev", "--flushbufs", self._device)
        failed = self._mount()
        assert not failed, f"the file system cannot be mounted after the cut: {failed}"
        os.listdir(self.mount)  # the dead one would answer EIO

    def _mount(self) -> str:
        """Return why it is not possible."""
        found = subprocess.run(
            ["losetup", "--find", "--show", self._image], check=False, capture_output=True, text=True
        )
        self._device = found.stdout.strip()
        if found.returncode:
            return found.stderr
        failed = _run("mount", "-o", self._options, self._device, self.mount)
        _run("losetup", "--detach", self._device)  # as soon as nobody uses it any more
        return failed


def _run(*command: str | Path) -> str:
    """Return what a command has to complain about."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr.strip() or "failed" if done.returncode else ""


@contextmanager
def cut_disk(kind: str, directory: Path, size: int = 0) -> Iterator[CutDisk]:
    """Make one below a directory, and take it away at the end."""
    disk = CutDisk(kind, directory, size)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk.mount], check=True)  # also when a failed test left it in use
