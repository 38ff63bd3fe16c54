"""Files of rows: JSON Lines or one JSON array, plain or gzipped, each row with the line it is on."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ...server.sandbox import InvalidInput

_LARGEST_BYTES = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `place` is for messages, like `tasks.jsonl:3`."""

    place: str
    fields: Mapping[str, Any]

    def text(self, name: str, default: str | None = None) -> str:
        """A field that is text. Raises InvalidInput if it is not, or is missing without a default."""
        value = self.fields.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(f'"{name}" must be text' if name in self.fields else f'no "{name}"')
        return value

    def texts(self, name: str) -> list[str]:
        """A field that is a list of texts; empty where it is missing."""
        value: Any = self.fields.get(name) or []
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):  # pyright: ignore[reportUnknownVariableType]
            raise self.wrong(f'"{name}" must be a list of texts')
        return cast("list[str]", value)

    def wrong(self, what: str) -> InvalidInput:
        """An error that says where."""
        return InvalidInput(f"{self.place}: {what}. Nothing was run.")


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file.

    Raises:
        InvalidInput: it cannot be read, or is no JSON where the message says.
    """
    text = _read(path)
    if text.lstrip()[:1] == "[":
        for number, fields in enumerate(_parse(text, path.name, 1), start=1):
            yield _row(fields, f"{path.name}, row {number}")
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{path.name}:{number}"
            yield _row(_parse(line, path.name, number), place)


def _row(fields: Any, place: str) -> Row:
    if not isinstance(fields, dict):
        raise InvalidInput(f"{place}: this row is no JSON object. Nothing was run.")
    return Row(place, cast("dict[str, Any]", fields))


def _parse(text: str, name: str, line: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        at = getattr(error, "lineno", 1) + line - 1
        reason = getattr(error, "msg", "it is too deep")
        raise InvalidInput(f"{name}:{at}: this is no JSON ({reason}). Nothing was run.") from error


def _read(path: Path) -> str:
    opened: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            content: bytes = file.read(_LARGEST_BYTES + 1)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"The tasks in {path.name} cannot be read: {reason}.") from error
    if len(content) > _LARGEST_BYTES:
        raise InvalidInput(f"{path.name} has more than {_LARGEST_BYTES // 1024**2} MiB of tasks.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidInput(f"{path.name}:{line}: this is not UTF-8. Nothing was run.") from error
