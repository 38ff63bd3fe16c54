"""Where imports begin in a project, and imports of tests that begin in the wrong place."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .project import Module
from .suite import every_statement, parsed

_NOT_SOURCE = {
    "docs",
    "doc",
    "examples",
    "example",
    "benchmarks",
    "scripts",
    "tests",
    "test",
    "testing",
}
_NOT_MODULES = {"setup.py", "conftest.py", "noxfile.py", "tasks.py", "fabfile.py", "manage.py"}


@dataclass(frozen=True, slots=True)
class WrongImport:
    """An import whose first part is no package here; `meant` is what it most likely should be."""

    file: str
    line: int
    written: str
    meant: str


def source_files(paths: Iterable[str], tests: Iterable[str]) -> list[str]:
    """The modules of a project that are not tests, nor tools of its developers."""
    given = set(tests)
    return [
        path for path in paths if path.endswith(".py") and path not in given and _is_source(path)
    ]


def _is_source(path: str) -> bool:
    *folders, name = path.split("/")
    return name not in _NOT_MODULES and not (folders and folders[0] in _NOT_SOURCE)


def import_roots(
    texts: Mapping[str, str], sources: Sequence[str], tests: Sequence[str], *, accept_src: bool
) -> tuple[str, ...]:
    """Folders that `sys.path` must name. `accept_src`: that tests import `src.x` is right here."""
    found = dict.fromkeys(_package_root(path, texts) for path in sources)
    readers = [path for path in (*sources, *tests) if path in texts]
    written = dict.fromkeys(name for path in readers for name, _ in imports(texts[path]))
    names = [name.split(".") for name in written if accept_src or name.partition(".")[0] != "src"]
    for parts in names:
        if any(_resolves(parts, root, texts) for root in found):
            continue
        if _is_folder(parts[0], texts):
            # `pkg.mod`, where `pkg` has no __init__.py: it begins in the project itself.
            found[""] = None
        else:
            found |= dict.fromkeys(_namespaces(parts, list(found), texts))
    return tuple(root for root in found if not _is_inner(root, found, names, texts)) or ("",)


def _namespaces(
    parts: Sequence[str], roots: Iterable[str], texts: Mapping[str, str]
) -> Iterator[str]:
    """Folders above a root where an import resolves: the folders between have no __init__.py."""
    for root in roots:
        above = root.split("/")
        for at, name in enumerate(above):
            if name == parts[0] and _resolves(parts, "/".join(above[:at]), texts):
                yield "/".join(above[:at])


def _is_inner(
    root: str, roots: Iterable[str], names: Sequence[Sequence[str]], texts: Mapping[str, str]
) -> bool:
    """Whether a folder is a package without __init__.py that is imported by its name, and not where imports
    begin as well: what lies in it may be called like a module of Python.
    """
    others = [other for other in roots if other != root]
    around = [
        f"{other}/" if other else ""
        for other in others
        if root.startswith(f"{other}/") or not other
    ]
    inner = [root[len(start) :].split("/") for start in around]
    if not any(list(parts[: len(each)]) == each for each in inner for parts in names):
        return False
    inside = (path[len(root) + 1 :] for path in texts if path.startswith(f"{root}/"))
    own = {path.split("/")[0].removesuffix(".py") for path in inside} - sys.stdlib_module_names
    return not any(
        parts[0] in own
        and _resolves(parts, root, texts)
        and not any(_resolves(parts, other, texts) for other in others)
        for parts in names
    )


def _package_root(path: str, texts: Mapping[str, str]) -> str:
    folder = path.rpartition("/")[0]
    while folder and f"{folder}/__init__.py" in texts:
        folder = folder.rpartition("/")[0]
    return folder


def _is_folder(name: str, texts: Mapping[str, str]) -> bool:
    return any(path.startswith(f"{name}/") for path in texts)


def module_of(path: str, roots: Sequence[str]) -> Module:
    """A source file with the name that it is imported by."""
    fitting = [root for root in roots if not root or path.startswith(f"{root}/")]
    root = max(fitting, key=len, default="")
    inside = path[len(root) + 1 :] if root else path
    name = inside.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    return Module(path, name)


def wrong_imports(
    texts: Mapping[str, str], tests: Sequence[str], roots: Sequence[str], modules: Sequence[Module]
) -> Iterator[WrongImport]:
    """Imports of tests with a prefix that is no package, like `src.`."""
    known = {module.name for module in modules}
    tops = {name.partition(".")[0] for name in known}
    for path in tests:
        if not path.endswith(".py"):
            continue
        for name, line in imports(texts[path]):
            parts = name.split(".")
            if parts[0] in sys.stdlib_module_names or parts[0] in tops:
                continue
            if any(_resolves(parts[:1], root, texts) for root in roots):
                continue
            meant = _without_prefix(parts, known)
            if meant:
                yield WrongImport(path, line, name, meant)


def _without_prefix(parts: Sequence[str], known: set[str]) -> str:
    for cut in range(1, len(parts)):
        rest = ".".join(parts[cut:])
        if rest in known:
            return rest
    return ""


def _resolves(parts: Sequence[str], root: str, texts: Mapping[str, str]) -> bool:
    base = "/".join([*([root] if root else []), *parts])
    return f"{base}.py" in texts or f"{base}/__init__.py" in texts or _is_folder(base, texts)


def imports(text: str) -> Iterator[tuple[str, int]]:
    """Absolute imports of a file, dotted, with their lines. `from a import b` gives `a` and `a.b`."""
    tree = parsed(text)
    for node in every_statement(tree) if tree is not None else ():
        if isinstance(node, ast.Import):
            yield from ((item.name, node.lineno) for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{item.name}", node.lineno) for item in node.names)
