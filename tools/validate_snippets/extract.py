"""Turn files and texts into pages of snippets."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import get_args

from . import docstrings, markdown, notebooks, rst
from .choices import Format
from .includes import Reader
from .pages import Region, assemble
from .snippet import Home, Page, Position, Problem
from .source import decode, read

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


def extract(
    text: str, file: str, format: Format, reader: Reader | None = None, *, module: str = ""
) -> Page:
    """Return the snippets of a document.

    `file` names it in every position; includes are looked up from there through `reader`, and are
    reported as problems without one. `module` is the dotted name of a Python file that can be imported.
    """
    lines = read(text, file)
    found = docstrings.find(text, file) if format == "python" else docstrings.Module()
    regions: Iterable[Region]
    if format == "python":
        regions = [Region(docstrings.scan(d, reader), d.scope) for d in found.docstrings]
    elif format == "notebook":
        regions = [Region(notebooks.scan(text, file))]
    elif format in {"rst", "text"}:
        regions = [Region(rst.scan(lines, rst.Dialect(file, reader)))]
    else:
        regions = [Region(markdown.scan(lines, markdown.Dialect(file, reader)))]
    snippets, problems = assemble(file, regions, lines.texts)
    home = None
    if snippets and module:
        home = Home(module, found.defined, found.imported)
    elif snippets and format == "python" and (alone := _alone(file)):
        home = Home(alone, found.defined, found.imported, text)
    return Page(file, snippets, (*found.problems, *problems), home)


def _alone(file: str) -> str:
    """The name under which a file in no package is imported from its folder, "" if it is another's."""
    if file == "<text>":
        return "document"
    path = Path(file)
    usable = path.suffix == ".py" and path.stem.isidentifier()
    return path.stem if usable and path.stem not in sys.stdlib_module_names else ""


def module_name(path: Path) -> str:
    """Return the dotted name under which a Python file is imported, by the packages that it lies in.

    A file outside a package has none.
    """
    if path.suffix != ".py" or not (path.parent / "__init__.py").is_file():
        return ""
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.append(folder.name)
        folder = folder.parent
    return ".".join(reversed(parts))


def extract_file(path: Path, format: Format, reader: Reader | None = None) -> Page:
    """Read a file and return its snippets. Raises OSError if the file cannot be read."""
    text, valid = decode(path.read_bytes())
    page = extract(text, str(path), format, reader, module=module_name(path))
    if valid:
        return page
    message = "This file is not UTF-8; bytes that could not be read stand for themselves."
    problem = Problem("undecodable", Position(str(path), 1, 1), message)
    return replace(page, problems=(problem, *page.problems))
