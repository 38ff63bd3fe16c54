"""Other code goes into functions of every kind, under every name that they have."""

import asyncio
import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from proofbox.tools.run_generated_tests.guest.perturb import other
from proofbox.tools.run_generated_tests.guest.swap import Functions, key_of, kind_of

Break = Callable[[Any], None]


def functions() -> Functions:
    """The functions of this file that exist now."""
    return Functions(frozenset({__file__}))


def silence(function: Any) -> None:
    """As the source's functions are silenced."""
    functions().silence(key_of(function.__code__))


def perturb(function: Any) -> None:
    """As the source's functions are made to return other values."""
    functions().perturb(key_of(function.__code__), other)


def test_every_name_of_a_function_is_reached() -> None:
    """`from module import f` is one of them."""

    def double(number: int) -> int:
        return number * 2

    alias, held = double, [functools.partial(double, 4)]

    perturb(double)

    assert [double(1), alias(2), held[0]()] == [3, 5, 9]


def test_methods_of_every_kind_are_reached() -> None:
    """Through properties, class methods and decorators that keep what they were given."""

    class Shelf:
        def __init__(self) -> None:
            self.size = 3

        @property
        def label(self) -> str:
            return f"ab{self.size}"

        @classmethod
        def named(cls) -> str:
            return cls.__name__

        @staticmethod
        def fixed() -> int:
            return 1

        @functools.lru_cache  # noqa: B019 - met in sources
        def cached(self) -> int:
            return 7

    there = functions()
    for name in ("label", "named", "fixed", "cached"):
        held = inspect.getattr_static(Shelf, name)
        function = (
            getattr(held, "fget", None) or getattr(held, "__func__", None) or inspect.unwrap(held)
        )
        there.perturb(key_of(function.__code__), other)

    shelf = Shelf()
    assert (shelf.label, Shelf.named(), Shelf.fixed(), shelf.cached()) == ("3ba", "flehS", 2, 8)


def test_closures_keep_their_variables() -> None:
    """The code that replaces theirs has as many."""
    base, factor = 10, 2

    def scaled(number: int) -> int:
        return base + factor * number

    def scaled_down(number: int) -> int:
        return base - factor * number

    perturb(scaled)
    silence(scaled_down)

    assert scaled(1) == 13
    assert scaled_down(1) is None


def test_a_recursive_function_is_changed_from_outside_only() -> None:
    """What it gets from itself is what it would have got."""

    def factorial(number: int) -> int:
        return number * factorial(number - 1) if number else 1

    perturb(factorial)

    assert factorial(4) == 25


def test_generators_give_other_values_and_take_what_is_sent() -> None:
    """A context manager made of one works as one."""
    seen: list[object] = []

    @contextlib.contextmanager
    def opened() -> Generator[int]:
        try:
            yield 1
        except KeyError as error:
            seen.append(error.args)

    def counted() -> Iterator[int]:
        yield from (1, 2)

    perturb(inspect.unwrap(opened))
    perturb(counted)

    with opened() as number:
        assert number == 2
        raise KeyError("a")
    assert seen == [("a",)]
    assert list(counted()) == [2, 3]


def test_coroutines_and_their_generators_stay_what_they_are() -> None:
    """Whoever awaits them still can."""

    async def answer() -> int:
        return 41

    async def answers() -> AsyncIterator[int]:
        yield 1
        yield 2

    perturb(answer)
    perturb(answers)

    async def collect() -> tuple[int, list[int]]:
        return await answer(), [value async for value in answers()]

    assert asyncio.run(collect()) == (42, [2, 3])
    assert kind_of(answer.__code__) == "coroutine"


@pytest.mark.parametrize("kind", ["plain", "generator", "coroutine", "async generator"])
def test_silence_is_of_the_same_kind(kind: str) -> None:
    """Nothing comes of it, in the way in which something would have come."""

    def plain() -> int:
        return 1

    def generator() -> Iterator[int]:
        yield 1

    async def coroutine() -> int:
        return 1

    async def async_generator() -> AsyncIterator[int]:
        yield 1

    async def collect() -> list[int]:
        return [value async for value in async_generator()]

    made: dict[str, tuple[Any, Callable[[], object], object]] = {
        "plain": (plain, plain, None),
        "generator": (generator, lambda: list(generator()), []),
        "coroutine": (coroutine, lambda: asyncio.run(coroutine()), None),
        "async generator": (async_generator, lambda: asyncio.run(collect()), []),
    }
    function, use, expected = made[kind]

    silence(function)

    assert kind_of(function.__code__) == kind
    assert use() == expected


def test_wrong_calls_go_on_failing() -> None:
    """Else `raises(TypeError)` around a wrong call would look as if it noticed something."""

    def taking(a: int, /, b: int, *, c: int = 1) -> int:
        return a + b + c

    silence(taking)

    assert taking(1, b=2) is None
    assert taking(1, 2, c=3) is None
    with pytest.raises(TypeError):
        taking(1)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError):
        taking(1, 2, d=3)  # pyright: ignore[reportCallIssue]


def test_default_values_are_changed_where_the_function_was_written() -> None:
    """Mutants of them are put in like those of code."""

    def padded(text: str, width: int = 2, *, fill: str = "-") -> str:
        return text.rjust(width, fill)

    line = padded.__code__.co_firstlineno
    there = functions()

    assert there.set_default(__file__, line, "padded", 0, 4) == 1
    assert there.set_default(__file__, line, "padded", "fill", "+") == 1
    assert there.set_default(__file__, line, "other", 0, 4) == 0

    assert padded("a") == "+++a"
