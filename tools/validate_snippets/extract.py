"""Turn files and texts into pages of snippets."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

from . import docstrings, markdown, notebooks, rst
from .includes import Reader
from .pages import Region, assemble
from .snippet import Page, Position, Problem
from .source import decode, read

Format = Literal["markdown", "mdx", "myst", "rst", "python", "notebook", "text"]

FORMATS: tuple[str, ...] = get_args(Format)

SUFFIXES: dict[str, Format] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "mdx",
    ".svx": "mdx",
    ".qmd": "markdown",
    ".rmd": "markdown",
    ".rst": "rst",
    ".rest": "rst",
    ".txt": "text",
    ".py": "python",
    ".pyi": "python",
    ".ipynb": "notebook",
}


def format_of(path: str) -> Format | None:
    """Return the format that a file's name says, None for one that holds no documentation."""
    return SUFFIXES.get(Path(path).suffix.lower())


def extract(text: str, file: str, format: Format, reader: Reader | None = None) -> Page:
    """Return the snippets of a document.

    `file` names it in every position; includes are looked up from there through `reader`, and are
    reported as problems without one.
    """
    lines = read(text, file)
    problems: list[Problem] = []
    regions: Iterable[Region]
    if format == "python":
        found, problems = docstrings.find(text, file)
        regions = [
            Region(docstrings.scan(docstring, reader), docstring.scope) for docstring in found
        ]
    elif format == "notebook":
        regions = [Region(notebooks.scan(text, file))]
    elif format in {"rst", "text"}:
        regions = [Region(rst.scan(lines, rst.Dialect(file, reader)))]
    else:
        regions = [Region(markdown.scan(lines, markdown.Dialect(file, reader)))]
    snippets, more = assemble(file, regions, lines.texts)
    return Page(file, snippets, (*problems, *more))


def extract_file(path: Path, format: Format, reader: Reader | None = None) -> Page:
    """Read a file and return its snippets. Raises OSError if the file cannot be read."""
    text, valid = decode(path.read_bytes())
    page = extract(text, str(path), format, reader)
    if valid:
        return page
    message = "This file is not UTF-8; bytes that could not be read stand for themselves."
    problem = Problem("undecodable", Position(str(path), 1, 1), message)
    return Page(page.file, page.snippets, (problem, *page.problems))
