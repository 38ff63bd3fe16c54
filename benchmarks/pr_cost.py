"""What checking a pull request costs over the plain work: installing twice and running the same tests three times.

    uv run benchmarks/pr_cost.py [--rounds N] [NAME==BEFORE,AFTER ...]

Releases of real packages are commits of a repository, the later one the pull request. By hand: two new environments, the
project and what its tests need installed into both by `uv pip install`, and `python -m pytest` over the same test
files three times (base, base with head's tests, head). Wall time, best of the rounds; the cache of uv is warm for both, the tool's own is
empty. Coverage of the changed lines and the reruns that decide are in the tool's time; mutants are with `--beyond` only.
"""

import argparse
import os
import shlex
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

from proofbox.server.app import open_app
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


def by_hand(
    trees: Sequence[Path], packages: Sequence[Sequence[str]], tests: Sequence[str]
) -> float:
    """Seconds of the plain work."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for index, (tree, wanted) in enumerate(zip(trees, packages, strict=True)):
            python = f"{folder}/{index}/bin/python"
            subprocess.run([find_uv_bin(), "-q", "venv", f"{folder}/{index}"], check=True)
            install = [find_uv_bin(), "-q", "pip", "install", "--python", python]
            subprocess.run([*install, *wanted, str(tree)], check=True)
        for index in (0, 0, 1):
            start = [f"{folder}/{index}/bin/python", "-m", "pytest", "-q", "-o", "addopts="]
            command = [*start, *(path for path in tests if (trees[index] / path).exists())]
            where = {"cwd": trees[index], "env": {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}}
            subprocess.run(command, check=False, capture_output=True, **where)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return time.perf_counter() - began


def _needed(tree: Path) -> Sequence[str]:
    """What the project's tests need, as its manifests say."""
    files = {path.name: path.read_bytes() for path in tree.iterdir() if path.is_file()}
    return read_manifest(files).packages


async def by_tool(repo: Path, versions: Sequence[str], *, beyond: bool) -> tuple[float, PrReport]:
    """Seconds of a whole check, and what it found."""
    with tempfile.TemporaryDirectory() as cache:
        backend = LocalBackend(cache_dir=Path(cache))
        async with open_app(Settings(), backend=backend) as app:
            app = replace(app, roots=(repo.parent,))
            base, head = versions
            request = PrRequest(
                str(repo), base=base, head=head, all_tests=True, mutation=beyond, reruns=3
            )
            began = time.perf_counter()
            report = await run(app, "local", request)
            return time.perf_counter() - began, report


async def measure(wanted: str, rounds: int, *, beyond: bool) -> None:
    """Print one line."""
    name, _, both = wanted.partition("==")
    versions = both.split(",")
    with tempfile.TemporaryDirectory() as folder:
        repo = await anyio.to_thread.run_sync(repository, Path(folder), name, versions)
        trees = [next(p for p in (Path(folder) / v).iterdir() if p.is_dir()) for v in versions]
        hand: list[float] = []
        tool: list[float] = []
        verdict = ""
        for _ in range(rounds):
            seconds, report = await by_tool(repo, versions, beyond=beyond)
            [project] = report.projects
            assert project.total_tests, report.review[:2000]
            tool.append(seconds)
            verdict = report.verdict
            command = shlex.split(project.commands["head"])
            files = [word for word in command if word.endswith(".py")]
            needed = [["pytest", *_needed(tree)] for tree in trees]
            hand.append(await anyio.to_thread.run_sync(by_hand, trees, needed, files))
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
    parser.add_argument("--beyond", action="store_true", help="with mutants")
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    given = parser.parse_args()
    for wanted in given.packages:
        anyio.run(_one, wanted, given.rounds, given.beyond)


async def _one(wanted: str, rounds: int, beyond: bool) -> None:
    await measure(wanted, rounds, beyond=beyond)


if __name__ == "__main__":
    main()
