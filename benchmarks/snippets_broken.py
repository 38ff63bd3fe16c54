"""How many broken examples get through: blocks of pydantic's documentation, each broken in one way.

    uv run --python 3.12 benchmarks/snippets_broken.py FOLDER [--count 200]

FOLDER is that of `snippets_pydantic.py`. Blocks that work alone are broken in turn by a renamed attribute, a removed
argument, a wrong expected output, a missing import or a syntax error, and validated again: by themselves, and in
their page, where earlier blocks may supply what was removed. A broken block that is not called `failed` got through.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import platformdirs
from breaking import WAYS, Broken, broken
from snippets_pydantic import request

from proofbox.server.assembly import open_app
from proofbox.server.settings import Settings
from proofbox.tools._app import App
from proofbox.tools.validate_snippets.report import SnippetReport, SnippetsReport
from proofbox.tools.validate_snippets.request import Item
from proofbox.tools.validate_snippets.run import run

_SEED = 20260


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken block: how, the line of the block that is wrong, and where it comes from."""

    way: str
    broken: Broken
    file: str
    result: SnippetReport


def mutants(report: SnippetsReport, count: int) -> list[Mutant]:
    """Blocks that work alone, each broken once, the ways in turn."""
    chance = random.Random(_SEED)
    blocks = [
        (file.file, result)
        for file in report.files
        for result in file.results
        if result.kind == "works" and result.language == "python" and not result.setup
    ]
    chance.shuffle(blocks)
    found: list[Mutant] = []
    wanted = {way: count // len(WAYS) + (n < count % len(WAYS)) for n, way in enumerate(WAYS)}
    for file, result in blocks:
        for way in sorted(wanted, key=lambda way: -wanted[way]):
            made = broken(result.snippet, way, chance) if wanted[way] else None
            if made is not None:
                wanted[way] -= 1
                found.append(Mutant(way, made, file, result))
                break
    return found


async def check(app: App, wanted: Sequence[Mutant]) -> SnippetsReport:
    """Validate the broken blocks, each by itself."""
    items = tuple(Item(str(number), one.broken.code) for number, one in enumerate(wanted))
    return await run(app, "local", replace(request(), paths=(), snippets=items, mode="isolated"))


def table(wanted: Sequence[Mutant], report: SnippetsReport) -> list[str]:
    """What was caught, by the way in which it was broken, and what was not."""
    results = {result.id: result for file in report.files for result in file.results}
    made, caught, placed = Counter[str](), Counter[str](), Counter[str]()
    lines: list[str] = []
    for number, one in enumerate(wanted):
        result = results[str(number)]
        made[one.way] += 1
        caught[one.way] += result.verdict == "failed"
        right = result.error_line in one.broken.lines
        placed[one.way] += result.verdict == "failed" and right
        if result.verdict != "failed" or not right:
            where = f"{one.file}:{one.result.line}"
            lines.append(f"  {one.way}, {where}, lines {sorted(one.broken.lines)}: "
                         f"{result.kind} at {result.error_line}: {result.reason}")  # fmt: skip
    for way in WAYS:
        lines.append(
            f"{way:22}{made[way]:4} made {caught[way]:4} caught {placed[way]:4} line named"
        )
    total, all_caught, named = made.total(), caught.total(), placed.total()
    lines.append(
        f"{all_caught} of {total} caught ({all_caught / total:.1%}), line named in {named}"
    )
    return lines


async def measure(folder: Path, count: int) -> list[str]:
    """Validate as it is, break, validate again."""
    cache = platformdirs.user_cache_path("proofbox")
    async with open_app(Settings(backend="local", cache_dir=cache), roots=(folder,)) as app:
        report = await run(app, "local", request())
        wanted = mutants(report, count)
        return table(wanted, await check(app, wanted))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkout of pydantic at v2.13.4")
    parser.add_argument("--count", type=int, default=200)
    given = parser.parse_args()
    lines = anyio.run(measure, given.folder.resolve(), given.count)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
