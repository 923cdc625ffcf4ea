"""The lock names no registry, covers every dependency, and each library that runs has its line in the documents."""

import re
import tomllib
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
LOCK: Final = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")


def names(requirements: list[str]) -> set[str]:
    """Return the bare names of requirement lines."""
    return {re.split(r"[<>=!~;\s\[]", requirement, maxsplit=1)[0].lower() for requirement in requirements}


def project() -> dict[str, list[str]]:
    """Return the dependencies of pyproject.toml: "run" and "dev"."""
    table = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = table["optional-dependencies"]
    optional = [requirement for name, requirements in extras.items() if name != "dev" for requirement in requirements]
    return {"run": table["dependencies"], "dev": extras["dev"], "optional": optional}


def test_lock_holds_no_address() -> None:
    """Hashes decide what is installed, wherever it comes from."""
    assert not re.search(r"https?:|://|index-url|find-links|\bgit\+", LOCK)


def test_every_locked_package_has_hashes() -> None:
    """A name without a hash would switch checking off for pip."""
    for entry in re.split(r"\n(?=[a-z])", LOCK.partition("\n\n")[0]):
        if entry.startswith("#"):
            continue
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_every_dependency_is_locked() -> None:
    """`make lock` was run after pyproject.toml changed."""
    locked = set(re.findall(r"^([a-z0-9._-]+)==", LOCK, re.MULTILINE))
    wanted = project()
    assert names(wanted["run"]) | names(wanted["dev"]) | names(wanted["optional"]) <= locked


def test_every_library_that_runs_is_explained() -> None:
    """docs/dependencies.md says why each one is here."""
    text = (REPOSITORY / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    for name in names(project()["run"]) | names(project()["optional"]):
        assert f"| {name} |" in text, f"{name} has no row in docs/dependencies.md"
