"""Small file systems, real ones, and ways to fill them: ext4 in a file, or tmpfs with few files. Needs root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

STEP: Final = 64 * 1024  # bytes


class SmallDisk:
    """A file system mounted at `mount`."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self._fill = 0

    @property
    def free(self) -> int:
        """Bytes that users other than root may still write."""
        status = os.statvfs(self.mount)
        return status.f_bavail * status.f_frsize

    @property
    def files_free(self) -> int:
        """Files that can still be made."""
        return os.statvfs(self.mount).f_favail

    def step(self, size: int = STEP) -> int:
        """Write that many bytes more; what was written when there is no room for all."""
        with (self.mount / "fill").open("ab") as file:
            before = file.tell()
            try:
                os.posix_fallocate(file.fileno(), before, size)
            except OSError:
                file.truncate(before)
                return 0
        return size

    def fill_up(self) -> None:
        """Leave nothing at all."""
        for size in (1 << 20, STEP, 4096, 1024):
            while self.step(size):
                pass

    def make_files(self, leave: int) -> None:
        """Make empty files until so few can still be made."""
        while self.files_free > leave:
            self._fill += 1
            (self.mount / f"fill-{self._fill}").touch()

    def empty(self) -> None:
        """Remove what this class wrote."""
        for path in self.mount.glob("fill*"):
            path.unlink()


@contextmanager
def ext4(mount: Path, size: int) -> Iterator[SmallDisk]:
    """Mount an ext4 of so many bytes, in a file beside the mount point."""
    image = mount.parent / f"{mount.name}.image"
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    with _mounted(mount, "-o", "loop", str(image)) as disk:
        yield disk


@contextmanager
def tmpfs(mount: Path, size: int, files: int) -> Iterator[SmallDisk]:
    """Mount a tmpfs that can have so many files."""
    with _mounted(mount, "-t", "tmpfs", "-o", f"size={size},nr_inodes={files}", "tmpfs") as disk:
        yield disk


@contextmanager
def _mounted(mount: Path, *options: str) -> Iterator[SmallDisk]:
    if subprocess.run(["mount", *options, str(mount)], check=False).returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    mount.chmod(0o755)
    try:
        yield SmallDisk(mount)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)  # also when a failed test left it in use
