"""Every line and every branch of the code that runs as root is gone through by its tests, in real processes."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.root]
REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent.parent
TESTS: Final = (
    "tests/unit/master",
    "tests/unit/warm",
    "tests/unit/runas",
    "tests/unit/ipc/test_fixed_records.py",
    "tests/unit/orders/test_begin.py",
    "tests/unit/util/test_process.py",
    "tests/unit/util/test_enter_domain.py",
    "tests/unit/util/test_instance_lock.py",
    "tests/unit/util/test_select_loop.py",
    "tests/integration/03_runas",
)
MAX_PRAGMAS: Final = 5  # lines that cannot happen, each with its reason
# Processes end by os._exit, other users write their share of the data, and much runs in interpreters of its own.
CONFIGURATION: Final = """\
[run]
branch = true
parallel = true
patch = _exit, subprocess
disable_warnings = no-data-collected, module-not-measured, couldnt-parse
data_file = {directory}/data
include =
    {modules}
"""


def root_modules() -> list[Path]:
    """Give the modules that run as root."""
    spec = importlib.util.spec_from_file_location("root_code", REPOSITORY / "tools" / "root_code.py")
    assert spec is not None
    assert spec.loader is not None
    gate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gate)
    return [REPOSITORY / "src" / "posthouse" / name for name in gate.counts(REPOSITORY)]


@pytest.fixture
def directory() -> Iterator[Path]:
    """Make a directory that every user may write to: runas's children and the daemons are others."""
    made = Path(tempfile.mkdtemp(prefix="coverage-"))
    made.chmod(0o1777)
    yield made
    shutil.rmtree(made)


def coverage(directory: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run coverage with our configuration."""
    foreign = ("COVERAGE_", "PYTEST_")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    command = [sys.executable, "-m", "coverage", argv[0], f"--rcfile={directory}/ini", *argv[1:]]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def test_all_of_root_s_code_is_covered(directory: Path) -> None:
    """100 % of the lines and of the branches, children of forks and users without rights included."""
    modules = "\n    ".join(map(str, root_modules()))
    (directory / "ini").write_text(CONFIGURATION.format(directory=directory, modules=modules))
    run = coverage(directory, "run", "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    combined = coverage(directory, "combine", "-q")
    assert combined.returncode == 0, combined.stdout + combined.stderr
    report = coverage(directory, "report", "--show-missing", "--fail-under=100", "--precision=2")
    print(report.stdout)
    assert report.returncode == 0, report.stdout + report.stderr
    measured = {path for path in root_modules() if path.relative_to(REPOSITORY).as_posix() in report.stdout}
    assert measured == set(root_modules())


def test_few_lines_are_left_out() -> None:
    """What cannot happen is marked in its line, with the reason."""
    found = [line for path in root_modules() for line in path.read_text().splitlines() if "pragma: no cover" in line]
    assert len(found) <= MAX_PRAGMAS
    assert all(re.search(r"pragma: no cover - .{10}", line) for line in found), found
