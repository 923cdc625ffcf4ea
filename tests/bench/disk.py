"""A file system of its own for each server, as root: what one server deletes must not slow down the other.

ext4 does not give out an inode again soon after it was freed, and looks past all such inodes each time one is made. On
one file system the server that makes and deletes a file for each message would charge that to the one measured next.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

SIZE: Final = 3 * 2**30  # bytes; the image is sparse


class Disk:
    """An ext4 file system in a file, mounted over an empty directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._image = directory.with_name(directory.name + ".ext4")

    def mount(self) -> bool:
        """Mount it; False where that is not possible (no root, no loop devices), and the directory stays as it is."""
        if os.geteuid() != 0:
            return False
        with self._image.open("wb") as image:
            image.truncate(SIZE)
        mode = self._directory.stat().st_mode & 0o7777
        made = _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self._image))
        if not made or not _run("mount", "-o", "loop", str(self._image), str(self._directory)):
            self._image.unlink()
            return False
        self._directory.chmod(mode)
        return True

    def unmount(self) -> None:
        """Give it back, if it was mounted."""
        if self._image.exists():
            _run("umount", "-l", str(self._directory))
            self._image.unlink()


def _run(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
