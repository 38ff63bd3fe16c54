"""Values are changed into others of their type, in a way that keeps their length and in one that does not."""

import collections
import datetime
import decimal
import enum
import pathlib
import types
import uuid
from collections.abc import Sized
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from proofbox.tools.run_generated_tests.guest.perturb import grown, other


class Color(enum.Enum):
    """An enumeration."""

    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Point:
    """Frozen, and with a member that is a list."""

    x: int
    names: tuple[str, ...] = ("a",)


class Pair(NamedTuple):
    """A tuple with names has as many members as it has names."""

    left: int
    right: str


VALUES: list[Any] = [
    0, 1, -1, 2**70, 0.5, 1e300, float("inf"), float("nan"), 2j, True, False, "abc", "aba", "", "x", "Aa", "\ud7ff",
    b"ab", b"", bytearray(b"a"), [1, 2], [1, 1], [], (1,), (), {1, 2}, set[int](), frozenset({"a"}), {"a": 1}, {},
    range(3), decimal.Decimal("1.5"), datetime.date(2024, 2, 29), datetime.datetime(2024, 1, 1, 12), datetime.time(23),
    datetime.timedelta(1), pathlib.PurePosixPath("a/b"), uuid.UUID(int=5), Color.RED, Point(1), Pair(1, "a"),
    collections.Counter("aab"), collections.deque([1, 2], 2), collections.OrderedDict(a=1),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("change", [other, grown])
def test_another_value_of_the_same_type(value: Any, change: Any) -> None:
    """A test that takes the type for the value must pass with it."""
    changed = change(value)

    assert type(changed) is type(value)
    assert changed != value


@pytest.mark.parametrize("value", ["abc", [1, 2], (1, 2), {"a": 1}, {1, 2}, b"ab"], ids=repr)
def test_one_way_keeps_the_length_and_the_other_does_not(value: Sized) -> None:
    """`len(x) == 3` must notice one of them, `len(x) > 0` none."""
    assert len(other(value)) == len(value)
    assert len(grown(value)) > len(value)


@pytest.mark.parametrize("value", [None, len, int, types, object()], ids=["None", "function", "class", "module", "object"])  # fmt: skip
def test_what_cannot_be_changed_is_the_same_object(value: object) -> None:
    """So that nobody takes it for noticed or not noticed."""
    assert other(value) is value
    assert grown(value) is value


def test_an_object_that_refuses_is_left_as_it_is() -> None:
    """The source's classes may do anything."""

    class Refusing:
        def __init__(self) -> None:
            self.size = 1

        def __copy__(self) -> "Refusing":
            raise RuntimeError

    value = Refusing()

    assert other(value) is value


def test_iterators_give_other_values() -> None:
    """They are consumed when the test does it."""
    assert list(other(iter([1, 2]))) == [2, 3]


def test_the_value_itself_is_not_touched() -> None:
    """It may be the source's own state."""
    value = {"a": [1, 2]}

    other(value)

    assert value == {"a": [1, 2]}
