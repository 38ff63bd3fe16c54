"""Read notebooks. The snippets are the code cells, each line where it stands in the JSON file."""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

from .blocks import Block, Event
from .info import language_name
from .marks import from_tags
from .snippet import Mark, Position, Problem
from .source import Lines

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]')


def scan(text: str, file: str) -> list[Event]:
    """Return one block a code cell, in order; a notebook is one namespace, as its kernel is."""
    try:
        notebook: Any = json.loads(text)
        cells = cast("list[dict[str, Any]]", notebook["cells"])
        language = _language(cast("dict[str, Any]", notebook))
        code = [(n, cell) for n, cell in enumerate(cells) if cell["cell_type"] == "code"]
        places = _places(text) if code else {}
        blocks = [_block(cell, places.get(number, []), language, file) for number, cell in code]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"This is not a notebook of format 4: {type(error).__name__}: {error}."
        return [Problem("unreadable_notebook", Position(file, 1, 1), message)]
    return [block for block in blocks if block is not None]


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata", {})
    named = metadata.get("language_info", {}).get("name")
    return language_name(named or metadata.get("kernelspec", {}).get("language") or "python")


def _block(
    cell: dict[str, Any], places: list[tuple[int, int]], language: str, file: str
) -> Block | None:
    source: str | list[str] = cell.get("source", "")
    pieces = [source] if isinstance(source, str) else source
    texts: list[str] = []
    numbers: list[int] = []
    offsets: list[int] = []
    fresh = True
    for piece, (line, column) in zip(pieces, places or [(1, 0)] * len(pieces), strict=False):
        for part in piece.split("\n"):
            if fresh:
                texts.append(part)
                numbers.append(line)
                offsets.append(column)
            else:
                texts[-1] += part
            fresh = True
        fresh = piece.endswith("\n")
        if fresh:
            del texts[-1], numbers[-1], offsets[-1]
    if not any(text.strip() for text in texts):
        return None
    tags = cast("list[str]", cell.get("metadata", {}).get("tags", []))
    # One kernel runs all cells.
    kernel = Mark("group", "notebook", numbers[0], "notebook")
    marks = (kernel, *from_tags(tags, numbers[0]))
    lines = Lines(file, texts, tuple(numbers), offsets)
    return Block(language, lines, numbers[0], numbers[-1], "", marks)


def _places(text: str) -> dict[int, list[tuple[int, int]]]:
    """Return where each string of each cell's source begins: line, and characters before its text."""
    places: dict[int, list[tuple[int, int]]] = {}
    for path, start, line, line_start in _strings(text):
        if len(path) >= 3 and path[0] == "cells" and path[2] == "source":
            places.setdefault(cast("int", path[1]), []).append((line, start - line_start + 1))
    return places


def _strings(text: str) -> Iterator[tuple[tuple[str | int, ...], int, int, int]]:
    """Yield every string value of a JSON text with its path, its offset, and its line and line start."""
    stack: list[list[Any]] = []
    line, line_start, seen = 1, 0, 0
    key_next = False
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in "{[":
            stack.append([token, "" if token == "{" else 0])
            key_next = token == "{"
        elif token in "}]":
            stack.pop()
        elif token == ",":
            key_next = stack[-1][0] == "{"
            if not key_next:
                stack[-1][1] += 1
        elif token == ":":
            key_next = False
        elif key_next:
            stack[-1][1] = json.loads(token)
        else:
            newlines = text.count("\n", seen, match.start())
            if newlines:
                line += newlines
                line_start = text.rindex("\n", seen, match.start()) + 1
            seen = match.start()
            yield tuple(level[1] for level in stack), match.start(), line, line_start
