"""What systemd-analyze(1) says of a unit: from 0, nothing is exposed, to 10, everything is."""

import os
import re
import shutil
import subprocess  # systemd's own program
import tempfile
from typing import Final

_SCORE: Final = re.compile(r"Overall exposure level for \S+: ([0-9.]+)", re.ASCII)
_TIME_LIMIT_S: Final = 30


def exposure(unit: str) -> str:
    """Give the score of a unit's text, such as "3.6"; "" where systemd-analyze is not, or says nothing."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return ""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "posthouse.service")
        with open(path, "w", encoding="utf-8") as file:
            file.write(unit)
        argv = [program, "security", "--offline=yes", "--no-pager", path]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIME_LIMIT_S, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired):
            return ""
    found = _SCORE.search(done.stdout)
    return found[1] if found else ""
