"""What checking a pull request costs over the plain work: installing twice and running the same tests three times.

    uv run benchmarks/pr_cost.py [--rounds N] [--no-mutation] [--all-tests] [NAME==BEFORE,AFTER ...]

Releases of real packages are commits of a repository, the later one the pull request. By hand: two new environments, the
project, pytest, coverage and what its tests need installed into both by `uv pip install`, and `python -m pytest` over the
same test files three times (twice at base, once at head), one after the other, in a copy of the releases that nobody has
built before. The tool is called as by default, with a cache of its own that is empty, so it resolves, builds, installs
and compiles all anew. Wall time, hand and tool in turn, the best of the rounds of each; uv's own cache of wheels is warm
for both. Tests that fail by hand do not matter, but that they ran does: it is an error if pytest says of none that it passed.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
from uv import find_uv_bin

from proofbox.server.assembly import open_app
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.server.settings import Settings
from proofbox.tools.check_pr.request import PrRequest
from proofbox.tools.check_pr.review.report import PrReport
from proofbox.tools.check_pr.run import run
from proofbox.tools.run_generated_tests.manifest import read_manifest

PACKAGES = ("humanize==4.10.0,4.11.0", "more-itertools==10.3.0,10.4.0", "toolz==0.12.1,1.0.0")
_GIT = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]


def unpacked(folder: Path, name: str, version: str) -> Path:
    """The source distribution of a release."""
    target = folder / version
    target.mkdir(parents=True)
    pip = [find_uv_bin(), "--quiet", "tool", "run", "pip", "--quiet", "download", "--no-deps"]
    wanted = ["--no-binary", ":all:", "-d", str(target), f"{name}=={version}"]
    subprocess.run([*pip, *wanted], check=True, stderr=subprocess.DEVNULL)
    [archive] = target.iterdir()
    with tarfile.open(archive) as packed:
        packed.extractall(target, filter="data")
    [inside] = [path for path in target.iterdir() if path.is_dir()]
    return inside


def repository(folder: Path, name: str, versions: Sequence[str]) -> Path:
    """A commit a release, tagged with its version."""
    repo = folder / "repo"
    repo.mkdir()
    subprocess.run([*_GIT, "init", "-q", str(repo)], check=True)
    for version in versions:
        inside = unpacked(folder, name, version)
        git = [*_GIT, f"--work-tree={inside}", f"--git-dir={repo / '.git'}"]
        subprocess.run([*git, "add", "-A", "-f"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", version], check=True)
        subprocess.run([*git, "tag", version], check=True)
    return repo


def by_hand(trees: Sequence[Path], needed: Sequence[Sequence[str]], tests: Sequence[str]) -> float:
    """Seconds of the plain work on the trees of base and head.

    Raises:
        AssertionError: pytest ran no test.
    """
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(shutil.copytree(tree, f"{folder}/tree{n}")) for n, tree in enumerate(trees)]
        began = time.perf_counter()
        for index in (0, 1):
            python = f"{folder}/{index}/bin/python"
            subprocess.run([find_uv_bin(), "-q", "venv", f"{folder}/{index}"], check=True)
            install = [find_uv_bin(), "-q", "pip", "install", "--python", python]
            subprocess.run([*install, *needed[index], str(copies[index])], check=True)
        for index in (0, 0, 1):
            pytest_by_hand(f"{folder}/{index}/bin/python", copies[index], tests)
        return time.perf_counter() - began


def pytest_by_hand(python: str, tree: Path, tests: Sequence[str]) -> None:
    """Run the tests of a tree that are there."""
    there = [path for path in tests if (tree / path).exists()]
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ran = subprocess.run(
        [python, "-m", "pytest", "-q", "-o", "addopts=", *there],
        check=False,
        capture_output=True,
        cwd=tree,
        env=kept,
        text=True,
    )
    assert re.search(r"\b[1-9]\d* passed", ran.stdout), ran.stdout[-2000:] + ran.stderr[-2000:]


def _needed(tree: Path) -> Sequence[str]:
    """What the project's tests need, as its manifests say."""
    files = {path.name: path.read_bytes() for path in tree.iterdir() if path.is_file()}
    for path in tree.glob("requirements/*.txt"):
        files[str(path.relative_to(tree))] = path.read_bytes()
    return "pytest", "coverage", *read_manifest(files).packages


async def by_tool(
    repo: Path, versions: Sequence[str], *, mutation: bool = True, all_tests: bool = False
) -> tuple[float, PrReport]:
    """Seconds of a whole check, and what it found."""
    with tempfile.TemporaryDirectory() as cache:
        backend = LocalBackend(cache_dir=Path(cache))
        async with open_app(Settings(), backend=backend, warm=False) as app:
            # Jails as `proofbox pr` has them, the cache too.
            app = replace(app, roots=(repo.parent,), cache=Path(cache))
            base, head = versions
            request = PrRequest(
                str(repo), base=base, head=head, mutation=mutation, all_tests=all_tests
            )
            began = time.perf_counter()
            report = await run(app, "local", request)
            return time.perf_counter() - began, report


async def measure(wanted: str, given: argparse.Namespace) -> None:
    """Print one line."""
    name, _, both = wanted.partition("==")
    versions = both.split(",")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        repo = await anyio.to_thread.run_sync(repository, folder, name, versions)
        trees = [next(p for p in (folder / v).iterdir() if p.is_dir()) for v in versions]
        hand: list[float] = []
        tool: list[float] = []
        verdict = ""
        for _ in range(given.rounds):
            seconds, report = await by_tool(
                repo, versions, mutation=given.mutation, all_tests=given.all_tests
            )
            [project] = report.projects
            assert project.total_tests, report.review[:2000]
            tool.append(seconds)
            verdict = report.verdict
            command = shlex.split(project.commands["head"])
            tests = [word for word in command if word.endswith(".py")]
            needed = [_needed(tree) for tree in trees]
            hand.append(await anyio.to_thread.run_sync(by_hand, trees, needed, tests))
        ratio = min(tool) / min(hand)
        sys.stdout.write(
            f"{wanted:<34}by hand {min(hand):6.1f} s  check_pr {min(tool):6.1f} s  {ratio:5.2f} times  "
            f"{verdict}\n"
        )
        sys.stdout.flush()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--mutation", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--all-tests", action="store_true")
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    given = parser.parse_args()
    for wanted in given.packages:
        anyio.run(measure, wanted, given)


if __name__ == "__main__":
    main()
