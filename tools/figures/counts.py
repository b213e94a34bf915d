"""The figures that are counted in the source: no module of it is imported."""

from __future__ import annotations

import ast
import io
import re
import statistics
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "tfs_workflow"
GENERATED = re.compile(r"_(pb2|pb2_grpc|ffi)\.py$")
MOCKS = re.compile(r"\bmonkeypatch\.\w+\(|\b(Magic|Async)?Mock\(|\bpatch(\.\w+)?\(")
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file, read and parsed."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax."""
        return ast.parse(self.text)

    @cached_property
    def docstring_lines(self) -> set[int]:
        """The lines of its docstrings."""
        return set().union(*(lines_of_docstring(node) for node in ast.walk(self.tree)))

    @cached_property
    def code_lines(self) -> set[int]:
        """Lines that hold code: not blank, not only a comment, not a docstring."""
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in _LAYOUT:
                lines.update(range(token.start[0], token.end[0] + 1))
        return lines - self.docstring_lines

    @cached_property
    def comment_lines(self) -> int:
        """Comments, those behind code too."""
        found = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return sum(token.type == tokenize.COMMENT for token in found)

    def functions(self) -> Iterator[Function]:
        """Its functions and methods, nested ones too."""
        yield from (n for n in ast.walk(self.tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))

    def top(self, kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> list[str]:
        """The names of the module-level definitions of a kind."""
        return [node.name for node in self.tree.body if isinstance(node, kind)]  # type: ignore[attr-defined]

    def imports(self) -> int:
        """Import statements at the top."""
        return sum(isinstance(node, (ast.Import, ast.ImportFrom)) for node in self.tree.body)


def counts(checkout: Path) -> dict[str, str]:
    """The counted figures of a checkout by their names, as texts for a table."""
    modules, tests = read(checkout / PACKAGE), read(checkout / "tests")
    code = total(modules)
    return {
        "modules": str(len(modules)),
        "code lines": str(code),
        **_sizes(modules),
        **_words(modules, code),
        **_names(modules),
        **_folders(modules, checkout / PACKAGE),
        "imports a module (median/p90/max)": spread([m.imports() for m in modules]),
        "test/code": f"{total(tests) / code:.2f}",
        "mocks per 1000 test lines": f"{1000 * sum(len(MOCKS.findall(m.text)) for m in tests) / total(tests):.1f}",
    }


def read(directory: Path) -> list[Module]:
    """Every module below a directory, without what a tool has generated."""
    paths = sorted(path for path in directory.rglob("*.py") if not GENERATED.search(path.name))
    return [Module(path, path.read_text()) for path in paths]


def total(modules: Iterable[Module]) -> int:
    """Lines of code."""
    return sum(len(module.code_lines) for module in modules)


def spread(values: Sequence[int]) -> str:
    """Median, ninth decile and maximum."""
    ordered = sorted(values) or [0]
    return f"{statistics.median(ordered):.0f}/{ordered[int(0.9 * len(ordered))]}/{ordered[-1]}"


def lines_of_docstring(node: ast.AST) -> set[int]:
    """The lines of a node's own docstring."""
    if not isinstance(node, _DOCUMENTED) or ast.get_docstring(node, clean=False) is None:
        return set()
    first = node.body[0]
    return set(range(first.lineno, (first.end_lineno or first.lineno) + 1))


def function_lines(function: Function) -> int:
    """Its lines from `def` on, without its docstring."""
    return (function.end_lineno or function.lineno) - function.lineno + 1 - len(lines_of_docstring(function))


def nesting(node: ast.AST, depth: int = 0) -> int:
    """How deep its blocks lie in each other; an `elif` is as deep as its `if`, a nested function counts for itself."""
    deepest = depth
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, _DOCUMENTED):
                is_elif = isinstance(node, ast.If) and name == "orelse" and isinstance(child, ast.If)
                deepest = max(deepest, nesting(child, depth + (isinstance(child, _BLOCKS) and not is_elif)))
    return deepest


def _sizes(modules: list[Module]) -> dict[str, str]:
    functions = [function for module in modules for function in module.functions()]
    return {
        "lines a module (median/p90/max)": spread([len(m.text.splitlines()) for m in modules]),
        "lines a function (median/p90/max)": spread([function_lines(f) for f in functions]),
        "nesting (median/p90/max)": spread([nesting(f) for f in functions]),
    }


def _words(modules: list[Module], code: int) -> dict[str, str]:
    found = set().union(*(identifiers(module.tree) for module in modules))
    return {
        "comment lines per 100": f"{100 * sum(m.comment_lines for m in modules) / code:.1f}",
        "docstring lines per 100": f"{100 * sum(len(m.docstring_lines) for m in modules) / code:.1f}",
        "length of an identifier": f"{statistics.mean(map(len, found)):.1f}",
    }


def identifiers(tree: ast.Module) -> set[str]:
    """The names that the module binds."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def _names(modules: list[Module]) -> dict[str, str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = Counter(name for module in modules for name in set(module.top(kinds)))
    shared = sum(times for times in functions.values() if times > 1)
    classes = Counter(name for module in modules for name in module.top(ast.ClassDef))
    files = Counter(module.path.name for module in modules if not module.path.name.startswith("__"))
    return {
        "functions named twice": f"{100 * shared / max(1, functions.total()):.0f} %",
        "class names given twice": _repeated(classes),
        "file names given twice": _repeated(files),
    }


def _repeated(names: Counter[str]) -> str:
    found = sorted(name for name, times in names.items() if times > 1)
    return f"{len(found)} ({', '.join(found)})" if found else "0"


def _folders(modules: list[Module], root: Path) -> dict[str, str]:
    folders = Counter(module.path.parent for module in modules)
    return {
        "files in a folder, at most": str(max(folders.values(), default=0)),
        "files in the root": str(folders[root]),
        "folders": str(len(folders)),
    }
