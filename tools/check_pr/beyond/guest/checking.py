"""Tells which of the functions that tests check with are no more what they were when the run began."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Say = Callable[..., None]

_OF_PYTEST = ("raises", "approx", "fail", "warns", "deprecated_call")
_RUNNING = {"run", "__call__", "_callTestMethod", "failureException"}


def plugin(options: dict[str, Any], say: Say) -> Checking:
    """The plugin; it has no options."""
    return Checking(say)


class Checking:
    """Looks when all is collected and when all was run: what a test puts back in time is its own business."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._first = dict(_functions())

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """What imports did."""
        self._tell()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """What calls did."""
        self._tell()

    def _tell(self) -> None:
        now = dict(_functions())
        for name in [name for name, was in self._first.items() if now.get(name) != was]:
            del self._first[name]
            self._say("guest", of="checking", name=name)


def _functions() -> Iterator[tuple[str, tuple[int, int]]]:
    """What each is, and what it does, without a call of anything that could be another's."""
    for name, thing in vars(unittest.TestCase).items():
        if name.startswith(("assert", "fail")) or name in _RUNNING:
            yield f"unittest.TestCase.{name}", (id(thing), id(getattr(thing, "__code__", None)))
    for name in _OF_PYTEST:
        thing = vars(pytest).get(name)
        yield f"pytest.{name}", (id(thing), id(getattr(thing, "__code__", None)))
