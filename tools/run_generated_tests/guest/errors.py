"""Exceptions as data: the type, what it says, and the few frames that explain it."""

from __future__ import annotations

import linecache
import os
import traceback
from types import TracebackType
from typing import Any

_LONGEST_MESSAGE = 3_000
_MOST_FRAMES = 12


def of(error: BaseException, root: str) -> dict[str, Any]:
    """What an exception says, with its frames inside `root` (all of them if there are none)."""
    shown = _root_cause(error)
    frames = _frames(shown.__traceback__, root)
    if isinstance(shown, SyntaxError) and shown.filename:
        frames.append(_frame(shown.filename, shown.lineno or 0, "", root))
    name = getattr(shown, "name", None)
    return {
        "type": type(shown).__name__,
        "message": _message(shown),
        "name": name if isinstance(name, str) else "",
        "frames": frames[-_MOST_FRAMES:],
    }


def of_text(report: Any) -> dict[str, Any]:
    """The same from a report of pytest, where the exception is not at hand."""
    text = getattr(report, "longreprtext", "") or str(report.longrepr)
    return {"type": "", "message": text[-_LONGEST_MESSAGE:], "name": "", "frames": []}


def skip_reason(report: Any) -> str:
    """Why something was skipped."""
    longrepr: Any = report.longrepr
    text = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)  # pyright: ignore[reportUnknownArgumentType]
    return text.removeprefix("Skipped: ")


def _root_cause(error: BaseException) -> BaseException:
    """Pytest wraps what a module raises at its import."""
    if type(error).__name__ == "CollectError":
        return error.__cause__ or error.__context__ or error
    return error


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # noqa: BLE001 - it is the tests' own class
        text = f"<its text raises {type(broken).__name__}>"
    return text[:_LONGEST_MESSAGE]


def _frames(tb: TracebackType | None, root: str) -> list[dict[str, Any]]:
    everything = [
        (f.f_code.co_filename, line, f.f_code.co_name) for f, line in traceback.walk_tb(tb)
    ]
    own = [one for one in everything if one[0].startswith(root + os.sep)]
    return [_frame(*one, root) for one in own or everything[-3:]]


def _frame(file: str, line: int, function: str, root: str) -> dict[str, Any]:
    shown = os.path.relpath(file, root) if file.startswith(root + os.sep) else file
    text = linecache.getline(file, line).strip()[:300]
    return {"file": shown, "line": line, "function": function, "text": text}
