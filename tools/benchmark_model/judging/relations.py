"""Whether a value that an answer gave is what a check expects. Runs on our side, on plain data only."""

# Values have no type that could be known.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from typing import Any

from ..task import Check
from . import values

_LONGEST_SHOWN = 200


def holds(check: Check, value: Any) -> bool:
    """Whether a decoded value is as the check wants it."""
    try:
        match check.relation:
            case "equal":
                return bool(value == check.expected)
            case "strict":
                return _strictly(value, check.expected)
            case "close":
                return _closely(value, check.expected, check)
            case "same_items":
                return frozenset(value) == frozenset(check.expected)
            case "truth":
                return bool(value) == bool(check.expected)
            case "same_text":
                return isinstance(value, str) and _plain(value) == _plain(str(check.expected))
    except (RecursionError, ArithmeticError, TypeError):
        return False


def raises(check: Check, names: list[Any]) -> bool:
    """Whether what was raised, given as the names of its classes, is what the check wants."""
    return check.raises in names


def shown(value: Any) -> str:
    """A value for a reason: short."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return "a value that is too long to show"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _strictly(value: Any, expected: Any) -> bool:
    if isinstance(value, set | frozenset) and isinstance(expected, set | frozenset):
        return _same_items(frozenset(value), frozenset(expected))
    if type(value) is not type(expected):
        return False
    match value:
        case list() | tuple():
            return len(value) == len(expected) and all(map(_strictly, value, expected))
        case dict():
            keys = _same_items(frozenset(value), frozenset(expected))
            return keys and all(_strictly(value[key], expected[key]) for key in value)
        case float():
            return value == expected or (math.isnan(value) and math.isnan(expected))
        case _:
            return bool(value == expected)


def _same_items(value: frozenset[Any], expected: frozenset[Any]) -> bool:
    # Items of a set are equal to nothing else in it, so the types can be compared one by one.
    pairs = {item: item for item in value}
    return value == expected and all(_strictly(pairs[item], item) for item in expected)


def _closely(value: Any, expected: Any, check: Check) -> bool:
    if isinstance(value, values.Opaque):
        return False
    if _is_number(expected):
        return _is_number(value) and _near(value, expected, check)
    if isinstance(expected, list | tuple):
        if type(value) is not type(expected) or len(value) != len(expected):
            return False
        return all(_closely(one, other, check) for one, other in zip(value, expected, strict=True))
    if isinstance(expected, dict):
        if not isinstance(value, dict) or value.keys() != expected.keys():
            return False
        return all(_closely(value[key], expected[key], check) for key in expected)
    return bool(value == expected)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | complex) or type(value).__name__ == "Fraction"


def _near(value: Any, expected: Any, check: Check) -> bool:
    if value == expected or (_is_nan(value) and _is_nan(expected)):
        return True
    distance = abs(value - expected)
    return bool(distance < check.tolerance or distance <= check.relative * abs(expected))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())
