"""`proofbox bench` as a person or a script starts it."""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proofbox.server.cli import commands
from proofbox.server.cli.ending import exit_code
from proofbox.tools.benchmark_model.tasks import load_tasks

NAMES = ("model", "syntax_valid", "execution_time", "output_correct")


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local_cache: Path) -> Path:
    """Two files of answers to the first four tasks: one of references, one of everything that goes wrong."""
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("PROOFBOX_BACKEND", "local"),
        ("PROOFBOX_CACHE_DIR", str(local_cache)),
        ("PROOFBOX_DATA_DIR", str(tmp_path / "data")),
    ):
        monkeypatch.setenv(name, value)
    tasks = list(load_tasks("builtin").values())[:4]
    good = [{"task_id": one.id, "text": one.reference, "kind": "solution"} for one in tasks]
    (tmp_path / "good.jsonl").write_text("\n".join(map(json.dumps, good)))
    said = ["```python\nwhile True: pass\n```", "I cannot.", "```python\ndef (\n```"]
    bad = [
        {"task_id": one.id, "text": text, "kind": "reply"}
        for one, text in zip(tasks, said, strict=False)
    ]
    bad.append({"task_id": tasks[3].id, "text": "def f", "kind": "reply", "stop": "max_tokens"})
    with gzip.open(tmp_path / "bad.jsonl.gz", "wt") as file:
        file.write("\n".join(map(json.dumps, bad)))
    return tmp_path


def bench(*arguments: str) -> Any:
    """What the command gives: its exit code, and what it printed."""
    return CliRunner().invoke(
        commands.cli, ["bench", *arguments], standalone_mode=False, catch_exceptions=False
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the local backend needs Linux")
def test_recorded_answers_are_judged_and_reported_in_all_forms(answers: Path) -> None:
    """As text, as JSON, as a page and as the full record; what fails is told apart."""
    models = ["-m", "file:good.jsonl", "-m", "file:bad.jsonl.gz"]
    files = ["--html", "page.html", "--out", "all.jsonl"]
    given = [*models, "--first", "4", "--timing-runs", "1"]

    told = bench(*given, "--json", *files)
    again = bench(*given)

    report = json.loads(told.stdout)
    best, worst = report["models"]
    assert (told.return_value, report["verdict"]) == (0, "passed")
    assert (best["model"], best["passed"], best["samples"]) == ("file:good.jsonl", 4, 4)
    assert worst["outcomes"] == {"timeout": 1, "no_code": 1, "syntax_error": 1, "max_tokens": 1}
    assert "file:good.jsonl" in again.stdout
    assert len(report["samples"]) == 8
    rows = [json.loads(line) for line in (answers / "all.jsonl").read_text().splitlines()]
    assert [row["output_correct"] for row in rows] == [True] * 4 + [False] * 4
    assert all(name in row for row in rows for name in NAMES)
    assert [row["syntax_valid"] for row in rows[4:]] == [True, False, False, False]
    assert rows[0]["extraction"]
    assert "<svg" in (answers / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-m", "claude"], "is no model"),
        (["-m", "ollama:x", "--budget", "much"], "--budget takes USD"),
        (["-m", "ollama:x", "--param", "seed"], "--param takes NAME=VALUE"),
        (["-m", "ollama:x", "--price", "ollama:x=1"], "--price takes MODEL=IN/OUT"),
        (["-m", "vllm:x", "--param", "effort=low"], "takes no parameter 'effort'"),
        (["-m", "file:nothing.jsonl"], "There is no file"),
        (["-m", "ollama:x", "--tasks", "nothing.jsonl"], "There is no file"),
    ],
)
def test_a_flag_that_cannot_be_honoured_is_bad_usage(
    answers: Path, arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a sentence that says why."""
    assert exit_code(lambda: bench(*arguments).return_value, as_json=False) == 2
    assert complaint in capsys.readouterr().err


def test_a_budget_is_money_or_tokens() -> None:
    """As people write them."""
    from proofbox.server.cli.bench import Wanted

    def of(text: str) -> tuple[float | None, int | None]:
        wanted = Wanted(
            models=("ollama:x",), tasks="builtin", samples=None, first=None, params=("seed=3",),
            budget=text, prices=("ollama:x=1/2",), batch=False, fresh=False, timing_runs=1,
            dry_run=False, html=None, out=None, as_json=False,
        )  # fmt: skip
        request = wanted.request()
        assert request.parameters == {"seed": 3}
        assert request.prices["ollama:x"].output == 2.0
        return request.budget_usd, request.budget_tokens

    assert of("2.50") == (2.5, None)
    assert of("$1,000") == (1000.0, None)
    assert of("500000tokens") == (None, 500_000)
