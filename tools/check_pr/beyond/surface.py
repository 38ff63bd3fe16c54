"""Public names of a tree, read from its text: nothing of it is imported or run.

`griffe` parses the modules and knows what a name that is imported from elsewhere stands for. Its own search for
breaking changes is not used: to it names that an `__init__` imports are private, and it does not tell additions.
"""

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import griffe

# Modules that developers run, or whose names nobody imports.
_NO_API = {"tests", "test", "conftest", "__main__", "versioneer", "_version"}
_MACHINERY = {"TypeVar", "ParamSpec", "TypeVarTuple", "getLogger", "get_logger"}


@dataclass(frozen=True, slots=True)
class Source:
    """A module: its file, relative to the project, the name it is imported by, and its text."""

    path: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Named:
    """Something with a name. `thing` is None where it comes from outside of the project, or is made when
    somebody asks for it. `path` and `line` say where it is written.
    """

    name: str
    thing: griffe.Object | None
    path: str = ""
    line: int = 0


class _Variants(griffe.Extension):
    """Keeps every definition of a name: which of them a condition chooses is not known here."""

    def __init__(self) -> None:
        self.of: dict[str, list[griffe.Function]] = {}

    def on_function_instance(self, *, func: griffe.Function, **kwargs: Any) -> None:
        if not any("overload" in str(one.value) for one in func.decorators):
            self.of.setdefault(func.path, []).append(func)


class Surface:
    """What a tree offers to those who import it. `unread` are modules that are no Python to this one."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.unread: set[str] = set()
        self._sources = sources
        self._modules: dict[str, griffe.Module] = {}
        self._variants = _Variants()
        self._extensions = griffe.Extensions(self._variants, griffe.DataclassesExtension())
        self._collection = griffe.ModulesCollection()
        self._lines = griffe.LinesCollection()
        for name in sorted(sources, key=lambda one: (one.count("."), one)):
            self._read(sources[name])
        self._connect()

    def _read(self, source: Source) -> None:
        parent_name, _, own = source.name.rpartition(".")
        parent = self._modules.get(parent_name) or self._namespace(parent_name)
        try:
            module = griffe.visit(
                own,
                PurePosixPath(source.path),  # pyright: ignore[reportArgumentType] - it is only shown
                source.text,
                extensions=self._extensions,
                parent=parent,
                lines_collection=self._lines,
                modules_collection=self._collection,
            )
        except Exception:  # noqa: BLE001 - whatever text can make a parser raise
            self.unread.add(source.name)
            return
        self._put(source.name, module, parent)

    def _namespace(self, name: str) -> griffe.Module | None:
        """A folder without an `__init__.py`."""
        if not name:
            return None
        outer, _, own = name.rpartition(".")
        parent = self._modules.get(outer) or self._namespace(outer)
        module = griffe.Module(
            own, filepath=None, parent=parent, modules_collection=self._collection
        )
        self._put(name, module, parent)
        return module

    def _put(self, name: str, module: griffe.Module, parent: griffe.Module | None) -> None:
        self._modules[name] = module
        (parent or self._collection).set_member(module.name, module)

    def _connect(self) -> None:
        """Names that stand for others, as far as they do so inside of the tree."""
        nowhere = ("/nonexistent",)
        loader: Any = griffe.GriffeLoader(
            extensions=self._extensions,
            search_paths=nowhere,
            modules_collection=self._collection,
            allow_inspection=False,
            store_source=False,
        )
        for module in list(self._collection.members.values()):
            for step in (
                lambda m=module: loader.expand_exports(m),
                lambda m=module: loader.expand_wildcards(m, external=False),
                lambda m=module: self._extensions.call("on_package", pkg=m, loader=loader),
            ):
                try:
                    step()
                except Exception:  # noqa: BLE001 - a tree can be knotted in any way; what is known stays
                    self.unread.add(module.path)

    def public(self) -> Mapping[str, Named]:
        """Public modules, and the public names in them, by the path that they are imported by."""
        found: dict[str, Named] = {}
        for name, module in self._modules.items():
            if not all(_is_public(part) and part not in _NO_API for part in name.split(".")):
                continue
            if name in self._sources:
                found[name] = Named(name, module, self._sources[name].path, 1)
            for own, member in _public_members(module, self._collection.members):
                path = f"{name}.{own}"
                if path not in self._modules:
                    found[path] = self._member(path, member)
        return found

    def find(self, path: str) -> Named | None:
        """What a path leads to, however it gets there; None if nothing is known to."""
        if path in self._modules:
            return Named(path, self._modules[path], self._path(path), 1)
        module, _, name = path.rpartition(".")
        if {path, module} & self.unread:
            return Named(path, None)
        home = self._modules.get(module)
        if home is None:
            return None
        member = home.members.get(name)
        if member is not None and member.runtime:
            return self._member(path, member)
        if any("*" in one for one in home.members):
            return Named(path, None)  # it imports all names of something that is not in the tree
        if "__getattr__" in home.members and name in self._strings(module):
            line = home.members["__getattr__"].lineno or 0
            return Named(path, None, self._path(module), line)
        return None

    def variants(self, function: griffe.Function) -> list[griffe.Function]:
        """All definitions of a function, of which conditions choose one."""
        found = self._variants.of.get(function.path, [])
        return found if function in found else [function]

    def named(self, path: str, thing: griffe.Object) -> Named:
        """Something in the tree under a name that leads to it."""
        module = thing if isinstance(thing, griffe.Module) else thing.module
        return Named(path, thing, self._path(module.path), thing.lineno or 1)

    def _member(self, path: str, member: griffe.Object | griffe.Alias) -> Named:
        if isinstance(member, griffe.Object):
            return self.named(path, member)
        home = path.rpartition(".")[0]
        try:
            thing = member.final_target
        except Exception:  # noqa: BLE001 - it leaves the tree, or leads back to itself
            return Named(path, None, self._path(home), member.alias_lineno or 0)
        return self.named(path, thing)

    def _path(self, module: str) -> str:
        return self._sources[module].path if module in self._sources else ""

    def _strings(self, module: str) -> set[str]:
        tree = ast.parse(self._sources[module].text)
        constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        return {value for value in constants if isinstance(value, str)}


def _public_members(
    module: griffe.Module, packages: Collection[str]
) -> Iterator[tuple[str, griffe.Object | griffe.Alias]]:
    if module.exports is not None:
        for name in dict.fromkeys(one for one in module.exports if isinstance(one, str)):
            if name in module.members:
                yield name, module.members[name]
        return
    for name, member in module.members.items():
        if _is_public(name) and member.runtime and _is_offered(module, member, packages):
            yield name, member


def _is_offered(
    module: griffe.Module, member: griffe.Object | griffe.Alias, packages: Collection[str]
) -> bool:
    """Whether a name without an underscore is meant for others, where no `__all__` says so."""
    if isinstance(member, griffe.Alias):
        inside = member.target_path.partition(".")[0] in packages
        return inside and "*" not in member.name and module.is_init_module
    if isinstance(member, griffe.Attribute):
        value = member.value
        made_by = value.canonical_path if isinstance(value, griffe.ExprCall) else ""
        return made_by.rpartition(".")[2] not in _MACHINERY
    return not isinstance(member, griffe.Module)


def _is_public(name: str) -> bool:
    return not name.startswith("_")
