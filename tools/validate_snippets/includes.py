"""Follow the pointers that documentation has in place of code: `{! x.py !}`, `--8<--`, literalinclude."""

import ast
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from .source import Lines, dedent, read

MAX_BYTES = 2 * 1024**2
"""No example of a page is longer; what is, is data that was named by mistake."""


class IncludeRefused(Exception):
    """The include names a file outside the allowed folders."""


@dataclass(frozen=True, slots=True)
class Included:
    """A file that an include names: its path and text."""

    file: str
    text: str


Reader = Callable[[str, str], Included | None]
"""Called with the document's path and the path that it names; None when there is no such file.

Raises IncludeRefused for a file that may not be read.
"""


@dataclass(frozen=True, slots=True)
class Pointer:
    """One include: the path it names and which lines of the file it takes."""

    path: str
    ranges: tuple[tuple[int, int], ...] = ()
    section: str = ""
    options: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an include could not be followed."""

    kind: Literal["include_not_found", "include_refused"]
    message: str


_MKDOCS = re.compile(
    r"\s*\{!>?\s*(?P<path>[^!\s\[]+)\s*(?:\[ln:(?P<lines>[\d,:\s-]+)\])?[^!]*!\}\s*$"
)
_STAR = re.compile(r"\s*\{\*\s*(?P<path>\S+)(?P<options>[^*]*)\*\}\s*$")
_SNIPPET = re.compile(r"""\s*-+8<-+\s+(?P<quote>["'])(?P<target>[^"']+)(?P=quote)\s*$""")
_MDBOOK = re.compile(r"\s*\{\{\s*#(?:rustdoc_)?include\s+(?P<target>[^}\s]+)\s*\}\}\s*$")
_VITEPRESS = re.compile(r"\s*<<<\s*@?/?(?P<path>[^\s{#\[]+)(?:#(?P<section>[\w-]+))?")
_STAR_LINES = re.compile(r"\bln\[(?P<lines>[\d,:\s]+)\]")
_MARKER = re.compile(
    r"--8<--\s*\[\s*(?P<what>start|end)\s*:\s*(?P<name>[\w.-]+)\s*\]"
    r"|\bANCHOR(?P<over>_END)?:\s*(?P<anchor>[\w.-]+)"
    r"|#\s?(?P<endregion>end)?region\s+(?P<region>[\w.-]+)"
)


def find(text: str) -> Pointer | None:
    """Return the include that this line is, None for a line of code."""
    if "8<" in text and (match := _SNIPPET.match(text)):
        return _target(match["target"])
    if "{" in text:
        if match := _MKDOCS.match(text):
            return Pointer(match["path"], _ranges(match["lines"] or ""))
        if match := _STAR.match(text):
            lines = _STAR_LINES.search(match["options"])
            return Pointer(match["path"], _ranges(lines["lines"]) if lines else ())
        if match := _MDBOOK.match(text):
            return _target(match["target"])
    if "<<<" in text and (match := _VITEPRESS.match(text)):
        return Pointer(match["path"], section=match["section"] or "")
    return None


def _target(target: str) -> Pointer:
    # `file.py`, `file.py:3:9`, `file.py:3:9,12:14`, `file.py:section`
    path, _, rest = target.partition(":")
    if not rest:
        return Pointer(path)
    if re.fullmatch(r"[\d:,\s-]*", rest):
        return Pointer(path, _ranges(rest))
    return Pointer(path, section=rest)


def _ranges(text: str) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    for part in text.replace(" ", "").split(","):
        first, colon, last = part.replace("-", ":").partition(":")
        if first or last:
            start = int(first or 1)
            ranges.append((start, int(last) if last else (10**9 if colon else start)))
    return tuple(ranges)


def literal_include(path: str, options: Mapping[str, str]) -> Pointer:
    """Return the include that Sphinx's `literalinclude` with these options is."""
    return Pointer(path, _ranges(options.get("lines", "")), options=options)


def follow(pointer: Pointer, document: str, reader: Reader | None) -> Lines | Failure:
    """Return the lines that an include stands for, dedented, or why they cannot be had."""
    try:
        included = reader(document, pointer.path) if reader else None
    except IncludeRefused:
        return Failure(
            "include_refused",
            f"{pointer.path} lies outside the allowed folders, so the code that stands here was not read.",
        )
    if included is None:
        return Failure(
            "include_not_found",
            f"{pointer.path} was not found, so the code that stands here was not checked. "
            "Paths are tried from the page's folder and each folder above it.",
        )
    lines = _select(read(included.text, included.file), pointer)
    if lines is None:
        wanted = pointer.section or ", ".join(f"{k}={v}" for k, v in pointer.options.items())
        return Failure("include_not_found", f"{pointer.path} has no part {wanted!r}.")
    return dedent(lines)


def _select(lines: Lines, pointer: Pointer) -> Lines | None:
    if pointer.section:
        return _section(lines, pointer.section)
    if pointer.options:
        narrowed = _narrow(lines, pointer.options)
        if narrowed is None:
            return None
        lines = narrowed
    if pointer.ranges:
        keep = [
            index
            for start, end in pointer.ranges
            for index in range(start - 1, min(end, len(lines)))
            if index >= 0
        ]
        return pick(lines, keep)
    marked = [i for i, text in enumerate(lines.texts) if _is_marker(text)]
    return pick(lines, sorted(set(range(len(lines))) - set(marked))) if marked else lines


def _is_marker(text: str) -> bool:
    return "8<" in text and _MARKER.search(text) is not None


def pick(lines: Lines, indexes: Sequence[int]) -> Lines:
    """Return the lines at these indexes."""
    return Lines(
        lines.file,
        [lines.texts[i] for i in indexes],
        tuple(lines.numbers[i] for i in indexes),
        [lines.offsets[i] for i in indexes],
    )


def _section(lines: Lines, name: str) -> Lines | None:
    inside, found = False, False
    keep: list[int] = []
    for index, text in enumerate(lines.texts):
        marker = _MARKER.search(text)
        if marker is None:
            keep += [index] if inside else []
        elif name in {marker["name"], marker["anchor"], marker["region"]}:
            inside = not (marker["what"] == "end" or marker["over"] or marker["endregion"])
            found = True
    return pick(lines, keep) if found else None


def _narrow(lines: Lines, options: Mapping[str, str]) -> Lines | None:
    start, stop = 0, len(lines)
    if "pyobject" in options:
        found = _object_range(lines, options["pyobject"])
        if found is None:
            return None
        start, stop = found
    for key, extra in (("start-after", 1), ("start-at", 0)):
        if key in options:
            index = _index_of(lines, options[key], start, stop)
            if index is None:
                return None
            start = index + extra
    for key, extra in (("end-before", 0), ("end-at", 1)):
        if key in options:
            index = _index_of(lines, options[key], start, stop)
            stop = stop if index is None else index + extra
    return lines.part(start, stop)


def _index_of(lines: Lines, text: str, start: int, stop: int) -> int | None:
    return next((i for i in range(start, stop) if text in lines.texts[i]), None)


def _object_range(lines: Lines, name: str) -> tuple[int, int] | None:
    try:
        body: Sequence[ast.stmt] = ast.parse(lines.text).body
    except (SyntaxError, ValueError):
        return None
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | None = None
    for part in name.split("."):
        named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        node = next((n for n in body if isinstance(n, named) and n.name == part), None)
        if node is None:
            return None
        body = node.body
    if node is None:
        return None
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return first - 1, node.end_lineno or first


def read_within(roots: Sequence[Path], bases: Sequence[Path] = ()) -> Reader:
    """Return a reader of files inside `roots`.

    A path is tried from the document's folder, then from each folder above it inside its root, then
    from `bases` (MkDocs calls them base_path) and the roots themselves. Links are resolved first, so
    that none leads out.
    """
    allowed = [root.resolve() for root in roots]

    @lru_cache(maxsize=4096)
    def included(joined: str) -> Included | None:
        # Most candidates do not exist; resolving links costs a system call for each folder.
        if not os.path.isfile(joined):
            return None
        path = real_path(joined)
        if not _inside(path, allowed) or path.stat().st_size > MAX_BYTES:
            return None
        return Included(str(path), path.read_text("utf-8", "surrogateescape"))

    @lru_cache(maxsize=4096)
    def folders_of(document: str) -> list[str]:
        folder = Path(document).parent.resolve()
        return [str(path) for path in _folders(folder, allowed, bases)]

    def reader(document: str, path: str) -> Included | None:
        folders = folders_of(document)
        for folder in folders:
            if found := included(os.path.join(folder, path)):
                return found
        # The answer must not depend on whether a file exists out there.
        if folders and not _inside(real_path(os.path.join(folders[0], path)), allowed):
            raise IncludeRefused(path)
        return None

    return reader


def real_path(path: str | Path) -> Path:
    """Return the path with links resolved, where that is possible: `Path.resolve` raises for links in a circle."""
    # No path holds a NUL, but a page may.
    return Path(os.path.realpath(str(path).replace("\0", "\ufffd")))


def _inside(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _folders(first: Path, roots: Sequence[Path], bases: Sequence[Path]) -> list[Path]:
    inside = [folder for folder in (first, *first.parents) if _inside(folder, roots)]
    return list(dict.fromkeys([*inside, *(base.resolve() for base in bases), *roots]))
