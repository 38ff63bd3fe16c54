"""A benchmark that was killed goes on where it was: the real command, a real jail, a stub of the vendor."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from model_stub import ModelStub

from proofbox.tools.benchmark_model.replies import prompt_of
from proofbox.tools.benchmark_model.tasks import load_tasks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the local backend needs Linux"),
]

TASKS, SAMPLES = 4, 3
MEASURED = {"latency", "first_token", "execution", "execution_time", "relative_time"}


def solved(prompt: str) -> str:
    """The reference solution for two tasks of four, something wrong for the others."""
    tasks = list(load_tasks("builtin").values())[:TASKS]
    number = next(n for n, task in enumerate(tasks) if prompt_of(task) == prompt)
    code = tasks[number].reference if number % 3 else "nothing = None"
    return f"```python\n{code}\n```"


def command(stub: ModelStub, folder: Path, cache: Path) -> tuple[list[str], dict[str, str]]:
    """What to start, and its environment."""
    arguments = [
        "-m",
        "anthropic:claude-haiku-5-5",
        "--first",
        str(TASKS),
        "--timing-runs",
        "1",
        "--samples",
        str(SAMPLES),
    ]
    page = ["--html", str(folder / "page.html"), "--out", str(folder / "all.jsonl"), "--json"]
    start = [sys.executable, "-m", "proofbox.server.cli", "bench", *arguments, *page]
    environment = {
        "PATH": os.environ["PATH"],
        "PROOFBOX_BACKEND": "local",
        "PROOFBOX_CACHE_DIR": str(cache),
        "PROOFBOX_DATA_DIR": str(folder / "data"),
        "ANTHROPIC_API_KEY": stub.key,
        "ANTHROPIC_BASE_URL": stub.url,
    }
    return start, environment


async def finish(stub: ModelStub, folder: Path, cache: Path) -> bytes:
    """Run to the end; the report as it was printed."""
    start, environment = command(stub, folder, cache)
    done = await anyio.run_process(start, env=environment, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


async def kill_when(
    stub: ModelStub, folder: Path, cache: Path, is_time: Callable[[], bool]
) -> None:
    """Start it, and kill it without a warning as soon as it is time."""
    start, environment = command(stub, folder, cache)
    process = await anyio.open_process(start, env=environment)
    with anyio.fail_after(240):
        while not is_time():
            assert process.returncode is None
            # Looking costs as much as what is looked at, if it is done all the time.
            await anyio.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await process.aclose()


def written(folder: Path, kind: str) -> int:
    """How many records of a kind are on disk."""
    files = list(folder.rglob("*.jsonl")) if folder.exists() else []
    lines = [line for file in files for line in file.read_text().splitlines()]
    return sum(line.startswith(f'{{"kind": "{kind}"') for line in lines)


def _stalled(stub: ModelStub, data: Path) -> Callable[[], bool]:
    """Whether all that can be asked was asked, and waits for its answer."""

    def stalled() -> bool:
        under_way = len(stub.asked) - stub.answered
        return not stub.gate.is_set() and under_way >= 4 and stub.answered == written(data, "reply")

    return stalled


def without_times(facts: Any) -> Any:
    """A report without what was measured."""
    if isinstance(facts, dict):
        items = cast(dict[str, Any], facts)
        return {key: without_times(value) for key, value in items.items() if key not in MEASURED}
    if isinstance(facts, list):
        return [without_times(one) for one in cast(list[Any], facts)]
    return facts


async def test_a_killed_benchmark_asks_nothing_twice_and_reports_the_same(
    tmp_path: Path, local_cache: Path
) -> None:
    """Killed while it asks and again while it judges; then it is finished, and read once more."""
    killed, data, straight = (
        tmp_path / "killed",
        tmp_path / "killed" / "data",
        tmp_path / "straight",
    )
    killed.mkdir()
    straight.mkdir()
    with ModelStub(solved) as stub:

        def hold_back(prompt: str) -> None:
            # Three to six were answered by then, and at most five are under way: not all twelve come to be asked.
            if len(stub.asked) == 7:
                stub.gate.clear()

        stub.on_ask = hold_back
        await kill_when(stub, killed, local_cache, _stalled(stub, data))
        on_disk = written(data, "reply")
        stub.gate.set()
        with anyio.fail_after(60):
            while not stub.is_idle:
                await anyio.sleep(0.01)
        asked_before = len(stub.asked)
        await kill_when(stub, killed, local_cache, lambda: written(data, "verdict") >= 2)
        asked = Counter(stub.asked)
        report = await finish(stub, killed, local_cache)
        files = {name: (killed / name).read_bytes() for name in ("page.html", "all.jsonl")}
        again = await finish(stub, killed, local_cache)
        asked_at_last = Counter(stub.asked)
        uninterrupted = await finish(stub, straight, local_cache)

    # Exactly what was not on disk was asked after the first kill, and nothing after the second.
    assert 3 <= on_disk < asked_before < TASKS * SAMPLES
    assert sum(asked.values()) == asked_before + TASKS * SAMPLES - on_disk
    assert asked_at_last == asked
    assert again == report
    assert {name: (killed / name).read_bytes() for name in files} == files
    facts = json.loads(report)
    assert without_times(facts) == without_times(json.loads(uninterrupted))
    assert facts["verdict"] == "passed"
    assert facts["models"][0]["passed"] == 2 * SAMPLES
    assert stub.key not in (report + files["page.html"] + files["all.jsonl"]).decode()
