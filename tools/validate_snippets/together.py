"""A page as one program: its snippets one after another in one namespace, each judged by its own cells.

What one snippet raises does not end the page. If one ends the process, those behind it are left to be run again
without it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ...server.sandbox import Captured, Cell, CellResult, Program, ProgramResult
from . import build, recorder
from .build import Built, Surroundings
from .plan import plan
from .snippet import Home, Snippet


@dataclass(frozen=True, slots=True)
class Part:
    """A snippet's own cells in the page's program: from index `start`."""

    index: int
    start: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """The program of a page, and where in it each snippet is; `prelude` cells come before them all."""

    program: Program
    prelude: int
    parts: tuple[Part, ...]


def fits(snippet: Snippet) -> bool:
    """Whether a snippet can share a process: it asks for nothing that holds for all of one."""
    said = snippet.marks
    return snippet.language in {"python", "pycon"} and not said.env and said.timeout is None


def whole(
    page: Sequence[Snippet],
    indexes: Sequence[int],
    around: Surroundings,
    name: str,
    *,
    modules: Collection[str],
    home: Home | None,
) -> Whole:
    """Return the program that runs these snippets of a namespace in their order."""
    imports: dict[str, None] = {}
    for index in indexes:
        attempt = plan(page, index, mode="page", modules=modules, home=home)[0]
        imports |= dict.fromkeys(attempt.imports)
    cells: list[Cell] = []
    if around.setup:
        cells.append(Cell(around.setup, "<setup>"))
    if imports:
        cells.append(Cell("\n".join(imports), "<imports>"))
    if any(build.records(page[index]) for index in indexes):
        cells.append(Cell(recorder.source(around.token), "<recorder>"))
    prelude = len(cells)
    parts: list[Part] = []
    for index in indexes:
        own = tuple(build.own_cells(page[index]))
        parts.append(Part(index, len(cells), own))
        most = page[index].marks.timeout or around.timeout
        cells += [replace(cell, may_raise=True, timeout=most) for cell in own]
    timeout = sum(cell.timeout or around.timeout for cell in cells)
    files = home.files(imports) if home else dict[str, bytes]()
    program = Program(name, tuple(cells), files=files, env=around.env, timeout=timeout)
    return Whole(program, prelude, tuple(parts))


def results(
    made: Whole, page: Sequence[Snippet], result: ProgramResult, token: str
) -> Mapping[int, tuple[Built, ProgramResult]]:
    """Return for each snippet that began its cells and how they ended, as if it had run by itself."""
    found: dict[int, tuple[Built, ProgramResult]] = {}
    for part in made.parts:
        ran = result.cells[part.start : part.start + len(part.cells)]
        if not ran:
            break
        if page[part.index].kind == "doctest":
            ran = tuple(_plain(cell, token) for cell in ran)
        built = Built(replace(made.program, cells=part.cells), 0)
        found[part.index] = (built, _cut(part.cells, ran, result))
    return found


def _plain(cell: CellResult, token: str) -> CellResult:
    if token not in cell.stdout.text:
        return cell
    return replace(cell, stdout=Captured(recorder.read(cell.stdout.text, token)[1]))


def _cut(cells: Sequence[Cell], ran: Sequence[CellResult], result: ProgramResult) -> ProgramResult:
    """The part of a result up to the first cell that would have ended a program of its own."""
    for number, (cell, one) in enumerate(zip(cells, ran, strict=False), 1):
        raised = cell.may_raise and one.outcome == "raised"
        if one.outcome != "completed" and not raised:
            return replace(
                result, outcome=one.outcome, reason=one.reason, cells=tuple(ran[:number])
            )
    whole_ran = len(ran) == len(cells)
    outcome = "completed" if whole_ran else result.outcome
    return replace(result, outcome=outcome, cells=tuple(ran))
