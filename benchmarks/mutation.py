"""Mutants of humanize's `filesize` and `lists`, beside mutmut and cosmic-ray.

    uv run benchmarks/mutation.py [--no-cosmic-ray]

Fetches humanize's source distribution, and puts the two others into environments of their own. Compares CPU time a
mutant, and the verdicts on the mutants that mutmut makes too: those whose function has the same syntax tree.
cosmic-ray starts a process for each mutant, so it gets `lists` alone.
"""

import argparse
import ast
import json
import os
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import platformdirs
from uv import find_uv_bin

from proofbox.server.sandbox import ProgramRunner, SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.tools.run_generated_tests.guest.mutants import File
from proofbox.tools.run_generated_tests.measured import Mutation, Worth, WorthOptions
from proofbox.tools.run_generated_tests.prepare import prepare
from proofbox.tools.run_generated_tests.request import TestsRequest
from proofbox.tools.run_generated_tests.running import Plan, run_all
from proofbox.tools.run_generated_tests.worth import weigh

_HUMANIZE = "4.17.0"
_MODULES = ("src/humanize/filesize.py", "src/humanize/lists.py")
_TESTS = ("tests/test_filesize.py", "tests/test_lists.py")
_BUDGET_SECONDS = 600.0

_MUTMUT = f"""
[tool.mutmut]
source_paths = ["src"]
only_mutate = {json.dumps(_MODULES)}
pytest_add_cli_args_test_selection = {json.dumps(_TESTS)}
process_isolation = "forkserver"
use_setproctitle = false
[tool.pytest.ini_options]
pythonpath = ["src"]
"""
_COSMIC_RAY = """
[cosmic-ray]
module-path = "src/humanize/lists.py"
timeout = 20.0
excluded-modules = []
test-command = "{python} -m pytest -x -q -p no:cacheprovider tests/test_lists.py"
[cosmic-ray.distributor]
name = "local"
"""


@dataclass(frozen=True)
class Measured:
    """Verdicts by what the mutated function is, and the CPU seconds of the whole run."""

    verdicts: dict[str, str]
    cpu_seconds: float
    mutants: int


def say(line: str) -> None:
    """One line of the result."""
    sys.stdout.write(f"{line}\n")


def uv(*arguments: str) -> None:
    """Run uv, showing its errors only."""
    subprocess.run([find_uv_bin(), "--quiet", *arguments], check=True)


def environment(folder: Path, *packages: str) -> Path:
    """The Python of a new environment with these packages."""
    uv("venv", "--python", sys.executable, str(folder))
    python = folder / "bin" / "python"
    uv("pip", "install", "--python", str(python), *packages)
    return python


def humanize(folder: Path) -> Path:
    """The unpacked source distribution."""
    uv("tool", "run", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(folder), f"humanize=={_HUMANIZE}")  # fmt: skip
    [archive] = folder.glob("humanize-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    unpacked = folder / f"humanize-{_HUMANIZE}"
    # It was written for a checkout: what it names was generated, and belongs to the distribution.
    (unpacked / ".gitignore").unlink(missing_ok=True)
    return unpacked


def cpu_of(command: list[str], folder: Path) -> float:
    """CPU seconds of a command and all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def shape(function: ast.AST) -> str:
    """A function without its name, its documentation and its annotations."""
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    copied = ast.parse(ast.unparse(function)).body[0]
    assert isinstance(copied, ast.FunctionDef | ast.AsyncFunctionDef)
    copied.name, copied.returns = "_", None
    if ast.get_docstring(copied, clean=False) is not None:
        copied.body = copied.body[1:]
    for argument in [*copied.args.args, *copied.args.kwonlyargs]:
        argument.annotation = None
    return ast.dump(copied)


def mutmut(python: Path, project: Path) -> Measured:
    """Run mutmut on a copy of the project."""
    (project / "pyproject.toml").write_text(_MUTMUT)
    cpu = cpu_of([str(python.with_name("mutmut")), "run", "--max-children", "1"], project)
    verdicts: dict[str, str] = {}
    total = 0
    for module in _MODULES:
        made = project / "mutants" / module
        codes = json.loads(made.with_name(f"{made.name}.meta").read_text())["exit_code_by_key"]
        functions = {
            node.name: node
            for node in ast.walk(ast.parse(made.read_text()))
            if isinstance(node, ast.FunctionDef)
        }
        for key, code in codes.items():
            total += 1
            name = re.split(r"[.ǁ]", key)[-1]
            verdicts[shape(functions[name])] = "survived" if code == 0 else "killed"
    return Measured(verdicts, cpu, total)


def cosmic_ray(python: Path, project: Path) -> Measured:
    """Run cosmic-ray on `lists` in a copy of the project, which it edits in place."""
    (project / "cosmic.toml").write_text(_COSMIC_RAY.format(python=python))
    command = str(python.with_name("cosmic-ray"))
    cpu_of([command, "init", "cosmic.toml", "session.sqlite"], project)
    os.environ["PYTHONPATH"] = "src"
    cpu = cpu_of([command, "exec", "cosmic.toml", "session.sqlite"], project)
    del os.environ["PYTHONPATH"]
    dumped = subprocess.run(
        [command, "dump", "session.sqlite"], cwd=project, check=True, capture_output=True, text=True
    )
    return Measured({}, cpu, len(dumped.stdout.splitlines()))


async def ours(project: Path) -> Worth:
    """Weigh the tests in a jail, all mutants."""
    request = TestsRequest(project=str(project), only=(*_MODULES, *_TESTS))
    prepared = prepare(request, [project.parent]).project
    backend = LocalBackend(cache_dir=Path(platformdirs.user_cache_dir("proofbox")))

    @asynccontextmanager
    async def opened() -> AsyncGenerator[ProgramRunner]:
        sandbox = await backend.create(
            SandboxRequest(owner="benchmark", packages=prepared.packages)
        )
        try:
            yield sandbox
        finally:
            await sandbox.close()

    try:
        [baseline] = await run_all(prepared, [Plan()], opened)
        options = WorthOptions(mutation="thorough", cpu_seconds=_BUDGET_SECONDS)
        worth = await weigh(prepared, baseline, opened, options)
    finally:
        await backend.close()
    assert worth.complete, worth.problems
    return worth


def shapes(project: Path, mutation: Mutation) -> Iterator[tuple[str, str, str]]:
    """The shape, the status and the line of every mutant of ours that was tried."""
    status = {one.id.rpartition("/")[2]: one for one in mutation.mutants}
    for module in _MODULES:
        path = project / module
        file = File(str(path), path.read_text())
        for mutant in file.mutants():
            tried = status.get(f"{path.name}:{mutant.id}")
            if tried is None:
                continue
            old = mutant.slot.get()
            mutant.slot.put(mutant.node)
            yield shape(mutant.statement), tried.status, tried.diff
            mutant.slot.put(old)


def compare(project: Path, mutation: Mutation, theirs: Measured) -> None:
    """Print where the verdicts agree."""
    agree, differ, own = 0, list[str](), 0
    coincide: set[str] = set()
    for form, status, diff in shapes(project, mutation):
        other = theirs.verdicts.get(form)
        if other is None:
            own += 1
            continue
        coincide.add(form)
        agree += other == status
        if other != status:
            differ.append(f"  {diff}: {status} here, {other} there")
    say(f"mutants that both make: {len(coincide)}, the same verdict on {agree}")
    say("\n".join(differ) or "  no difference")
    missing = len(theirs.verdicts.keys() - coincide)
    say(f"of ours alone: {own} (values not returned, conditions turned round, calls not made)")
    say(f"of theirs alone: {missing}")
    for mutant in mutation.survivors:
        say(f"  survived: {mutant.diff}")


def row(name: str, mutants: int, cpu: float) -> None:
    """Print a line of figures."""
    say(
        f"{name:<34}{mutants:>5} mutants {cpu:>8.2f} CPU s {cpu / mutants:>8.4f} a mutant {mutants / cpu:>7.1f} a CPU s"
    )


def main() -> None:
    """Measure one after the other on this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-cosmic-ray", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        project = humanize(folder)
        copies = {name: folder / name for name in ("mutmut", "cosmic-ray")}
        for copy in copies.values():
            subprocess.run(["cp", "-r", str(project), str(copy)], check=True)
        worth = anyio.run(ours, project)
        assert worth.mutation is not None
        tried = len(worth.mutation.mutants)
        row("proofbox, mutants alone", tried, worth.mutation.cpu_seconds)
        row("proofbox, with coverage and all", tried, worth.cpu_seconds)
        python = environment(folder / "m", "mutmut", "pytest", "freezegun")
        theirs = mutmut(python, copies["mutmut"])
        row("mutmut", theirs.mutants, theirs.cpu_seconds)
        if not wanted.no_cosmic_ray:
            python = environment(folder / "c", "cosmic-ray", "pytest", "freezegun")
            other = cosmic_ray(python, copies["cosmic-ray"])
            row("cosmic-ray (lists alone)", other.mutants, other.cpu_seconds)
        compare(project, worth.mutation, theirs)


if __name__ == "__main__":
    main()
