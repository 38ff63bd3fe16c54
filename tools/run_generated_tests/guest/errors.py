"""Exceptions as data: the type, what it says, and the few frames that explain it."""

from __future__ import annotations

import builtins
import linecache
import os
import traceback
from types import TracebackType
from typing import Any

_LONGEST_MESSAGE = 3_000
_MOST_FRAMES = 12
_SHOWN_OF_GROUP = 3


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
    """Pytest wraps what a module raises at its import, and a group of tasks what one of them does."""
    if type(error).__name__ == "CollectError":
        return error.__cause__ or error.__context__ or error
    while len(several := _group(error)) == 1:
        error = several[0]
    return error


def _group(error: BaseException) -> tuple[BaseException, ...]:
    """The exceptions of a group of them; there are none before Python 3.11."""
    kind = getattr(builtins, "BaseExceptionGroup", None)
    # Not by its own attribute, which the tests' class may have replaced.
    return kind.exceptions.__get__(error) if kind and isinstance(error, kind) else ()


def _message(error: BaseException) -> str:
    parts = [_text(error)]
    for one in map(_root_cause, _group(error)[:_SHOWN_OF_GROUP]):
        parts.append(f"{type(one).__name__}: {_text(one)}")
    return "\n".join(parts)[:_LONGEST_MESSAGE]


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST_MESSAGE]
    except BaseException as broken:  # noqa: BLE001 - it is the tests' own class
        return f"<its text raises {type(broken).__name__}>"


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
