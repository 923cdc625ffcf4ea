"""A sample of a fuzz run, by the same program as `make fuzz-...`."""

import subprocess
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent


def run_sample(module: str, inputs: int) -> None:
    """Run tests.fuzz.MODULE with so many inputs; it must find nothing."""
    argv = [sys.executable, "-m", f"tests.fuzz.{module}", "--inputs", str(inputs), "--seed", "20261123"]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{inputs:,} inputs" in done.stdout
