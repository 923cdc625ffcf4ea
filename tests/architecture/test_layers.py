"""The import contracts of pyproject.toml hold, and each one fails when it is violated."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
# contract, file to add, what stands in it
VIOLATIONS: Final = (
    ("layers", "util/bad.py", "import posthouse.protocol\n"),
    ("layers", "protocol/bad.py", "import posthouse.config\n"),
    ("layers", "tables/bad.py", "import posthouse.rewriting\n"),
    ("layers", "nowhere/__init__.py", ""),
    ("daemons", "daemons/smtpd/bad.py", "import posthouse.daemons.qmgr\n"),
    ("protocol", "protocol/bad.py", "import time\n"),
    ("protocol", "protocol/smtp/bad.py", "from asyncio import Queue\n"),
    ("root", "runas/bad.py", "import posthouse.protocol\n"),
    ("root", "master/bad.py", "import lmdb\n"),
    ("root", "warm/bad.py", "import posthouse.skeleton\n"),
    ("packages", "delivery/bad.py", "import apsw\n"),
    ("packages", "daemons/cleanup/bad.py", "import msgspec\n"),
)


def lint(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the tree below root."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache", *options],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the sources once; each case puts its file in and takes it out."""
    root = tmp_path_factory.mktemp("tree")
    shutil.copytree(REPOSITORY / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    return root


def test_contracts_hold() -> None:
    """Nobody imports what is not below him."""
    done = lint(REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("contract", "name", "text"), VIOLATIONS)
def test_violation_breaks_the_contract(copy: Path, contract: str, name: str, text: str) -> None:
    """A contract that cannot fail protects nothing."""
    bad = copy / "src" / "posthouse" / name
    made = not bad.parent.exists()
    bad.parent.mkdir(exist_ok=True)
    bad.write_text(text, encoding="utf-8")
    try:
        done = lint(copy, "--contract", contract)
    finally:
        shutil.rmtree(bad.parent) if made else bad.unlink()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout or "exhaustive" in done.stdout, done.stdout
