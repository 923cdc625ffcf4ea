"""What runs as root is small, names itself in the documents, and uses the standard library only."""

import importlib.util
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent


def load_gate() -> types.ModuleType:
    """Import tools/root_code.py, which is a script."""
    spec = importlib.util.spec_from_file_location("root_code", REPOSITORY / "tools" / "root_code.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GATE: Final = load_gate()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy what the gate reads, and a module that does not run as root."""
    for path in GATE.root_modules(REPOSITORY / "src").values():
        copied = tmp_path / path.relative_to(REPOSITORY)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)
    other = tmp_path / "src" / "posthouse" / "config"
    other.mkdir()
    (other / "main_cf.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "docs").mkdir()
    shutil.copy(REPOSITORY / GATE.DOCUMENT, tmp_path / GATE.DOCUMENT)
    return tmp_path


def test_our_own_tree_passes() -> None:
    """At most 1,500 lines, the standard library only, and docs/security.md names each module with its lines."""
    assert GATE.problems(REPOSITORY) == []


def test_the_modules_are_those_that_run_as_root() -> None:
    """The three parts, root's beginning of the orders process, and what these use; no daemon, no configuration."""
    modules = GATE.root_modules(REPOSITORY / "src")
    expected = {"posthouse.master.herd", "posthouse.warm.image", "posthouse.runas.server", "posthouse.ipc.fixed"}
    assert expected <= modules.keys()
    forbidden = ("daemons", "config", "skeleton", "delivery", "protocol", "net", "tables", "queue", "rewriting")
    assert not [name for name in modules if name.split(".")[1:2] and name.split(".")[1] in forbidden]


def test_nothing_else_of_ours_is_loaded_by_the_three_parts() -> None:
    """What the interpreter really imports agrees with what the gate finds."""
    entries = (
        "import posthouse.master.main, posthouse.warm.image, posthouse.runas.server, posthouse.commands.orders.begin"
    )
    code = f"import sys; {entries}; print(*sorted(name for name in sys.modules if name.startswith('posthouse')))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    found = set(GATE.root_modules(REPOSITORY / "src"))
    assert loaded <= found
    assert {name for name in found - loaded if not name.endswith("__main__")} == set()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("runas/extra.py", "import msgspec\n", "imports msgspec"),
        ("runas/extra.py", "def late() -> None:\n    import lmdb\n", "imports lmdb"),
        ("master/extra.py", "x = 1\n" * 1500, "at most 1500"),
        ("master/extra.py", "from posthouse.config import main_cf\n", "config/main_cf.py has"),
    ],
)
def test_what_does_not_belong_there_is_found(tree: Path, name: str, text: str, says: str) -> None:
    """Each gate can fail."""
    (tree / "src" / "posthouse" / name).write_text(text, encoding="utf-8")
    assert [line for line in GATE.problems(tree) if says in line]


def test_lines_of_code_are_neither_blank_nor_comments_nor_docstrings() -> None:
    """A text over several lines is code, its docstring is not."""
    text = (
        '"""Doc.\n\nMore.\n"""\n\n# no\nx = (\n    1,  # yes\n)\n\n\n'
        'def f() -> str:\n    """Doc."""\n    return """a\nb"""\n'
    )
    assert GATE.code_lines(text) == 3 + 1 + 2


def test_the_table_is_brought_up_to_date(tree: Path) -> None:
    """--write corrects the counts; a module without a row stays a problem."""
    path = tree / "src" / "posthouse" / "runas" / "server.py"
    path.write_text(
        path.read_text(encoding="utf-8").replace("import os\n", ""), encoding="utf-8"
    )  # there may be no room
    assert len(GATE.problems(tree)) == 2
    GATE.write(tree)
    assert GATE.problems(tree) == []
