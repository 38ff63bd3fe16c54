"""Which files of a tree import which, as far as it is written down."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...run_generated_tests.suite import every_statement, parsed
from .trees import View, text

Written = tuple[int, str]
"""Level (0 for an absolute import) and dotted name."""
# Of documents, whose examples are tests.
_EXAMPLES = re.compile(r"^[ \t]*>>> ((?:import|from) [^(;\n]+)$", re.MULTILINE)
# Of a file that makes up at run time what it imports: plugins, drivers, commands, which mostly lie beside it.
_ANYTHING_BESIDE: Written = (1, "*")


class Parsed:
    """What files import, each text read once however many trees have it."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Written, ...]] = {}

    def imports(self, content: bytes) -> tuple[Written, ...]:
        """The imports of a file, wherever in it they stand; none of one that is no Python."""
        if content not in self._known:
            self._known[content] = tuple(dict.fromkeys(_written(content)))
        return self._known[content]


def _written(content: bytes) -> Iterator[Written]:
    tree = parsed(text(content)) or parsed("\n".join(_EXAMPLES.findall(text(content))))
    for node in every_statement(tree) if tree is not None else ():
        if isinstance(node, ast.Import):
            yield from ((0, item.name) for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            yield node.level, start
            names = (item.name for item in node.names)
            yield from ((node.level, f"{start}.{name}".lstrip(".")) for name in names)
    if tree is not None and (b"import_module" in content or b"__import__" in content):
        yield from filter(None, map(_called, ast.walk(tree)))


def _called(node: ast.AST) -> Written | None:
    """The import by a call, if it is one."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name not in {"import_module", "__import__"}:
        return None
    wanted = node.args[0]
    if not isinstance(wanted, ast.Constant) or not isinstance(wanted.value, str):
        return _ANYTHING_BESIDE
    module = wanted.value.lstrip(".")
    return len(wanted.value) - len(module), module


class Importers:
    """The files of a view by what they import; a test file also depends on the conftest files above it
    and on the packages that it is in.
    """

    def __init__(self, view: View, parsed: Parsed) -> None:
        self._files = view.files
        self._roots = view.roots
        self._by: dict[str, set[str]] = {}
        texts = (path for path in view.tests if not path.endswith(".py"))
        for path in (*(path for path in view.files if path.endswith(".py")), *texts):
            for other in self._imported(path, parsed):
                self._by.setdefault(other, set()).add(path)
        for path in view.tests:
            for above in (*conftests_above(path, view.files), *self._packages_of(path)):
                self._by.setdefault(above, set()).add(path)

    def of(self, paths: Iterable[str]) -> set[str]:
        """Those that import one of these, over however many others; and these themselves."""
        found = set(paths)
        left = list(found)
        while left:
            fresh = self._by.get(left.pop(), set()) - found
            found |= fresh
            left += fresh
        return found

    def _imported(self, path: str, parsed: Parsed) -> Iterator[str]:
        folders = path.split("/")[:-1]
        absolute = [*self._roots, self._first_without_init(folders), ""]
        for level, name in parsed.imports(self._files[path]):
            if level > len(folders) + 1:
                continue
            inside = "/".join(folders[: len(folders) - level + 1])
            if (level, name) == _ANYTHING_BESIDE:
                yield from self._below(inside)
                continue
            for start in dict.fromkeys(absolute if not level else [inside]):
                yield from self._modules(start, name.split(".") if name else [])

    def _below(self, folder: str) -> Iterator[str]:
        """All Python files of a folder and those in it."""
        start = f"{folder}/" if folder else ""
        return (path for path in self._files if path.startswith(start) and path.endswith(".py"))

    def _first_without_init(self, folders: Sequence[str]) -> str:
        """The folder that pytest puts on the path for a test file."""
        at = len(folders)
        while at and "/".join([*folders[:at], "__init__.py"]) in self._files:
            at -= 1
        return "/".join(folders[:at])

    def _packages_of(self, path: str) -> Iterator[str]:
        """What is imported before the file, as it lies in packages."""
        folder = path.rpartition("/")[0]
        while (init := f"{folder}/__init__.py") in self._files:
            yield init
            folder = folder.rpartition("/")[0]

    def _modules(self, start: str, parts: Sequence[str]) -> Iterator[str]:
        """The files that run when this is imported."""
        for count in range(len(parts) + 1):
            base = "/".join([*([start] if start else []), *parts[:count]])
            for path in (f"{base}.py", f"{base}/__init__.py"):
                if base and path in self._files:
                    yield path


def conftests_above(path: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """The conftest files that hold for a test file."""
    folders = path.split("/")[:-1]
    for count in range(len(folders) + 1):
        conftest = "/".join([*folders[:count], "conftest.py"])
        if conftest in files:
            yield conftest


def mentions(content: bytes, words: Iterable[str]) -> bool:
    """Whether one of these words stands in a file."""
    said = text(content)
    return any(word in said for word in words)
