"""What a `setup.py` says, read and never run."""

import ast
from collections.abc import Mapping
from typing import Any, cast

_WANTED = frozenset(
    {
        *("name", "version", "python_requires", "install_requires", "extras_require", "tests_require"),
        *("setup_requires", "ext_modules", "cffi_modules"),
    }
)  # fmt: skip
COMPUTED = object()
"""What an argument is that cannot be known without running the script."""


def read_setup(source: bytes) -> Mapping[str, Any]:
    """Arguments of `setup(...)` that are literals, or names of literals, by name; those that are there but
    no literals are `COMPUTED`. Empty if there is no such call, or no script.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    names = _assigned(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node.func) == "setup":
            return _arguments(node, names)
    return {}


def _arguments(call: ast.Call, names: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg in _WANTED:
            found[keyword.arg] = _value(keyword.value, names)
        elif keyword.arg is None:
            several = _value(keyword.value, names)
            if isinstance(several, dict):
                told = cast("dict[str, Any]", several)
                found |= {key: value for key, value in told.items() if key in _WANTED}
    return found


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _assigned(tree: ast.Module) -> dict[str, Any]:
    """Names that the module gives a literal and changes nowhere else that we can see."""
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                found[target.id] = _value(node.value, found)
    for name in _changed(tree):
        if name in found:
            found[name] = COMPUTED
    return found


def _changed(tree: ast.Module) -> set[str]:
    """Names that are added to, or assigned below the top of the module."""
    top = {id(node) for node in tree.body}
    found: set[str] = set()
    for node in ast.walk(tree):
        target: ast.expr | None = None
        if isinstance(node, ast.AugAssign):
            target = node.target
        elif isinstance(node, ast.Assign) and (
            id(node) not in top or isinstance(node.targets[0], ast.Subscript)
        ):
            target = node.targets[0]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            target = node.func.value if node.func.attr in {"append", "extend", "update"} else None
        while isinstance(target, ast.Subscript):
            target = target.value
        if isinstance(target, ast.Name):
            found.add(target.id)
    return found


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names.get(node.id, COMPUTED)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _value(node.left, names), _value(node.right, names)
        try:
            return COMPUTED if COMPUTED in (left, right) else left + right
        except TypeError:
            return COMPUTED
    if isinstance(node, ast.List | ast.Tuple):
        values = [_value(item, names) for item in node.elts]
        return COMPUTED if any(value is COMPUTED for value in values) else values
    if isinstance(node, ast.Dict):
        return _table(node, names)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return COMPUTED


def _table(node: ast.Dict, names: Mapping[str, Any]) -> Any:
    found: dict[Any, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        known = _value(key, names) if key is not None else COMPUTED
        if not isinstance(known, str):
            return COMPUTED
        found[known] = _value(value, names)
    return found
