"""How much a call does, as a number that is the same in every run: the lines and branches that it goes through.

It sees nothing of what is done in C, and costs some twenty times the call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def count(call: Callable[[], object]) -> int:
    """The events of one call, in all code that it runs."""
    monitoring: Any = getattr(sys, "monitoring", None)
    if monitoring is None:
        return _traced(call)
    tool = next((number for number in range(6) if monitoring.get_tool(number) is None), None)
    return _traced(call) if tool is None else _monitored(call, monitoring, tool)


def _monitored(call: Callable[[], object], monitoring: Any, tool: int) -> int:
    found = 0

    def seen(*_: object) -> None:
        nonlocal found
        found += 1

    events = monitoring.events
    kinds = [events.LINE, *_branches(events)]
    monitoring.use_tool_id(tool, "proofbox")
    try:
        for kind in kinds:
            monitoring.register_callback(tool, kind, seen)
        monitoring.set_events(tool, sum(kinds))
        try:
            call()
        finally:
            monitoring.set_events(tool, 0)
    finally:
        monitoring.free_tool_id(tool)
    return found


def _branches(events: Any) -> list[int]:
    """Python 3.14 tells both ways apart."""
    if hasattr(events, "BRANCH_LEFT"):
        return [events.BRANCH_LEFT, events.BRANCH_RIGHT]
    return [events.BRANCH]


def _traced(call: Callable[[], object]) -> int:
    """Lines only, where Python is older than 3.12."""
    found = 0

    def local(frame: object, event: str, argument: object) -> Any:
        nonlocal found
        found += event == "line"
        return local

    before = sys.gettrace()
    sys.settrace(local)
    try:
        call()
    finally:
        sys.settrace(before)
    return found
