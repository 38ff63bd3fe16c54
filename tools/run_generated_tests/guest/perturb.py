"""Values of the same type that are not the same value.

There are two ways, since a test may rightly not see one of them: `other` keeps lengths and signs, `grown` changes
them. What cannot be changed is given back as it is, the very same object.
"""

from __future__ import annotations

import array
import collections
import copy
import datetime
import decimal
import enum
import fractions
import itertools
import math
import pathlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

Perturb = Callable[[Any], Any]

_DEEPEST = 4


def other(value: Any, depth: int = 0) -> Any:
    """Another value, of the same length where it has one."""
    return _perturb(value, depth, grow=False)


def grown(value: Any, depth: int = 0) -> Any:
    """Another value of another length, or another sign."""
    return _perturb(value, depth, grow=True)


def _perturb(value: Any, depth: int, *, grow: bool) -> Any:
    """The value itself where there is no other, or where making one fails."""
    if value is NotImplemented:
        return True  # what compares objects says so of a stranger
    if value is None or value is Ellipsis or depth > _DEEPEST:
        return value
    try:
        for kind, change in _KINDS:
            if isinstance(value, kind):
                return change(value, depth, grow)
        return _object(value, depth, grow)
    except Exception:  # noqa: BLE001 - an object may refuse anything, and then it is left as it is
        return value


def _number(value: Any, _: int, grow: bool) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return 0.0
    new = -value - 1 if grow else value + 1
    # A float may be too large for 1 to make a difference.
    return type(value)(new if new != value else value * 2 + 1)


def _bool(value: bool, _: int, grow: bool) -> bool:
    return not value


def _text(value: Any, _: int, grow: bool) -> Any:
    return _again(
        value, _other_text(value, grow) if isinstance(value, str) else _other_bytes(value, grow)
    )


def _again(value: Any, content: Any) -> Any:
    """The same type, also where it is a subclass."""
    return type(value)(content)


def _other_text(value: str, grow: bool) -> str:
    if grow:
        # Before the surrogates there is a gap.
        return "".join(chr(ord(char) + 1) if char < "\ud7ff" else "x" for char in value) + "x"
    changed = (value[::-1], value.swapcase(), "x" * (len(value) or 1), "y" * len(value))
    return next(one for one in changed if one != value)


def _other_bytes(value: bytes, grow: bool) -> bytes:
    if grow:
        return bytes((byte + 1) % 256 for byte in value) + b"x"
    changed = (value[::-1], value.swapcase(), b"x" * (len(value) or 1), b"y" * len(value))
    return next(one for one in changed if one != value)


def _sequence(value: Any, depth: int, grow: bool) -> Any:
    items: list[Any] = list(value)
    changed = [_perturb(item, depth + 1, grow=grow) for item in items]
    if _is_named(value):
        return _renamed(value, changed)  # a named tuple has its length
    if isinstance(value, array.array):
        make: Any = array.array
        return make(_held(value, "typecode"), changed or [1])
    if not items:
        changed = [None]
    elif grow:
        changed.append(items[-1])
    elif items[::-1] != items:
        changed = items[::-1]
    if isinstance(value, collections.deque):
        return collections.deque(changed, _held(value, "maxlen"))
    return _again(value, changed)


def _is_named(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_replace")  # pyright: ignore[reportUnknownArgumentType]


def _held(value: Any, name: str) -> Any:
    return getattr(value, name)


def _renamed(value: Any, changed: list[Any]) -> Any:
    return value._replace(**dict(zip(value._fields, changed)))


def _range(value: range, _: int, grow: bool) -> range:
    return range(value.start + value.step, value.stop + (2 if grow else 1) * value.step, value.step)


def _set(value: Any, depth: int, grow: bool) -> Any:
    if not value:
        return type(value)([None])
    items = list(value)
    changed = [_perturb(item, depth + 1, grow=grow) for item in items]
    return type(value)([*items, *changed] if grow else changed)


def _mapping(value: Any, depth: int, grow: bool) -> Any:
    new = copy.copy(value)
    if not new:
        new["x"] = None
        return new
    for key in list(new):
        new[key] = _perturb(new[key], depth + 1, grow=grow)
    if grow or new == value:
        new[_perturb(next(iter(value)), depth + 1, grow=grow)] = None
    return new


def _time(value: Any, _: int, grow: bool) -> Any:
    if isinstance(value, datetime.timedelta):
        return -value - datetime.timedelta(1) if grow else value + datetime.timedelta(1, 1)
    if isinstance(value, datetime.time):
        return value.replace(hour=(value.hour + 1) % 24)
    step = datetime.timedelta(days=-400) if grow else datetime.timedelta(days=1)
    return value + step


def _path(value: Any, _: int, grow: bool) -> Any:
    return value / "x" if grow else value.with_name(value.name[::-1] + "x")


def _member(value: enum.Enum, _: int, grow: bool) -> enum.Enum:
    members = list(type(value))
    return members[(members.index(value) + (1 if not grow else len(members) - 1)) % len(members)]


def _iterator(value: Iterator[Any], depth: int, grow: bool) -> Iterator[Any]:
    changed = (_perturb(item, depth + 1, grow=grow) for item in value)
    return itertools.chain(changed, [None]) if grow else changed


def _unchanged(value: Any, _: int, grow: bool) -> Any:
    return value


def _object(value: Any, depth: int, grow: bool) -> Any:
    """A copy whose attributes are other ones."""
    if isinstance(value, type) or callable(value) or not _attributes(value):
        return value
    new = copy.copy(value)
    different = False
    for name, held in _attributes(value).items():
        changed = _perturb(held, depth + 1, grow=grow)
        if changed is not held:
            object.__setattr__(new, name, changed)
            different = True
    return new if different else value


def _attributes(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name) and name not in {"__dict__", "__weakref__"}:
                found[name] = getattr(value, name)
    return found


_KINDS: list[tuple[Any, Callable[[Any, int, bool], Any]]] = [
    (bool, _bool),
    (enum.Enum, _member),
    ((int, float, complex, decimal.Decimal, fractions.Fraction), _number),
    ((str, bytes, bytearray), _text),
    (range, _range),
    ((list, tuple, collections.deque, array.array), _sequence),
    ((set, frozenset), _set),
    ((dict, collections.UserDict), _mapping),
    ((datetime.date, datetime.time, datetime.timedelta), _time),
    (pathlib.PurePath, _path),
    (uuid.UUID, lambda value, depth, grow: uuid.UUID(int=value.int ^ (3 if grow else 1))),
    (BaseException, _unchanged),
    (Iterator, _iterator),
]
