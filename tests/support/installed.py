"""Posthouse as packaging/install.sh installs it: the wheel and the locked packages in an environment of their own.

It is made from what the image's build sees of the work tree, and nothing else. Every user may read it, which cannot be
said of a work tree.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
LIMIT_S: Final = 600  # downloads


def copy_context(target: Path) -> None:
    """Copy what the image's build context holds: the names that the ignore file takes out again."""
    ignore = REPOSITORY / "packaging" / "container" / "Dockerfile.dockerignore"
    names = [line[1:] for line in ignore.read_text(encoding="utf-8").splitlines() if line.startswith("!")]
    for name in names:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(REPOSITORY / name, target / name)


@pytest.fixture(scope="session")
def installed() -> Iterator[Path]:
    """Build the wheel and install it; give the environment's directory."""
    directory = Path(tempfile.mkdtemp(prefix="installed-"))
    directory.chmod(0o755)
    context = directory / "context"
    context.mkdir()
    environment = {**os.environ, "PYTHON": os.path.realpath(sys.executable), "PIP": f"{sys.executable} -m pip"}
    try:
        copy_context(context)
        done = subprocess.run(
            [str(context / "packaging" / "install.sh"), str(directory / "posthouse")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.rmtree(context)
        yield directory / "posthouse"
    finally:
        shutil.rmtree(directory)
