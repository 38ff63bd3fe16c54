"""Where the modules under test were imported from: a copy that is installed must not be what is tested."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from .channel import Say


def plugin(options: dict[str, Any], say: Say) -> Origin:
    """The plugin. Options: `names`, of modules."""
    return Origin(options["names"], say)


class Origin:
    """Tells it after collection and at the end, of those that are imported by then."""

    def __init__(self, names: list[str], say: Say) -> None:
        self._left = list(names)
        self._say = say

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """What the tests import when they are collected."""
        self._tell()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """What they import when they run."""
        self._tell()

    def _tell(self) -> None:
        for name in list(self._left):
            module = sys.modules.get(name)
            places = _places(module) if module is not None else []
            if places:
                self._left.remove(name)
                self._say("guest", of="origin", name=name, files=places)


def _places(module: Any) -> list[str]:
    """The file of a module, the folders of a namespace package."""
    try:
        file = module.__file__
        return [str(file)] if file else [str(path) for path in module.__path__]
    except Exception:  # noqa: BLE001 - tests put what they like in the place of modules
        return []
