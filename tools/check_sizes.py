"""Gates for the sizes of files and functions (CONTRIBUTING.md, "Sizes").

A function is counted with its decorators and docstring, a nested one is part of its parent as well. Exceptions are
listed here, each with its reason, so that adding one shows up in review.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FUNCTION_LIMIT_LINES: Final = 60
FILE_LIMIT_LINES: Final = 600
DAEMON_LIMIT_LINES: Final = 60  # daemons/<name>/daemon.py: docstring, DAEMON and start, nothing else
MASTER_LIMIT_LINES: Final = 1200  # all files of what stays root for the whole run

# "path" or "path:function" -> why it may be longer
EXCEPTIONS: Final[dict[str, str]] = {}


def functions(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Yield name, first line and number of lines of each function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield node.name, first, (node.end_lineno or node.lineno) - first + 1


def statement_lines(tree: ast.Module, text: str) -> int:
    """Lines of a module after its docstring: a daemon's manual page is not counted against its code."""
    first = tree.body[0] if tree.body else None
    manual = first.end_lineno or 0 if isinstance(first, ast.Expr) and ast.get_docstring(tree) is not None else 0
    return len(text.splitlines()) - manual


def problems_of_file(path: Path, name: str) -> Iterator[str]:
    """Yield a line for each thing in the file that is too long."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, filename=name)
    lines = len(text.splitlines())
    if lines > FILE_LIMIT_LINES and name not in EXCEPTIONS:
        yield f"{name}:1: file has {lines} lines, at most {FILE_LIMIT_LINES} are allowed: split it by idea"
    if path.name == "daemon.py" and path.parent.parent.name == "daemons":
        code = statement_lines(tree, text)
        if code > DAEMON_LIMIT_LINES and name not in EXCEPTIONS:
            yield f"{name}:1: {code} lines below the manual, at most {DAEMON_LIMIT_LINES}: move work to other modules"
    for function, first, length in functions(tree):
        if length > FUNCTION_LIMIT_LINES and f"{name}:{function}" not in EXCEPTIONS:
            yield f"{name}:{first}: {function} has {length} lines, at most {FUNCTION_LIMIT_LINES} are allowed"


def problems(root: Path) -> list[str]:
    """Every gate that the tree below root breaks."""
    found: list[str] = []
    master_lines = 0
    for part in ("src", "tests", "tools"):
        for path in sorted((root / part).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            found.extend(problems_of_file(path, name))
            if name.startswith("src/posthouse/master/"):
                master_lines += len(path.read_text(encoding="utf-8").splitlines())
    if master_lines > MASTER_LIMIT_LINES:
        found.append(f"src/posthouse/master: {master_lines} lines, at most {MASTER_LIMIT_LINES}: it runs as root")
    return found


def main() -> int:
    """Print what is too long; 1 when there is anything."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    found = problems(root)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
