"""pydantic's documentation, whose own test harness says which of its blocks work.

    git clone --branch v2.13.4 --depth 1 https://github.com/pydantic/pydantic FOLDER
    uv run --python 3.12 benchmarks/snippets_pydantic.py FOLDER

Every block that starts with ```` ```py ```` is labelled by what its authors' harness does with it: it is skipped if
it says so, wants a newer Python, or stands on the page that has a test of its own; else it passes. proofbox must find
all of them, must have every one that passes work, and may call none that is skipped a failure. The harness has
three settings, which go in as `env` and `setup`.
"""

import argparse
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import anyio
import platformdirs

from proofbox.server.assembly import open_app
from proofbox.server.settings import Settings
from proofbox.tools.validate_snippets.report import SnippetReport, SnippetsReport
from proofbox.tools.validate_snippets.request import SnippetsRequest
from proofbox.tools.validate_snippets.run import run

PACKAGES = (
    "pydantic[email,timezone]==2.13.4",
    "pydantic-settings",
    "pydantic-extra-types",
    "devtools",
    "sqlalchemy",
    "requests",
    "pytz",
)
ENV = {"PYDANTIC_ERRORS_INCLUDE_URL": "0"}
SETUP = """\
import datetime as _datetime
import random as _random

class _Frozen(_datetime.datetime):
    @classmethod
    def now(cls, *args, tz=None, _real=_datetime.datetime, **kwargs):
        return _real(2032, 1, 2, 3, 4, 5, 6, tzinfo=tz)

_datetime.datetime = _Frozen
_random.randint = lambda *bounds: 3
"""
_FENCE = re.compile(r"^[ \t]*```py(?P<info>.*)$")
_REQUIRES = re.compile(r'requires="(\d+)\.(\d+)"')


@dataclass(frozen=True, slots=True)
class Label:
    """A block and whether its authors' harness runs it."""

    file: str
    line: int
    runs: bool


def labels(docs: Path) -> list[Label]:
    """Every Python block of the pages, read without proofbox."""
    found: list[Label] = []
    for path in sorted(docs.rglob("*.md")):
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if match := _FENCE.match(line):
                name = path.relative_to(docs.parent).as_posix()
                runs = path.name != "devtools.md" and _runs(match["info"])
                found.append(Label(name, number, runs))
    return found


def _runs(info: str) -> bool:
    if 'test="skip' in info:
        return False
    match = _REQUIRES.search(info)
    return match is None or sys.version_info >= (int(match[1]), int(match[2]))


def request() -> SnippetsRequest:
    """The pages, with what the harness sets."""
    return SnippetsRequest(paths=("docs",), packages=PACKAGES, env=ENV, setup=SETUP)


async def validate(folder: Path) -> SnippetsReport:
    """Validate the pages of a checkout."""
    cache = platformdirs.user_cache_path("proofbox")
    async with open_app(Settings(backend="local", cache_dir=cache), roots=(folder,)) as app:
        return await run(app, "local", request(), progress)


def progress(done: int, total: int) -> None:
    """One line on stderr."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} of {total}")


def by_place(report: SnippetsReport) -> dict[tuple[str, int], SnippetReport]:
    """The results of Python blocks, by file and the line of the fence."""
    return {
        (file.file, result.line - 1): result
        for file in report.files
        for result in file.results
        if result.language in {"python", "pycon"}
    }


def compare(wanted: list[Label], report: SnippetsReport) -> list[str]:
    """What there is to say, with every disagreement."""
    results = by_place(report)
    lost = [one for one in wanted if (one.file, one.line) not in results]
    lines = [f"blocks {len(wanted)}, found {len(wanted) - len(lost)}"]
    lines += [f"  not found: {one.file}:{one.line}" for one in lost]
    for runs, name in ((True, "pass in their harness"), (False, "skipped by it")):
        group = [one for one in wanted if one.runs is runs and one not in lost]
        kinds = Counter(results[one.file, one.line].kind for one in group)
        lines.append(f"{name}: {len(group)}: {dict(kinds.most_common())}")
        for one in group:
            result = results[one.file, one.line]
            if result.verdict == "failed" or (runs and result.verdict != "passed"):
                where = f"  {one.file}:{result.error_line or result.line}: {result.kind}"
                lines += [f"{where}: {result.reason} {result.error or ''}", result.diff]
    return [*lines, f"{report.duration_seconds:.1f} s, Python {report.python}"]


def main() -> None:
    """Measure and print; the exit code is 1 if anything is not as its authors have it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkout of pydantic at v2.13.4")
    folder: Path = parser.parse_args().folder.resolve()
    wanted = labels(folder / "docs")
    lines = compare(wanted, anyio.run(validate, folder))
    sys.stdout.write("\n".join(line for line in lines if line) + "\n")
    sys.exit(any(line.startswith("  ") for line in lines))


if __name__ == "__main__":
    main()
