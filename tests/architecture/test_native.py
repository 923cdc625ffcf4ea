"""What the native build compiles: all of it can be, and no class is left outside that builds upon a compiled one."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
SOURCES: Final = REPOSITORY / "src"
NAMES: Final = REPOSITORY / "packaging" / "native.txt"


def compiled() -> set[str]:
    """Read the list: paths below src/."""
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def classes(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Give each class with the names of its bases."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
            yield node.name, [base.id for base in bases if isinstance(base, ast.Name)]


def imported(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Give the names that a module takes from others: (module, name there)."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: (node.module or "", alias.name) for node in found for alias in node.names}


def test_everything_in_the_list_can_be_compiled() -> None:
    """Types and constructs; the C compiler itself has nothing to say."""
    command = [sys.executable, str(REPOSITORY / "packaging" / "native.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(f"{len(compiled())} modules can be compiled\n")


def test_subclasses_of_compiled_classes_are_compiled() -> None:
    """Python refuses others when they are made: "interpreted classes cannot inherit from compiled"."""
    names = compiled()
    trees = {str(path.relative_to(SOURCES)): ast.parse(path.read_bytes()) for path in SOURCES.rglob("*.py")}
    known = {(name[:-3].replace("/", "."), which) for name in names for which, _ in classes(trees[name])}
    outside = []
    for name, tree in trees.items():
        if name not in names:
            taken = imported(tree)
            outside += [
                f"{name}: {which}({base})"
                for which, bases in classes(tree)
                for base in bases
                if taken.get(base) in known
            ]
    assert not outside, f"add these modules to {NAMES.name}"


def test_no_constant_is_a_tuple_that_begins_with_a_float() -> None:
    """mypyc 2.4 takes each for one that was never set, when it is used: Final[tuple[float, ...]] says what it is."""
    for name in compiled():
        for node in ast.parse((SOURCES / name).read_bytes()).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Tuple) and node.value.elts:
                first = node.value.elts[0]
                is_float = isinstance(first, ast.Constant) and isinstance(first.value, float)
                assert not (is_float and ast.unparse(node.annotation) == "Final"), f"{name}: {ast.unparse(node)}"


def test_records_are_not_compiled() -> None:
    """A msgspec.Struct is made from the annotations of its class, which a compiled one does not have."""
    for name in compiled():
        for which, bases in classes(ast.parse((SOURCES / name).read_bytes())):
            assert not {"Record", "Request", "Struct"} & set(bases), f"{name}: {which}"


def test_nothing_that_runs_as_root_is_compiled() -> None:
    """It stays what is read in docs/security.md, line by line."""
    command = [sys.executable, str(REPOSITORY / "tools" / "root_code.py"), "--table"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    as_root = {f"posthouse/{line.split()[1]}" for line in done.stdout.splitlines()}
    assert "posthouse/master/main.py" in as_root
    assert not as_root & compiled()
