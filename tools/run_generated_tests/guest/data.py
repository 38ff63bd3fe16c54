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
_PLAIN: frozenset[type] = frozenset({str, bytes, int, float, tuple, list, dict, set, frozenset})
_Replaced = dict[int, tuple[str, Any, Any]]
"""By identity: the name in the source, the value (kept alive), and what takes its place."""


def changes(files: frozenset[str]) -> Iterator[tuple[str, Change]]:
    """A name in words, and how to change what it names in this process."""
    modules = [
        module
        for module in list(sys.modules.values())
        if getattr(module, "__file__", None) in files
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
    replaced: _Replaced = {}
    for module in modules:
        for name, value in list(vars(module).items()):
            if not name.startswith("__") and _is_data(value):
                replaced[id(value)] = (name, value, _changed(value, change))
    for holder in list(sys.modules.values()):
        _replace(holder, replaced, everywhere=holder in modules)
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


def _replace(holder: Any, replaced: _Replaced, *, everywhere: bool) -> None:
    """In a module of the source or of the tests; a library's constants are its own.

    Equal numbers and texts are often one object, so in a test's module the name must be the same too.
    """
    path = getattr(holder, "__file__", None)
    if not isinstance(path, str) or "site-packages" in path or "/lib/python" in path:
        return
    space: dict[str, Any] = getattr(holder, "__dict__", {})
    for name, value in list(space.items()):
        known = replaced.get(id(value))
        if known is None or name.startswith("__"):
            continue
        if everywhere or name == known[0] or not isinstance(value, (str, bytes, int, float)):
            space[name] = known[2]


def _change_class(owner: Any, change: Callable[[Any], Any]) -> None:
    if _is_enumeration(owner):
        for member in owner:
            setattr(member, "_value_", change(member.value))  # noqa: B010 - it is not for everybody
        return
    for name, value in _held(owner).items():
        if type(value) in _PLAIN and not name.startswith("__"):
            try:
                setattr(owner, name, change(value))
            except (AttributeError, TypeError):
                continue
    _change_defaults(owner, change)


def _held(owner: Any) -> dict[str, Any]:
    return dict(owner.__dict__)


def _is_enumeration(owner: type) -> bool:
    return issubclass(owner, enum.Enum)


def _change_defaults(owner: type, change: Callable[[Any], Any]) -> None:
    """The defaults of a dataclass are those of the `__init__` that was made for it."""
    made: Any = vars(owner).get("__init__")
    if isinstance(made, FunctionType) and made.__code__.co_filename == "<string>":
        made.__defaults__ = _all_changed(made, change)


def _silence_generated(classes: list[type]) -> None:
    for owner in classes:
        for value in list(vars(owner).values()):
            if isinstance(value, FunctionType) and value.__code__.co_filename.startswith("<"):
                put_silence(value)


def _all_changed(function: FunctionType, change: Callable[[Any], Any]) -> tuple[Any, ...] | None:
    defaults: tuple[Any, ...] | None = function.__defaults__
    return defaults and tuple(change(value) for value in defaults)
