"""A file layer for SQLite that fails when told to, and that knows what a power cut would leave.

Every write, truncation and sync of the store's files counts; the n-th one can fail. For each file the layer keeps what
is durable (everything up to the last good sync) and what was written since. `cut_power` puts on the disk what may be
there after a cut: the durable part, and of each later write either nothing, a part in whole sectors, or all of it.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import apsw

SECTOR = 512


@dataclass(slots=True)
class Image:
    """One file as the disk has it."""

    durable: bytearray = field(default_factory=bytearray)
    later: list[tuple[int, bytes | None]] = field(default_factory=list)  # offset and octets; None: truncated there

    def sync(self) -> None:
        """Everything written is durable."""
        for at, octets in self.later:
            _apply(self.durable, at, octets)
        self.later.clear()

    def after_cut(self, choice: random.Random) -> bytes:
        """What may be found after a power cut."""
        found = bytearray(self.durable)
        for at, octets in self.later:
            luck = choice.random()
            if luck < 0.4:
                continue
            if octets is not None and luck < 0.7:
                octets = octets[: choice.randrange(len(octets) // SECTOR + 1) * SECTOR]  # noqa: PLW2901
            _apply(found, at, octets)
        return bytes(found)


def _apply(file: bytearray, at: int, octets: bytes | None) -> None:
    if octets is None:
        del file[at:]
        return
    if len(file) < at:
        file.extend(bytes(at - len(file)))
    file[at : at + len(octets)] = octets


class Faults:
    """What is to fail, and what was written. `fail(number, name)` returns an exception for the operation, or None."""

    def __init__(self, fail: Callable[[int, str], Exception | None] = lambda _number, _name: None) -> None:
        self.fail = fail
        self.operations = 0
        self.failed = 0
        self.images: dict[str, Image] = {}

    def operation(self, name: str) -> None:
        """Count an operation; fail if it is its turn."""
        self.operations += 1
        error = self.fail(self.operations, name)
        if error is not None:
            self.failed += 1
            raise error

    def cut_power(self, seed: int) -> None:
        """Leave on the disk what a power cut might."""
        choice = random.Random(seed)
        for path, image in self.images.items():
            if os.path.exists(path):
                with open(path, "wb") as file:
                    file.write(image.after_cut(choice))


class FaultyFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, vfs: str, name: "str | apsw.URIFilename", flags: list[int], faults: Faults) -> None:
        super().__init__(vfs, name, flags)
        self.faults = faults
        path = name if isinstance(name, str) else name.filename()
        if path not in faults.images:
            with open(path, "rb") as file:
                faults.images[path] = Image(bytearray(file.read()))
        self.image = faults.images[path]

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's name
        """Write, or fail."""
        self.faults.operation("write")
        self.image.later.append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's name
        """Truncate, or fail."""
        self.faults.operation("truncate")
        self.image.later.append((newsize, None))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        """Sync, or fail; a failed one leaves it open what is durable."""
        self.faults.operation("sync")
        super().xSync(flags)
        self.image.sync()


class FaultyVFS(apsw.VFS):
    """The layer itself; registered under `name` until `close`."""

    def __init__(self, name: str, faults: Faults) -> None:
        self.name = name
        self.faults = faults
        super().__init__(name, "")

    def xOpen(  # noqa: N802 - apsw's name
        self, name: "str | apsw.URIFilename | None", flags: list[int]
    ) -> apsw.VFSFile:
        """Open the store's files with faults, temporary ones without."""
        if name is None:
            return apsw.VFSFile("", name, flags)
        return FaultyFile("", name, flags, self.faults)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - apsw's name
        """Delete; nothing is durable of what is gone."""
        super().xDelete(filename, syncdir)
        self.faults.images.pop(filename, None)
