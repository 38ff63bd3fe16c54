"""What is to be validated, and the pages that it comes to."""

import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...server.sandbox import InvalidInput
from .choices import Format, Mode, Updating
from .extract import SUFFIXES, extract, format_of, module_name
from .includes import read_within, real_path
from .snippet import Expected, LineMap, Page, Position, Problem, Snippet, Span
from .source import decode

logger = logging.getLogger(__name__)

MAX_FILES = 5000
MAX_FILE_BYTES = 8 * 1024**2
MAX_BYTES = 64 * 1024**2
"""Of all documents together: they are held while they are validated, and so are their reports."""
MAX_ITEMS = 5000
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "site-packages", "venv"})
# A folder's .txt files are lists of requirements more often than pages.
_FOLDER_SUFFIXES = frozenset(SUFFIXES) - {".txt", ".pyi"}


@dataclass(frozen=True, slots=True)
class Item:
    """A raw snippet, as a store of examples has it."""

    id: str
    code: str
    language: str = "python"


@dataclass(frozen=True, slots=True)
class SnippetsRequest:
    """One validation: of `paths`, of a `text` in a `format`, or of raw `snippets`.

    `setup` is Python that runs before every Python snippet. `skip` names what to leave out: a pattern for
    files (`docs/old/*`), `FILE:LINE` for a snippet, or the id of a raw one. `normalise` maps patterns to what
    stands for their matches in shown and real output. `only_working` leaves out what did not pass.
    `timeout_seconds` is for each. `project` is the folder whose settings are in it: `skip` may name files from there.
    """

    paths: tuple[str, ...] = ()
    text: str | None = None
    format: Format = "markdown"
    snippets: tuple[Item, ...] = ()
    mode: Mode = "auto"
    packages: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    setup: str = ""
    skip: tuple[str, ...] = ()
    normalise: Mapping[str, str] = field(default_factory=dict[str, str])
    update: Updating = "no"
    only_working: bool = False
    timeout_seconds: float = 30.0
    project: Path | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A page and what it is called in the report; `ids` are those of raw items, by index.

    `unreadable` says why there is no page.
    """

    name: str
    page: Page
    ids: Mapping[int, str] = field(default_factory=dict[int, str])
    unreadable: str = ""


def documents(request: SnippetsRequest, roots: Sequence[Path]) -> Iterator[Document]:
    """Return the pages that a request names, one by one.

    Raises:
        InvalidInput: not exactly one of paths, text and snippets; a path that does not exist, is of no
            known format, or lies outside `roots`.
    """
    given = [bool(request.paths), request.text is not None, bool(request.snippets)]
    if sum(given) != 1:
        raise InvalidInput("Give exactly one of paths, text and snippets.")
    if request.text is not None:
        return iter([_document("<text>", extract(request.text, "<text>", request.format))])
    if request.snippets:
        return iter([_items(request.snippets)])
    files = _files(request.paths, [root.resolve() for root in roots])
    _check_size(sum(map(_size, files)), "paths name files of")
    shown = Counter(display(str(path), roots) for path in files)
    # Whatever is known by its name (a baseline's failures) must not be taken for another's.
    unclear = {name for name, count in shown.items() if count > 1}
    return (_read(path, roots, unclear) for path in files)


def _check_size(size: int, what: str) -> None:
    if size > MAX_BYTES:
        raise InvalidInput(
            f"{what} {size:,} bytes; at most {MAX_BYTES:,} are validated at a time. Name fewer."
        )


def _size(path: Path) -> int:
    try:
        size = path.stat().st_size
    except OSError:
        return 0  # it will be said of the file
    return size if size <= MAX_FILE_BYTES else 0


def _items(items: Sequence[Item]) -> Document:
    if len(items) > MAX_ITEMS:
        raise InvalidInput(f"snippets has {len(items)} items; at most {MAX_ITEMS} fit in a call.")
    _check_size(sum(len(item.code) for item in items), "snippets has")
    ids = [item.id for item in items]
    if len(set(ids)) != len(ids):
        raise InvalidInput("Two snippets have the same id; every id must be there once.")
    found: list[Snippet] = []
    problems: list[Problem] = []
    for index, item in enumerate(items):
        name = f"<{item.id}>"
        page = extract(_fenced(item), name, "markdown")
        if len(page.snippets) != 1:
            raise InvalidInput(f"The snippet {item.id!r} has no code that could be found.")
        problems += page.problems
        found.append(_moved(page.snippets[0], index))
    return Document(
        "<snippets>", Page("<snippets>", tuple(found), tuple(problems)), dict(enumerate(ids))
    )


def _fenced(item: Item) -> str:
    # A name that is none must not hold up the other items.
    language = re.sub(r"[^\w+#.-]", "-", item.language) or "text"
    longest = max((len(run) for run in re.findall("~+", item.code)), default=0)
    fence = "~" * max(3, longest + 1)
    return f"{fence}{language}\n{item.code}\n{fence}\n"


def _moved(snippet: Snippet, index: int) -> Snippet:
    """A raw item as if its code began at line 1 of a file of its own, in a namespace of its own."""
    # The fence that it was wrapped in is one line.
    spans = [
        Span(span.file, span.first, [n - 1 for n in span.numbers], span.columns)
        for span in snippet.map.spans
    ]
    return replace(
        snippet,
        index=index,
        document=index,
        line=max(1, snippet.line - 1),
        end_line=max(1, snippet.end_line - 1),
        opening_line=1,
        map=LineMap(tuple(spans)),
        examples=tuple(replace(e, want=_up(e.want)) for e in snippet.examples),
        commands=tuple(replace(c, output=_up(c.output)) for c in snippet.commands),
        expected=tuple(filter(None, map(_up, snippet.expected))),
    )


def _up(shown: Expected | None) -> Expected | None:
    return shown and replace(shown, line=shown.line - 1, end_line=shown.end_line - 1)


def _read(path: Path, roots: Sequence[Path], unclear: Collection[str]) -> Document:
    name = display(str(path), roots)
    name = str(path) if name in unclear else name
    empty = Page(str(path))
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return Document(name, empty, unreadable=f"It is larger than {MAX_FILE_BYTES:,} bytes.")
        text, valid = decode(path.read_bytes())
    except OSError as error:
        return Document(name, empty, unreadable=f"It cannot be read: {error.strerror}.")
    format = format_of(path.name) or "markdown"
    try:
        page = extract(text, str(path), format, read_within(roots), module=module_name(path))
    except Exception:
        # A fault of ours in one of many files must not cost the verdict on the others.
        logger.exception("No snippets could be taken from %s", path)
        why = "proofbox has a fault and could not take snippets from it; its log says more."
        return Document(name, empty, unreadable=why)
    if not valid:
        message = "This file is not UTF-8; bytes that could not be read stand for themselves."
        problem = Problem("undecodable", Position(str(path), 1, 1), message)
        page = replace(page, problems=(problem, *page.problems))
    return _document(name, page)


def _document(name: str, page: Page) -> Document:
    why = (one.message for one in page.problems if one.kind == "unreadable_notebook")
    return Document(name, page, unreadable=next(why, ""))


def display(path: str, roots: Sequence[Path]) -> str:
    """Return a path as the report shows it: relative to the root that it lies in."""
    for root in roots:
        resolved = root.resolve()
        if Path(path).is_relative_to(resolved):
            return str(Path(path).relative_to(resolved))
    return path


def _files(paths: Sequence[str], roots: Sequence[Path]) -> list[Path]:
    if not roots:
        raise InvalidInput(
            "This server may not read files. Send the text itself, or set PROOFBOX_ROOTS to the "
            "folders that paths may name."
        )
    found: dict[Path, None] = {}
    for path in paths:
        before = len(found)
        for file in _expanded(path, roots):
            found[file] = None
            if len(found) > MAX_FILES:
                raise InvalidInput(f"paths name more than {MAX_FILES:,} files; name fewer.")
        if len(found) == before and not any(True for _ in _expanded(path, roots)):
            raise InvalidInput(f"{path!r} names no file that can hold snippets.")
    return list(found)


def _expanded(path: str, roots: Sequence[Path]) -> Iterator[Path]:
    if "\0" in path:
        raise InvalidInput("A path cannot hold a NUL.")
    if glob.has_magic(path) and not any(os.path.exists(root / path) for root in roots):
        yield from _matches(path, roots)
        return
    found = _inside(path, roots)
    if found.is_dir():
        yield from _walk(found, roots)
    elif format_of(found.name) is None:
        known = ", ".join(sorted(SUFFIXES))
        raise InvalidInput(f"{path!r} is of no known format; known are {known}.")
    elif not found.is_file():
        raise InvalidInput(f"{path!r} is neither a file nor a folder, so it cannot be read.")
    else:
        yield found


def _inside(path: str, roots: Sequence[Path]) -> Path:
    """The file or folder that a path names, links resolved.

    Raises:
        InvalidInput: it is outside the roots, or does not exist. Outside reads alike either way.
    """
    candidates = [real_path(root / path) for root in roots]
    allowed = [found for found in candidates if _allowed(found, roots)]
    if not allowed:
        shown = ", ".join(map(str, roots))
        raise InvalidInput(f"{path!r} is outside the folders that may be read: {shown}.")
    for found in allowed:
        if os.path.exists(found):
            return found
    raise InvalidInput(f"{path!r} does not exist below {', '.join(map(str, roots))}.")


def _allowed(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _matches(pattern: str, roots: Sequence[Path]) -> Iterator[Path]:
    if ".." in Path(pattern).parts:
        raise InvalidInput(f"{pattern!r} leads upwards; patterns may not.")
    for root in roots:
        relative = os.path.relpath(pattern, root) if os.path.isabs(pattern) else pattern
        if relative.startswith(".."):
            continue
        for name in sorted(glob.iglob(relative, root_dir=root, recursive=True)):
            found = real_path(root / name)
            if found.is_file() and _allowed(found, roots) and format_of(found.name):
                yield found


def _walk(folder: Path, roots: Sequence[Path]) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f[0] != "." and f not in _SKIPPED_FOLDERS)
        for name in sorted(names):
            path = real_path(Path(parent, name))
            wanted = path.suffix.lower() in _FOLDER_SUFFIXES and name[0] != "."
            if wanted and path.is_file() and _allowed(path, roots):
                yield path
