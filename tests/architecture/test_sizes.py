"""The size gates hold, and they see what is too long."""

import importlib.util
import types
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent


def load_gates() -> types.ModuleType:
    """Import tools/check_sizes.py, which is a script."""
    spec = importlib.util.spec_from_file_location("check_sizes", REPOSITORY / "tools" / "check_sizes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def problems(root: Path) -> list[str]:
    """Return what the gates say of a tree."""
    found: list[str] = load_gates().problems(root)
    return found


def make_tree(root: Path, name: str, text: str) -> Path:
    """Write a tree of one file."""
    path = root / "src" / "posthouse" / name
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return root


def test_our_own_tree_passes() -> None:
    """Nothing here is longer than allowed."""
    assert problems(REPOSITORY) == []


def test_function_of_60_lines_passes_and_of_61_fails(tmp_path: Path) -> None:
    """The docstring and decorators count."""
    for lines, count in ((60, 0), (61, 1)):
        body = "def long():\n" + "    x = 1\n" * (lines - 1)
        tree = make_tree(tmp_path / str(lines), "a.py", body)
        assert len(problems(tree)) == count


def test_file_of_601_lines_fails(tmp_path: Path) -> None:
    """One line too many is too many."""
    assert problems(make_tree(tmp_path / "a", "a.py", "x = 1\n" * 600)) == []
    assert len(problems(make_tree(tmp_path / "b", "a.py", "x = 1\n" * 601))) == 1


def test_daemon_counts_its_code_but_not_its_manual(tmp_path: Path) -> None:
    """daemon.py may have a long docstring, and 60 lines below it."""
    manual = '"""' + "x\n" * 200 + '"""\n'
    assert problems(make_tree(tmp_path / "a", "daemons/smtpd/daemon.py", manual + "x = 1\n" * 60)) == []
    assert len(problems(make_tree(tmp_path / "b", "daemons/smtpd/daemon.py", manual + "x = 1\n" * 61))) == 1


def test_master_as_a_whole_is_limited(tmp_path: Path) -> None:
    """What runs as root stays readable in an hour."""
    tree = make_tree(tmp_path, "master/a.py", "x = 1\n" * 590)
    for name in ("b.py", "c.py"):
        (tree / "src/posthouse/master" / name).write_text("x = 1\n" * 400, encoding="utf-8")
    assert len(problems(tree)) == 1
