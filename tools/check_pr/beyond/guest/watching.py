"""Tells what tests try that not every project does, with the first test that tried it."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ...environment.guest.watcher import Watcher
else:
    from .watcher import Watcher  # in the sandbox it lies beside this one

Say = Callable[..., None]


def plugin(options: dict[str, Any], say: Say) -> Watching:
    """The plugin. Options: `root`, the project's folder."""
    return Watching(options["root"], say)


class Watching:
    """Watches from its making on, so that the imports of conftest files are watched too."""

    def __init__(self, root: str, say: Say) -> None:
        self._say = say
        self._now = "conftest.py"
        # Its own `when` stays empty: what each of a thousand tests does is one thing.
        self._watcher = Watcher(root, os.path.expanduser("~"), self._tell)
        self._watcher.start()

    def _tell(self, kind: str, what: str, where: str, when: str) -> None:
        self._say("guest", of="watching", kind=kind, what=what, where=where, when=self._now)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """A file is about to be imported."""
        if isinstance(collector, pytest.Module):
            self._now = collector.nodeid

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """A test and its fixtures."""
        self._now = item.nodeid
        return (yield)
