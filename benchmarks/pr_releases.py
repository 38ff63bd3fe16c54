"""Releases of real packages, each checked as a pull request on the one before, several times.

    uv run benchmarks/pr_releases.py [--runs N] [NAME==FIRST,SECOND,... ...]

For each: the verdict, how many tests of each kind, what could not be decided, and whether all runs say the same of every test.
Ends with 1 where counts do not add up or two runs differ.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import anyio
from pr_cost import by_tool, repository

from proofbox.tools.check_pr.review.report import PrReport

PACKAGES = (
    "humanize==4.9.0,4.10.0,4.11.0",
    "more-itertools==10.3.0,10.4.0,10.5.0",
    "toolz==0.12.1,1.0.0",
)


def told(report: PrReport) -> list[object]:
    """All that must be the same in every run."""
    return [
        [project.folder, project.verdict, project.counts, project.regressions, project.problems]
        + [[test.id, test.kind] for test in project.tests]
        for project in report.projects
    ]


async def check(repo: Path, versions: Sequence[str], runs: int) -> bool:
    """Print a line for a release; whether all is well."""
    reports = [(await by_tool(repo, versions, all_tests=True))[1] for _ in range(runs)]
    same = all(told(one) == told(reports[0]) for one in reports)
    adds_up = all(sum(p.counts.values()) == p.total_tests for one in reports for p in one.projects)
    [project] = reports[0].projects
    counts = ", ".join(f"{number} {kind}" for kind, number in project.counts.items())
    sys.stdout.write(
        f"{' to '.join(versions):<20}{reports[0].verdict:<9}{project.total_tests} tests: {counts}\n"
        f"    {'the same' if same else 'NOT THE SAME'} in {runs} runs; counts "
        f"{'add up' if adds_up else 'DO NOT ADD UP'}; problems: {project.problems or 'none'}\n"
    )
    sys.stdout.flush()
    return same and adds_up


async def main_of(packages: Sequence[str], runs: int) -> bool:
    """Check every release of every package."""
    good = True
    for wanted in packages:
        name, _, listed = wanted.partition("==")
        versions = listed.split(",")
        sys.stdout.write(f"{name}\n")
        with tempfile.TemporaryDirectory() as folder:
            repo = await anyio.to_thread.run_sync(repository, Path(folder), name, versions)
            for pair in pairwise(versions):
                good = await check(repo, pair, runs) and good
    return good


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    given = parser.parse_args()
    if not anyio.run(main_of, given.packages, given.runs):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
