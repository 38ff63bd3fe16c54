"""The modules of both trees whose names others may import, as far as a change can concern them."""

import re
from collections.abc import Mapping

from ...run_generated_tests.layout import import_roots, module_of, source_files
from ...run_generated_tests.suite import is_test_file
from ..pull.pull import Pull, Tree
from .surface import Source

_MOST_MODULES = 300
_LARGEST = 1_000_000
_WORD = re.compile(r"\w+")
_KINDS = (".py", ".pyi")


def both_sides(pull: Pull) -> tuple[Mapping[str, Source], Mapping[str, Source]]:
    """The modules of base and head by their names; nothing if the pull request touches none.

    Of a large project only those that change, what they import, and the packages and modules that
    could pass their names on.
    """
    paths = {change.path for change in pull.changes} | {change.old_path for change in pull.changes}
    if not any(path.endswith(_KINDS) for path in paths):
        return {}, {}
    before, after = _sources(pull.base), _sources(pull.head)
    names = before.keys() | after.keys()
    if len(names) > _MOST_MODULES:
        changed = {s.name for side in (before, after) for s in side.values() if s.path in paths}
        names = _near(changed, before) | _near(changed, after)
    return _only(before, names), _only(after, names)


def _only(sources: Mapping[str, Source], names: set[str]) -> Mapping[str, Source]:
    return {name: source for name, source in sources.items() if name in names}


def _near(changed: set[str], sources: Mapping[str, Source]) -> set[str]:
    packages = {name for name, one in sources.items() if "__init__." in one.path}
    found = {name for name in packages if any(one.startswith(f"{name}.") for one in changed)}
    found |= changed & sources.keys()
    words = {word for name in found for word in _imported(sources[name].text)}
    ends = {name.rpartition(".")[2] for name in changed}
    found |= {name for name in sources if name.rpartition(".")[2] in words}
    return found | {name for name in packages if ends & _imported(sources[name].text)}


def _imported(text: str) -> set[str]:
    """Words that are a module's name in an import, or could be."""
    lines = (line for line in text.splitlines() if "import" in line or "from" in line)
    return {word for line in lines for word in _WORD.findall(line)}


def _sources(tree: Tree) -> Mapping[str, Source]:
    texts = {
        path: content.decode("utf-8", "replace")
        for path, content in tree.files.items()
        if path.endswith(_KINDS) and len(content) <= _LARGEST
    }
    scripts = {path: text for path, text in texts.items() if path.endswith(".py")}
    tests = [path for path in scripts if is_test_file(path)]
    modules = source_files(scripts, tests)
    roots = import_roots(scripts, modules, tests, accept_src="src/__init__.py" in scripts)
    stubs = [path for path in texts if path.endswith(".pyi") and path[:-1] not in scripts]
    named = [module_of(path, roots) for path in modules]
    named += [module_of(path.removesuffix("i"), roots) for path in stubs]
    paths = [*modules, *stubs]
    packaged = any(path.endswith("__init__.py") for path in modules)
    return {
        module.name: Source(path, module.name, texts[path])
        for path, module in zip(paths, named, strict=True)
        if _is_importable(module.name) and not (packaged and _is_loose(path))
    }


def _is_importable(name: str) -> bool:
    return bool(name) and all(part.isidentifier() for part in name.split("."))


def _is_loose(path: str) -> bool:
    """A script in the project's own folder, where the project is a package."""
    return "/" not in path
