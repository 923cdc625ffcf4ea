"""What daemons declare can be read without importing what they do, and what they name is there."""

import importlib
import subprocess
import sys

import pytest

from posthouse.commands.orders.programs import PROGRAMS, is_built
from posthouse.skeleton.daemon import Daemon, Later

PACKAGES = sorted({program.package for program in PROGRAMS.values() if is_built(program.package)})
READ_ALL = """
import importlib, sys
for package in sys.argv[1:]:
    importlib.import_module(f"posthouse.daemons.{package}.daemon")
print(*[name for name in sys.modules if name.startswith("posthouse.daemons.")])
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_what_starts_a_daemon_is_its_own(package: str) -> None:
    """The name is found, in the daemon's own package."""
    daemon: Daemon = importlib.import_module(f"posthouse.daemons.{package}.daemon").DAEMON
    assert isinstance(daemon.start, Later)
    assert daemon.start.module.startswith(f"posthouse.daemons.{package}.")
    daemon.load()
    assert callable(daemon.start.load())


def test_who_reads_declarations_imports_no_service() -> None:
    """The orders process does, at each start and reload: what it imports beside them costs half of its time."""
    done = subprocess.run([sys.executable, "-I", "-c", READ_ALL, *PACKAGES], capture_output=True, text=True, check=True)
    parts = {name.split(".")[3] for name in done.stdout.split() if name.count(".") >= 3}
    assert parts <= {"daemon", "parameters", "access"}
