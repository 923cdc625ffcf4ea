"""The tools that check policies and manual pages, unpacked below var/policy by tools/setup_policy_tools.sh."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
PLACE: Final = REPOSITORY / "var" / "policy"
DEVELOPMENT: Final = PLACE / "usr/share/selinux/devel"
PYTHON: Final = "/usr/bin/python3"  # that setools is built for
TIME_LIMIT_S: Final = 300


def need_tools() -> None:
    """Skip where they are not."""
    if not (PLACE / "complete").exists():
        pytest.skip("the tools that check policies are not here: make peers")


def tool(name: str) -> str:
    """Return the path of an unpacked program."""
    places = (PLACE / place / name for place in ("usr/bin", "sbin", "usr/sbin", "usr/libexec/selinux/hll"))
    return next(str(path) for path in places if path.is_file())


def run(*argv: str | Path, directory: Path | None = None, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run one of them, with its own libraries; whatever it exits with."""
    libraries = [str(path) for path in PLACE.glob("usr/lib/*-linux-gnu*")]
    environment = {
        "PATH": f"{PLACE}/usr/bin:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": ":".join(libraries),
        "PYTHONPATH": str(PLACE / "usr/lib/python3/dist-packages"),
        "LANG": "C.UTF-8",
    }
    words = [str(word) for word in argv]
    return subprocess.run(
        words,
        cwd=directory,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )


def build_module(directory: Path, name: str) -> Path:
    """Compile an SELinux module as its administrator would, and convert it to CIL. Raises AssertionError."""
    makefile = (DEVELOPMENT / "Makefile").read_text(encoding="utf-8")
    (directory / "Makefile").write_text(
        makefile.replace("/usr/share/selinux", str(DEVELOPMENT.parent)), encoding="utf-8"
    )
    own = [f"HEADERDIR={DEVELOPMENT}/include", f"SHAREDIR={DEVELOPMENT.parent}", "NAME=default", "TYPE=mcs"]
    programs = [f"CHECKMODULE={tool('checkmodule')}", f"SEMOD_PKG={tool('semodule_package')}"]
    made = run("make", "-s", *own, *programs, f"{name}.pp", directory=directory)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "warning" not in (made.stdout + made.stderr).lower(), made.stdout + made.stderr
    converted = run(tool("pp"), f"{name}.pp", f"{name}.cil", directory=directory)
    assert converted.returncode == 0, converted.stderr
    return directory / f"{name}.cil"


def link_policy(directory: Path, *modules: Path) -> subprocess.CompletedProcess[str]:
    """Compile Debian's whole policy with these modules, neverallow rules on, to directory/policy."""
    debian = sorted((PLACE / "cil").glob("*.cil"))
    return run(
        tool("secilc"), "-M", "true", "-o", directory / "policy", "-f", directory / "contexts", *debian, *modules
    )
