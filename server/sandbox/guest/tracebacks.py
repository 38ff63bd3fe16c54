"""Exceptions as data: name, value, line and the user's own frames."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

_MOST_CHARACTERS = 20_000
_IPYTHON = f"{os.sep}site-packages{os.sep}IPython{os.sep}"
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


def cell_name(number: int) -> str:
    """What a cell is called in tracebacks."""
    return f"<cell {number}>"


def is_cell(filename: str) -> bool:
    """Whether code with this name came from a cell of a session."""
    return filename.startswith("<cell ")


def describe(
    error: BaseException, name: str, is_users: Callable[[str], bool] = is_cell
) -> dict[str, Any]:
    """A JSON-able description of an exception raised by the cell called `name`.

    The traceback begins with the first frame whose file `is_users`. Nothing that the exception's own
    methods do can make this fail.
    """
    # A class may have a __traceback__ of its own.
    frames = BaseException.__dict__["__traceback__"].__get__(error)
    while frames is not None and not is_users(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return {
        "name": _name_of(error),
        "value": _cut(_text_of(error)),
        "line": _line(error, frames, name),
        "traceback": _cut(_format(error, frames)),
    }


def _name_of(error: BaseException) -> str:
    # A metaclass may have a __name__ of its own.
    return type.__dict__["__name__"].__get__(type(error))


def _line(error: BaseException, frames: TracebackType | None, name: str) -> int | None:
    try:
        if isinstance(error, SyntaxError) and error.filename == name:
            return error.lineno if type(error.lineno) is int else None
    except BaseException:  # noqa: BLE001 - the user's own subclass may have properties
        return None
    line = None
    while frames is not None:
        if frames.tb_frame.f_code.co_filename == name:
            line = frames.tb_lineno
        frames = frames.tb_next
    return line


def _text_of(error: BaseException) -> str:
    try:
        return str.__str__(str(error))  # a subclass of str would bring methods of its own
    except BaseException as second:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"<str() of the exception raised {_name_of(second)}>"


def _format(error: BaseException, frames: TracebackType | None) -> str:
    try:
        summary = traceback.TracebackException(type(error), error, frames)
        _drop_frames(summary, set())
        return "".join(summary.format())
    except BaseException as second:  # noqa: BLE001 - reads the user's attributes and source
        return f"<the traceback could not be formatted: {_name_of(second)}>"


def _drop_frames(summary: traceback.TracebackException, seen: set[int]) -> None:
    """Leave out frames of ours and of IPython, here and in what the exception came from."""
    seen.add(id(summary))
    kept = [frame for frame in summary.stack if not _is_machinery(frame.filename)]
    summary.stack = traceback.StackSummary.from_list(kept)
    for origin in (summary.__cause__, summary.__context__):
        if origin is not None and id(origin) not in seen:
            _drop_frames(origin, seen)


def _is_machinery(filename: str) -> bool:
    return filename.startswith(_OURS) or _IPYTHON in filename


def _cut(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"
