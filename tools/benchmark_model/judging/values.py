"""Values on their way out of a process that is not trusted, as JSON with marks for what JSON has not.

Both sides use this module: its source is sent into the sandbox, so it needs Python 3.9 and the standard
library only. Nothing is pickled, and no method of a class of the answer's own is asked what it equals.
"""

# What user code returns has no type that could be known.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from typing import Any

_DEEPEST = 150
_MOST_ITEMS = 300_000
_LARGEST_PLAIN = 1 << 60


class Opaque:
    """What stands for a value that is no data. It equals nothing, not even itself."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<{self.kind}>"


class _Encoder:
    def __init__(self) -> None:
        self.items = 0

    def encode(self, value: Any, depth: int = 0) -> Any:
        self.items += 1
        if depth > _DEEPEST or self.items > _MOST_ITEMS:
            raise RecursionError("too deep or too large")
        kind = type(value)
        if value is None or kind is bool or kind is str or kind is float:
            return value
        # A subclass counts as what it is made of, whatever it says of itself.
        if issubclass(kind, int):
            number = int.__int__(value)
            small = -_LARGEST_PLAIN < number < _LARGEST_PLAIN
            return number if small else {"int": hex(number)}
        if issubclass(kind, str):
            return str.__str__(value)
        if issubclass(kind, float):
            return float.__float__(value)
        return self._container(value, kind, depth + 1)

    def _container(self, value: Any, kind: type, depth: int) -> Any:
        if issubclass(kind, list):
            return [self.encode(item, depth) for item in list.__iter__(value)]
        if issubclass(kind, tuple):
            return {"tuple": [self.encode(item, depth) for item in tuple.__iter__(value)]}
        if issubclass(kind, dict):
            pairs = dict.items(value)
            return {"dict": [[self.encode(k, depth), self.encode(v, depth)] for k, v in pairs]}
        for base in (set, frozenset):
            if issubclass(kind, base):
                return {"set": [self.encode(item, depth) for item in base.__iter__(value)]}
        if isinstance(value, type({}.keys())):
            return {"set": [self.encode(item, depth) for item in value]}
        return self._scalar(value, kind, depth)

    def _scalar(self, value: Any, kind: type, depth: int) -> Any:
        if issubclass(kind, (bytes, bytearray)):
            return {"bytes": bytes(value).hex()}
        if issubclass(kind, complex):
            return {"complex": [complex(value).real, complex(value).imag]}
        if kind is range:
            return {"range": [value.start, value.stop, value.step]}
        if kind.__module__ in ("fractions", "decimal") and hasattr(value, "as_integer_ratio"):
            return {"ratio": [self.encode(part, depth) for part in value.as_integer_ratio()]}
        if kind.__module__ == "numpy" and getattr(value, "ndim", None) == 0:
            return self.encode(value.item(), depth)
        return {"opaque": str(type.__dict__["__name__"].__get__(kind))[:100]}


def encode(value: Any) -> Any:
    """What JSON can hold of a value; never raises."""
    try:
        return _Encoder().encode(value)
    except RecursionError:
        return {"opaque": "value that is too deep or too large"}
    except Exception as error:  # noqa: BLE001 - numbers without a ratio, and what numpy may do
        return {"opaque": f"value that raises {type(error).__name__}"}


def decode(said: Any) -> Any:
    """The value again. Raises ValueError for what `encode` never says."""
    try:
        return _decode(said)
    except (TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError("no encoded value") from error


def _decode(said: Any) -> Any:
    if isinstance(said, list):
        return [_decode(item) for item in said]
    if not isinstance(said, dict):
        return said
    ((mark, content),) = said.items()
    if mark in ("tuple", "set"):
        items = [_decode(item) for item in content]
        return tuple(items) if mark == "tuple" else frozenset(items)
    if mark == "dict":
        return {_decode(key): _decode(value) for key, value in content}
    return _decode_scalar(mark, content)


def _decode_scalar(mark: str, content: Any) -> Any:
    if mark == "int":
        return int(content, 16)
    if mark == "number":
        return float(content)
    if mark == "bytes":
        return bytes.fromhex(content)
    if mark == "complex":
        return complex(*content)
    if mark == "range":
        return range(*content)
    if mark == "ratio":
        from fractions import Fraction

        return Fraction(*map(_decode, content))
    if mark == "opaque":
        return Opaque(str(content))
    raise ValueError("no encoded value")


def is_data(said: Any) -> bool:
    """Whether an encoded value has nothing opaque in it."""
    return '{"opaque": ' not in json.dumps(said)
