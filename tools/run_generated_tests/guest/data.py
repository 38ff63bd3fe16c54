"""What is no function: constants, members of enumerations, methods that were generated, other callables.

Each change is made in a fork, so none is taken back.
"""

from __future__ import annotations

import enum
import sys
import types
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from .perturb import grown, other
from .swap import put_silence

Change = Callable[[], None]


def changes(files: frozenset[str]) -> Iterator[tuple[str, Change]]:
    """A name in words, and how to change what it names in this process."""
    modules = [
        module for module in list(sys.modules.values()) if getattr(module, "__file__", None) in files
    ]
    classes = [
        value
        for module in modules
        for value in list(vars(module).values())
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    if not modules:
        return
    yield "the data of the source", lambda: _change_data(modules, classes, other)
    yield "the data of the source", lambda: _change_data(modules, classes, grown)
    yield "generated methods", lambda: _silence_generated(classes)


def _change_data(
    modules: list[ModuleType], classes: list[type], change: Callable[[Any], Any]
) -> None:
    replaced: dict[int, tuple[Any, Any]] = {}
    for module in modules:
        for name, value in list(vars(module).items()):
            if not name.startswith("__") and _is_data(value):
                replaced[id(value)] = (value, _changed(value, change))
    for holder in list(sys.modules.values()):
        _replace(holder, replaced)
    for owner in classes:
        _change_class(owner, change)


def _is_data(value: Any) -> bool:
    python = (type, ModuleType, FunctionType, types.MethodType)
    return value is not None and not isinstance(value, (*python, bool))


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    if not callable(value):
        return change(value)

    def call(*args: Any, **kwargs: Any) -> Any:
        return change(value(*args, **kwargs))

    return call


def _replace(holder: Any, replaced: dict[int, tuple[Any, Any]]) -> None:
    """In a module of the source or of the tests; a library's constants are its own."""
    path = getattr(holder, "__file__", None)
    if not isinstance(path, str) or "site-packages" in path or "/lib/python" in path:
        return
    space = vars(holder)
    for name, value in list(space.items()):
        old, new = replaced.get(id(value), (None, None))
        if old is value and old is not None and not name.startswith("__"):
            space[name] = new


def _change_class(owner: type, change: Callable[[Any], Any]) -> None:
    if issubclass(owner, enum.Enum):
        for member in owner:
            member._value_ = change(member._value_)
        return
    for name, value in list(vars(owner).items()):
        plain = isinstance(value, (str, bytes, int, float, tuple, list, dict, set, frozenset))
        if plain and not name.startswith("__"):
            try:
                setattr(owner, name, change(value))
            except (AttributeError, TypeError):
                continue
    _change_defaults(owner, change)


def _change_defaults(owner: type, change: Callable[[Any], Any]) -> None:
    """The defaults of a dataclass are those of the `__init__` that was made for it."""
    made = vars(owner).get("__init__")
    if isinstance(made, FunctionType) and made.__code__.co_filename == "<string>":
        made.__defaults__ = tuple(change(value) for value in made.__defaults__ or ()) or None


def _silence_generated(classes: list[type]) -> None:
    for owner in classes:
        for value in list(vars(owner).values()):
            if isinstance(value, FunctionType) and value.__code__.co_filename.startswith("<"):
                put_silence(value)
