"""Who noticed: the test, or the source under test by breaking."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

_LONGEST = 200


def describe(info: pytest.ExceptionInfo[BaseException]) -> str:
    """The exception in one line."""
    try:
        said = str(info.value).strip().partition("\n")[0]
    except Exception:  # noqa: BLE001 - a user's exception may fail to say what it is
        said = ""
    return f"{info.type.__name__}: {said}"[:_LONGEST]


def classify(info: pytest.ExceptionInfo[BaseException], sources: frozenset[str]) -> str:
    """`crash` where the innermost frame that is ours or the test's is in the source, else `check`.

    Frames of libraries count for whoever called them.
    """
    value = info.value
    if isinstance(value, doctest.DocTestFailure):
        return "check"
    traceback: Any = info.value.__traceback__
    if isinstance(value, doctest.UnexpectedException):
        traceback = value.exc_info[2]
    innermost = "check"
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name in sources:
            innermost = "crash"
        elif not _is_library(name):
            innermost = "check"
        traceback = traceback.tb_next
    return innermost


def _is_library(name: str) -> bool:
    return (
        name.startswith("<frozen")
        or name in {"<swapped>", "<string>"}
        or "/lib/python" in name
        or "site-packages" in name
    )
