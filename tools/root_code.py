"""What runs as root after start: which modules, how many lines of code, and that they use the standard library only.

The modules are found by following the imports of the packages and modules in ENTRIES, wherever in a file they stand.
warm imports the daemons by name, for its image; their code is called when a child has become another user, so it is
not counted, and neither is the orders process after `begin`. A line of code is one that is neither blank, nor a
comment, nor part of a docstring.

  tools/root_code.py            print what is wrong, exit status 1 when there is anything
  tools/root_code.py --table    print modules and lines
  tools/root_code.py --write    bring the line counts in docs/security.md up to date
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LIMIT_LINES: Final = 1500
PACKAGE: Final = "posthouse"
ENTRIES: Final = ("posthouse.master", "posthouse.warm", "posthouse.runas", "posthouse.commands.orders.begin")
DOCUMENT: Final = "docs/security.md"
ROW: Final = re.compile(r"^\| `([a-z_/]+\.py)` \| ([0-9]+) \| (.+) \|$", re.MULTILINE)
TOTAL: Final = re.compile(r"^\| together \| ([0-9]+) \|", re.MULTILINE)
_NOT_CODE: Final = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def module_path(source: Path, module: str) -> Path | None:
    """Find a module of ours; None: it is none."""
    base = source.joinpath(*module.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def imports(path: Path) -> Iterator[str]:
    """Yield every name that a file imports: modules, and what is taken of them, which may be modules too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def root_modules(source: Path) -> dict[str, Path]:
    """Find the modules that run as root, by name; source: the directory that holds the package."""
    found: dict[str, Path] = {}
    waiting = list(ENTRIES)
    for entry in ENTRIES:
        inside = source.joinpath(*entry.split("."))
        waiting += (f"{entry}.{path.stem}" for path in inside.glob("*.py") if path.stem != "__init__")
    while waiting:
        name = waiting.pop()
        path = module_path(source, name)
        if name not in found and path is not None:
            found[name] = path
            waiting += imports(path)
            waiting.append(name.rpartition(".")[0])
    return dict(sorted(found.items()))


def code_lines(text: str) -> int:
    """Count lines of code."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and ast.get_docstring(node) is not None:
                docstrings.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def counts(root: Path) -> dict[str, int]:
    """Give the lines of code of each file, by path below the package; empty ones are left out."""
    source = root / "src"
    lines = {
        path.relative_to(source / PACKAGE).as_posix(): code_lines(path.read_text(encoding="utf-8"))
        for path in root_modules(source).values()
    }
    return {name: count for name, count in lines.items() if count}


def foreign_imports(source: Path) -> Iterator[str]:
    """Yield what root's code imports that is neither ours nor of the standard library."""
    for name, path in root_modules(source).items():
        for imported in imports(path):
            package = imported.partition(".")[0]
            if package != PACKAGE and package not in sys.stdlib_module_names:
                yield f"{name} imports {imported}: what runs as root uses the standard library only"


def problems(root: Path) -> list[str]:
    """Every gate that the tree below root breaks."""
    lines = counts(root)
    found = sorted(set(foreign_imports(root / "src")))
    if sum(lines.values()) > LIMIT_LINES:
        found.append(f"{sum(lines.values())} lines of code run as root, at most {LIMIT_LINES} are allowed")
    text = (root / DOCUMENT).read_text(encoding="utf-8")
    stated = {name: int(count) for name, count, _ in ROW.findall(text)}
    for name in sorted(lines.keys() | stated.keys()):
        if lines.get(name) != stated.get(name):
            found.append(
                f"{DOCUMENT}: {name} has {lines.get(name)} lines, not {stated.get(name)}: tools/root_code.py --write"
            )
    if TOTAL.findall(text) != [str(sum(lines.values()))]:
        found.append(f"{DOCUMENT}: together it is {sum(lines.values())} lines: tools/root_code.py --write")
    return found


def write(root: Path) -> None:
    """Correct the line counts of the table. A new module needs its row first: somebody must say what it reads."""
    lines = counts(root)
    path = root / DOCUMENT
    text = path.read_text(encoding="utf-8")
    text = ROW.sub(lambda row: f"| `{row[1]}` | {lines[row[1]]} | {row[3]} |" if row[1] in lines else "", text)
    text = TOTAL.sub(f"| together | {sum(lines.values())} |", text)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """Do what the argument says."""
    root = Path(__file__).resolve().parent.parent
    if "--write" in sys.argv:
        write(root)
    if "--table" in sys.argv:
        lines = counts(root)
        for name, count in lines.items():
            print(f"{count:5} {name}")
        print(f"{sum(lines.values()):5} together")
        return 0
    found = problems(root)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
