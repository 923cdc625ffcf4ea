"""Nothing is imported behind the walls: an audit hook watches a session from the first connection on."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_nothing_is_imported_behind_the_walls() -> None:
    """With tables of several types, international addresses and content, errors and a refused recipient."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.skeleton.late_imports"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
