"""Power cuts under load, on ext4 and XFS: what was answered 250 is there afterwards, whole, after a plain start.

The whole system lies on a file system whose power is cut, its mailboxes with it or on a file system of their own. All
processes are killed, the journal is replayed, the system is started as at every boot, and the ledger is held against
what arrives. A 250 counts when it was read before the cut began.

A power cut stops everything at once, and so does the test: a sync that is under way while ext4 or XFS is shut down may
be told that it succeeded (seen in one cut of five), and a process that could still act on that would write down, on the
other disk, a delivery that is lost.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.faults.figures import Figures
from tests.support import all_ways, processes
from tests.support.all_ways import Books, Host, drain, start_plainly, under_load
from tests.support.amount import Amount
from tests.support.cut_disk import KINDS, CutDisk, cut_disk
from tests.support.instance import Instance, Options, kill_quietly
from tests.support.recording_sink import RecordingSink
from tests.support.servers import Posthouse

SEED: Final = 20261124
DISK: Final = 512 << 20  # bytes
IN_FLIGHT: Final = 200  # deliveries whose record a cut can take with it
CONNECTIONS: Final = 6
SETTLE: Final = 4  # cuts after which everything is let out; what is in the queue and in the mailboxes lives through all
# Where the queue is, where the mailboxes are ("": there as well); cuts in a whole run. The short one has the last.
LAYOUTS: Final = {("ext4", ""): 100, ("xfs", ""): 100, ("ext4", "ext4"): 50, ("ext4", "xfs"): 25, ("xfs", "ext4"): 25}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the layouts of this run."""
    layouts = list(LAYOUTS) if metafunc.config.getoption("--whole") else list(LAYOUTS)[-1:]
    metafunc.parametrize("layout", layouts, ids="-".join)


@dataclass
class House:
    """A system and the disks below it."""

    books: Books
    disks: list[CutDisk]

    def cut(self, chance: random.Random) -> None:
        """Cut the power: of the processes first, then of the disks in any order."""
        master = self.books.server.master_pid()  # what is on the disk cannot be read any more afterwards
        freeze(master)
        for disk in chance.sample(self.disks, len(self.disks)):
            disk.cut()
        kill_users(master, self.disks)

    def come_back(self) -> None:
        """Mount and start."""
        for disk in reversed(self.disks):
            disk.restore()
        start_plainly(self.books.server)

    def settle(self) -> None:
        """Let everything out, take it from the mailboxes for good."""
        drain(self.books.server, idle=lambda: all_ways.age_locks(self.books.mail))
        self.books.collect()
        for disk in self.disks:
            subprocess.run(["sync", "--file-system", disk.mount], check=True)


def freeze(master: int) -> None:
    """Stop master and everything below it, what they start meanwhile too."""
    stopped: set[int] = set()
    while found := [process.pid for process in processes.tree(master) if process.pid not in stopped]:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        stopped.update(found)


def kill_users(master: int, disks: list[CutDisk]) -> None:
    """Kill master and everything below it, and whatever else works on one of the disks."""
    for process in processes.tree(master):
        kill_quietly(process.pid)
    while found := [process.pid for process in processes.all_processes() if _is_in(process, disks)]:
        for pid in found:
            kill_quietly(pid)
        time.sleep(0.01)


def _is_in(process: processes.Process, disks: list[CutDisk]) -> bool:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{process.pid}/cwd").startswith(tuple(str(disk.mount) for disk in disks))
    return False


@pytest.fixture
def place() -> Iterator[Path]:
    """Make a directory that every user can reach."""
    path = Path(tempfile.mkdtemp(prefix="power-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def house(queue: str, mailboxes: str, place: Path) -> Iterator[House]:
    """Run a system on disks of these kinds."""
    host = Host()
    with contextlib.ExitStack() as stack:
        disks = []
        for number, kind in enumerate(filter(None, (queue, mailboxes))):
            (place / f"disk{number}").mkdir(mode=0o755)
            disks.append(stack.enter_context(cut_disk(kind, place / f"disk{number}", DISK)))
        mail = disks[-1].mount / "mail"
        mail.mkdir()
        all_ways.give_away(mail)
        sink = stack.enter_context(RecordingSink(host.answer))
        directory = disks[0].mount / "system"
        directory.mkdir()
        options = Options(**all_ways.options(sink, str(mail), maillog_file_prefixes=str(place)))  # type: ignore[arg-type]
        server = Posthouse(options, directory)
        server.maillog = place / "maillog"
        server.write_config()
        server.start_and_greet()
        subprocess.run(["sync", "--file-system", directory], check=True)
        stack.callback(_end, server, disks)
        yield House(Books(server, host, sink, mail), disks)


def _end(server: Instance, disks: list[CutDisk]) -> None:
    kill_users(server.master_pid(), disks)


@pytest.mark.root
@pytest.mark.integration
def test_power_cuts_lose_nothing(layout: tuple[str, str], place: Path, amount: Amount, figures: Figures) -> None:
    """Load, cut, mount, plain start, books; again and again on the same disks."""
    queue, mailboxes = layout
    if not {*layout} <= {"", *KINDS}:
        pytest.skip("this kernel lacks a file system")
    chance, cuts, back = random.Random(SEED), amount(1, LAYOUTS[layout]), []
    with house(queue, mailboxes, place) as home:
        ledger = home.books.ledger
        for number in range(1, cuts + 1):
            with under_load(home.books, chance, CONNECTIONS):
                time.sleep(chance.uniform(0.3, amount(1.0, 2.0)))
                promised = ledger.promised()
                home.cut(chance)
            begin = time.monotonic()
            ledger.acknowledged = promised
            home.come_back()
            back.append(time.monotonic() - begin)
            if number % SETTLE == 0 or number == cuts:
                home.settle()
                ledger.check(home.books.arrived.elements(), doubles_allowed=number * IN_FLIGHT)
        where = f"{queue}, mailboxes on their own {mailboxes}" if mailboxes else f"{queue}, mailboxes on it"
        figures(
            f"{cuts} power cuts under load, queue on {where}",
            f"{home.books.promises}, none lost, no short file, plain start each time; "
            f"{home.books.doubles.total()} twice; {home.books.torn} parts in mbox files, each there as a whole too; "
            f"mounted and started after {sorted(back)[len(back) // 2]:.1f} s (median)",
        )
        print(f"doubled: {dict(home.books.doubles)}; refused: {dict(ledger.refused)}")
    assert len(ledger.acknowledged) > amount(5, 50) * cuts
