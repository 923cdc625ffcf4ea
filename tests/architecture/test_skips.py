"""A test that drops out unseen is worse than one that fails: the rule about skips works."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
SKIPPED: Final = "import pytest\n\ndef test_a():\n    pytest.skip('no peer')\n\ndef test_b():\n    pass\n"
SHARED: Final = (
    "import pytest\n\n@pytest.mark.shared\ndef test_a():\n    pytest.skip('absent')\n\ndef test_b():\n    pass\n"
)


def run_pytest(tmp_path: Path, text: str, ci: str) -> int:
    """Run pytest with the rule's plugin on one file; return its exit status."""
    (tmp_path / "test_it.py").write_text(text, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = shared\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.support.skips",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=False).returncode


@pytest.mark.root
def test_skip_as_root_in_ci_fails_the_run(tmp_path: Path) -> None:
    """Everything passed but one test that skipped: exit status 1."""
    assert run_pytest(tmp_path, SKIPPED, ci="true") == 1


def test_skip_elsewhere_is_allowed(tmp_path: Path) -> None:
    """On a developer's machine a peer may be missing."""
    assert run_pytest(tmp_path, SKIPPED, ci="") == 0


def test_absent_shared_cases_are_allowed(tmp_path: Path) -> None:
    """A clone without the shared cases beside it may skip their tests, in CI too."""
    assert run_pytest(tmp_path, SHARED, ci="true") == 0
