"""Which modules a source file imports, wherever in it the import stands, and what else it reaches for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Source:
    """A Python file of the project and the module it makes."""

    module: str
    tree: ast.Module
    is_package: bool = False

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


@cache
def project() -> list[Source]:
    """Every Python file of the project."""
    files = [*ROOT.glob("*.py"), *(file for package in ROOT.glob("*/__init__.py") for file in package.parent.rglob("*.py"))]
    return [_read(file) for file in sorted(files)]


def imported(source: Source) -> Iterator[tuple[str, int]]:
    """The full names that a file imports, with the line: at the top, in functions, for type checking, by name at run time.

    `from a import b` gives both `a` and `a.b`, which may be a module.
    """
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module, names, level):
                base = _absolute(source, module, level)
                yield base, node.lineno
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in names)
            case ast.Call(ast.Name("__import__") | ast.Name("import_module") | ast.Attribute(attr="import_module"), [first, *_]):
                yield (str(first.value) if isinstance(first, ast.Constant) else "?"), node.lineno


def _absolute(source: Source, module: str | None, level: int) -> str:
    if level == 0:
        return module or ""
    package = source.module.split(".") if source.is_package else source.module.split(".")[:-1]
    return ".".join([*package[: len(package) - level + 1], *([module] if module else [])])


def _read(file: Path) -> Source:
    path = file.relative_to(ROOT)
    is_package = path.name == "__init__.py"
    parts = path.parent.parts if is_package else path.with_suffix("").parts
    return Source(".".join(parts), ast.parse(file.read_text()), is_package)
