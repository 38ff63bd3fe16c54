"""The part of a report that fits into one answer: the worst first, long texts cut, the rest counted."""

from dataclasses import dataclass
from typing import Any

from .. import _text
from .._workflow_report import Rest
from .report import ORDER, FileReport, SnippetReport, SnippetsReport

RESULTS = 40
CHARACTERS = 24_000
FULL_CHARACTERS = 40_000
PROBLEMS = 10
PATCH = 8_000
_SNIPPET, _PASSED_SNIPPET, _DIFF, _ERROR, _FORM = 400, 160, 1500, 600, 6000


@dataclass(frozen=True, slots=True)
class _Item:
    """A result, or a file that has none."""

    rank: int
    file: int
    result: SnippetReport | None


def page(report: SnippetsReport, offset: int = 0, full: bool = False) -> SnippetsReport:
    """The report from its result `offset` on, worst results first, as a `Workflow` wants it."""
    items = _items(report)
    taken: list[tuple[_Item, SnippetReport | None]] = []
    room, cut = FULL_CHARACTERS if full else CHARACTERS, 0
    for item in items[offset : offset + RESULTS]:
        shown, omitted = (item.result, 0) if full or not item.result else _cut(item.result)
        room -= len(shown.model_dump_json(exclude_defaults=True)) if shown else 100
        if room < 0 and taken:
            break
        taken.append((item, shown))
        cut += omitted
    files, omitted = _files(report, taken, first=_first_of(items), offset=offset, full=full)
    left = max(0, len(items) - offset - len(taken))
    cut += omitted
    rest = Rest(results=left, offset=offset + len(taken) if left else None, characters=cut)
    change = {"files": files, "files_left_out": len(report.files) - len(files)}
    return report.model_copy(update=change | {"rest": rest if left or cut else None})


def _items(report: SnippetsReport) -> list[_Item]:
    items: list[_Item] = []
    for number, file in enumerate(report.files):
        items += [_Item(ORDER.index(one.verdict), number, one) for one in file.results]
        if not file.results:
            items.append(_Item(ORDER.index(file.verdict), number, None))
    return sorted(items, key=lambda item: item.rank)


def _first_of(items: list[_Item]) -> dict[int, int]:
    first: dict[int, int] = {}
    for number, item in enumerate(items):
        first.setdefault(item.file, number)
    return first


def _files(
    report: SnippetsReport,
    taken: list[tuple[_Item, SnippetReport | None]],
    *,
    first: dict[int, int],
    offset: int,
    full: bool,
) -> tuple[list[FileReport], int]:
    """The files of these items, and how many characters of their problems are left out."""
    results: dict[int, list[SnippetReport]] = {}
    for item, shown in taken:
        results.setdefault(item.file, []).extend([shown] if shown else [])
    files: list[FileReport] = []
    omitted = 0
    for number, kept in results.items():
        file = report.files[number]
        # What is said of the file is said once, with its first result.
        said = file.problems if first[number] >= offset else []
        problems = said if full else said[:PROBLEMS]
        omitted += sum(map(len, said[len(problems) :]))
        patch = file.patch if first[number] >= offset else ""
        if len(patch) > PATCH and not full:
            # Half a patch is none.
            omitted, patch = omitted + len(patch), ""
        change = {
            "results": kept,
            "left_out": len(file.results) - len(kept),
            "problems": problems,
            "patch": patch,
        }
        files.append(file.model_copy(update=change))
    return files, omitted


def _cut(result: SnippetReport) -> tuple[SnippetReport, int]:
    """The result with its long texts cut, and by how many characters."""
    diff, error = _text.cut(result.diff, _DIFF), _text.cut(result.error or "", _ERROR)
    snippet = _text.cut(result.snippet, _PASSED_SNIPPET if result.valid else _SNIPPET)
    change: dict[str, Any] = {
        "snippet": snippet.text,
        "diff": diff.text,
        "error": error.text if result.error else result.error,
    }
    # Of what passed, the reader has the text: the document says it.
    omitted = diff.omitted + error.omitted + (0 if result.valid else snippet.omitted)
    form = result.standalone
    if form is not None and (size := len(form.code) + len(form.output)) > _FORM:
        # Half an example is none.
        omitted, change["standalone"] = omitted + size, None
        change["no_standalone"] = f"It has {size:,} characters, which did not fit here."
    if len(result.patch) > PATCH:
        omitted, change["patch"] = omitted + len(result.patch), ""
    return result.model_copy(update=change), omitted
