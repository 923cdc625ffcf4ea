"""A disk whose power can be cut: a file system in a file, shut down without writing its journal, and mounted again.

Whatever the file system had not made durable is lost then, names included. Needs root, loop devices and the shutdown
ioctl of ext4 and XFS.
"""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

_SHUTDOWN: Final = 2 << 30 | 4 << 16 | ord("X") << 8 | 125  # EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
_NO_LOG_FLUSH: Final = 2
_MAKE: Final = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
_SIZE: Final = {"ext4": 64 << 20, "xfs": 320 << 20}  # bytes; mkfs.xfs makes none below 300 MB
KINDS: Final = [kind for kind in _MAKE if kind in Path("/proc/filesystems").read_text(encoding="ascii").split()]


class CutDisk:
    """See the module's docstring; `mount` is where it is mounted."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.mount = directory / "mount"
        self._image = directory / "image"
        with self._image.open("wb") as file:
            file.truncate(_SIZE[kind])
        subprocess.run([*_MAKE[kind], self._image], check=True)
        self.mount.mkdir()
        if subprocess.run(["mount", "-o", "loop", self._image, self.mount], check=False).returncode != 0:
            pytest.skip("loop devices cannot be mounted here")

    def cut(self) -> None:
        """Let nothing more get to the disk."""
        descriptor = os.open(self.mount, os.O_RDONLY)
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        os.close(descriptor)

    def restore(self) -> None:
        """Mount it again; nobody may use it. The journal is replayed."""
        subprocess.run(["umount", self.mount], check=True)
        subprocess.run(["mount", "-o", "loop", self._image, self.mount], check=True)


@contextmanager
def cut_disk(kind: str, directory: Path) -> Iterator[CutDisk]:
    """Make one below a directory, and take it away at the end."""
    disk = CutDisk(kind, directory)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk.mount], check=True)  # also when a failed test left it in use
