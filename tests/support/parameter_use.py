"""Which parameters the code reads, found in its syntax trees: rows by name, and names that stand in the code as text.

A row counts as read where its name is loaded anywhere but in a declaration: in the modules of shared rows, in a tuple
called PARAMETERS or FAMILIES, in an import, or where values are only looked at (checks, explanations, the library).
Names are looked up in the imported module, so that an alias, `module.ROW` and a tuple of rows are found, too.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

import posthouse
from posthouse.config.parameter import Family, Parameter

SOURCE: Final = Path(posthouse.__file__).parent
NO_READERS: Final = re.compile(
    r"config/(check\w*|describe)\.py|config/checks/|commands/(check|explain|policies)/|api/", re.ASCII
)
SHARED_ROWS: Final = re.compile(r"config/parameters\w*\.py", re.ASCII)  # only functions in there read
DECLARATION: Final = re.compile(r"(\w+_)?(PARAMETERS|FAMILIES)|__all__", re.ASCII)
ASKED_BY_NAME: Final = frozenset({"text", "raw", "is_set"})  # methods of Settings
OTHER_OWNERS: Final = frozenset({"config"})  # objects with such methods that are no Settings: a table's own file


class Reading(NamedTuple):
    """One place where code asks for a parameter by its name; the pattern matches the name."""

    place: str
    pattern: str


class Module:
    """One source file, as text and as what it is when it is imported."""

    def __init__(self, name: str, text: bytes | str, namespace: ModuleType) -> None:
        self.name = name
        self.tree = ast.parse(text)
        self._module = namespace

    @classmethod
    def of_file(cls, path: Path) -> "Module":
        """Read a file of the package."""
        dotted = path.relative_to(SOURCE.parent).with_suffix("").as_posix().replace("/", ".")
        module = importlib.import_module(dotted.removesuffix(".__init__"))
        return cls(path.relative_to(SOURCE).as_posix(), path.read_bytes(), module)

    def nodes(self) -> Iterator[ast.AST]:
        """Give every node that is no part of a declaration."""
        is_shared = SHARED_ROWS.match(self.name)
        top = [node for node in self.tree.body if not is_shared or isinstance(node, ast.FunctionDef)]
        waiting: list[ast.AST] = [node for node in top if not _is_declaration(node)]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += [child for child in ast.iter_child_nodes(node) if not _is_declaration(child)]

    def value_of(self, node: ast.AST) -> object:
        """Find what a name or module.NAME stands for; None when that is known only at run time."""
        match node:
            case ast.Name(id=name):
                return getattr(self._module, name, None)
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                found = getattr(self._module, owner, None)
                return getattr(found, name, None) if isinstance(found, ModuleType) else None
        return None


def _is_declaration(node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return DECLARATION.fullmatch(name) is not None
        case ast.keyword(arg="parameters"):  # of a Daemon
            return True
    return False


def modules() -> list[Module]:
    """Give every module of the package, those that are run as a program left out."""
    return [Module.of_file(path) for path in sorted(SOURCE.rglob("*.py")) if path.name != "__main__.py"]


def _rows_in(value: object) -> Iterator[Parameter[object] | Family[object]]:
    match value:
        case Parameter() | Family():
            yield value
        case tuple() | list() | set() | frozenset():
            for each in value:
                yield from _rows_in(each)
        case dict():
            yield from _rows_in([*value.keys(), *value.values()])


def rows_read(module: Module) -> set[str]:
    """Name the rows that a module reads; of a family the part after the transport."""
    if NO_READERS.match(module.name):
        return set()
    found: set[str] = set()
    for node in module.nodes():
        if isinstance(node, ast.Name) and (DECLARATION.fullmatch(node.id) or isinstance(node.ctx, ast.Store)):
            continue
        if isinstance(node, ast.Attribute) and DECLARATION.fullmatch(node.attr):
            continue
        rows = _rows_in(module.value_of(node))
        found |= {row.template.name if isinstance(row, Family) else row.name for row in rows}
    return found


def names_asked(module: Module) -> Iterator[Reading]:
    """Give the names that a module asks its settings for as text, constants included."""
    for node in module.nodes():
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner))) if owner in OTHER_OWNERS:
                continue
            case ast.Call(func=ast.Attribute(attr=method) | ast.Name(id=method), args=[argument]) if (
                method in ASKED_BY_NAME
            ):
                pattern = _pattern(module, argument)
                if pattern:
                    yield Reading(f"{module.name}:{node.lineno}", pattern)


def _pattern(module: Module, node: ast.expr) -> str:
    """Give the pattern of the text that an expression stands for; "" when nothing of it is known."""
    match node:
        case ast.Constant(value=str(text)):
            return re.escape(text)
        case ast.JoinedStr(values=parts):
            known = [re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"\w+" for part in parts]
            return "".join(known)
    value = module.value_of(node)
    return re.escape(value) if isinstance(value, str) else ""


def rows_made(module: Module) -> Iterator[tuple[str, str]]:
    """Give place and name of each row that a module makes with a name that stands there as text."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Name() as kind, args=[ast.Constant(value=str(name)), *_]) if _is_row(module, kind):
                yield f"{module.name}:{node.lineno}", name


def _is_row(module: Module, kind: ast.Name) -> bool:
    found = module.value_of(kind)
    return isinstance(found, type) and issubclass(found, Parameter)


def values_dropped(modules: list[Module]) -> list[str]:
    """Name the fields that nobody ever looks at, of the classes in modules that look rows up: settings[ROW]."""
    loaded = {
        node.attr
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    found = []
    for module in modules:
        for kind in ast.walk(module.tree) if _looks_rows_up(module) else ():
            if isinstance(kind, ast.ClassDef):
                found += [f"{module.name}: {kind.name}.{field}" for field in _fields(kind) if field not in loaded]
    return found


def _looks_rows_up(module: Module) -> bool:
    for node in ast.walk(module.tree):
        match node:
            case ast.Subscript(value=ast.Name(id="settings")) | ast.Call(func=ast.Name(id="get")):
                return True
    return False


def _fields(kind: ast.ClassDef) -> Iterator[str]:
    """Give the fields: those declared in the class, and those that a method sets."""
    for node in kind.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
    for inner in ast.walk(kind):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
            yield inner.attr
