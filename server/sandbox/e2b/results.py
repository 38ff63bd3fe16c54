"""The SDK's results and errors as the port's."""

import base64
import binascii
import re
from typing import Any

from e2b_code_interpreter.models import ExecutionError
from e2b_code_interpreter.models import Result as E2BResult

from ..results import CodeError, Result

_TEXTS = (
    ("text", "text/plain"),
    ("html", "text/html"),
    ("markdown", "text/markdown"),
    ("svg", "image/svg+xml"),
    ("latex", "text/latex"),
    ("javascript", "application/javascript"),
)
_BINARIES = (("png", "image/png"), ("jpeg", "image/jpeg"), ("pdf", "application/pdf"))

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_OURS = re.compile(
    r"^File <string>:\d+, in (?:end|fail)_like_a_script.*\n(?: +\d+ .*\n)*", re.MULTILINE
)
_PYTHON_FRAME = re.compile(r"(?:Cell|Input) In ?\[(\d+)\](?:, line (\d+))?")
_SCRIPT_FRAME = re.compile(r"(?:evalmachine\.<anonymous>|<anonymous>):(\d+)")

# A traceback of endless recursion has thousands of equal frames.
_MOST_CHARACTERS = 20_000


def convert(result: E2BResult) -> Result:
    """One result. What E2B could not read as a chart is left out, the picture of it stays."""
    given: dict[str, Any] = vars(result)
    data: dict[str, Any] = {}
    for attribute, mime in _TEXTS:
        if (text := given.get(attribute)) is not None:
            data[mime] = str(text)
    for attribute, mime in _BINARIES:
        if (encoded := given.get(attribute)) is not None:
            data[mime] = _decoded(encoded)
    if given.get("json") is not None:
        data["application/json"] = given["json"]
    extra: dict[str, Any] = given.get("extra") or {}
    data.update({name: content for name, content in extra.items() if name not in data})
    chart: Any = given.get("chart")
    return Result(
        data=data,
        is_main=bool(result.is_main_result),
        chart=(chart.to_dict() or None) if chart else None,
        table=given.get("data") or None,
    )


def size(result: E2BResult) -> int:
    """Roughly how many bytes the result takes."""
    return sum(len(str(content)) for content in vars(result).values() if content)


def _decoded(encoded: Any) -> bytes:
    try:
        return base64.b64decode(encoded)
    except (binascii.Error, TypeError, ValueError):
        # A library that registered text under a picture's type.
        return str(encoded).encode()


def error(raised: ExecutionError, language: str, cell: int | None) -> CodeError:
    """The exception that ended cell number `cell`, without colour."""
    traceback = _COLOUR.sub("", raised.traceback)
    if language == "python":
        line = _python_line(traceback, cell)
        return CodeError(raised.name, _value(raised.value), line, _cut(_lines(traceback)))
    if language == "bash":
        # The bash kernel gives no name, and the exit status as the value.
        if not raised.name:
            return CodeError("ExitStatus", f"exit status {raised.value}")
        return CodeError(raised.name, raised.value, None, _cut(traceback))
    line = _SCRIPT_FRAME.search(traceback)
    return CodeError(raised.name, raised.value, int(line[1]) if line else None, _cut(traceback))


def _python_line(traceback: str, cell: int | None) -> int | None:
    line = None
    for frame in _PYTHON_FRAME.finditer(traceback):
        if frame[2] and cell in (None, int(frame[1])):
            line = int(frame[2])
    return line


def _lines(traceback: str) -> str:
    # The server joins IPython's list of lines without newlines.
    text = _OURS.sub("", re.sub(r"^-{20,}\n?", "", traceback))
    return re.sub(
        r"^\S+ +Traceback \(most recent call last\)\n?",
        "Traceback (most recent call last):\n",
        text,
        flags=re.MULTILINE,
    )


def _value(value: str) -> str:
    # IPython invents a file name for each cell.
    return re.sub(r"\(\d+\.py, (line \d+)\)$", r"(\1)", value)


def _cut(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"
