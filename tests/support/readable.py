"""This environment, cloned to where every user can read it: a work tree may lie in root's home.

No download: a virtual environment of the same interpreter, with the package and what it needs copied into it.
"""

import importlib.util
import shutil
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NEEDED: Final = ("posthouse", "apsw", "dns", "idna", "lmdb", "msgspec", "pcre2", "prometheus_client", "re2", "uvloop")


@contextmanager
def readable_python() -> Iterator[Path]:
    """Make the clone; give its interpreter."""
    directory = Path(tempfile.mkdtemp(prefix="readable-"))
    directory.chmod(0o755)
    try:
        venv.create(directory / "venv", symlinks=True, with_pip=False)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = directory / "venv" / "lib" / version / "site-packages"
        for name in NEEDED:
            _copy(name, packages)
        yield directory / "venv" / "bin" / "python"
    finally:
        shutil.rmtree(directory)


def _copy(name: str, packages: Path) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None, name
    if spec.submodule_search_locations:
        source = Path(next(iter(spec.submodule_search_locations)))
        shutil.copytree(source, packages / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        libraries = source.with_name(f"{name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, packages / libraries.name)
    else:
        assert spec.origin is not None, name
        shutil.copy(spec.origin, packages)
