"""`proofbox report`: a report of a job or of a file as a page."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from report_samples import suite

from proofbox.server.cli import commands
from proofbox.server.jobs import Jobs, Progress, Report
from proofbox.server.replicas.address import StoreAddress
from proofbox.server.replicas.joining import team_at

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command; its status and what it printed."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["proofbox", "report", *arguments])
        with pytest.raises(SystemExit) as ended:
            commands.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    return run


def test_a_file_becomes_a_page(run: Run, tmp_path: Path) -> None:
    """On stdout or in a file; as a command's --json has it, or as get_job does."""
    facts = suite().model_dump(mode="json", exclude_defaults=True)
    bare, whole, page = tmp_path / "bare.json", tmp_path / "job.json", tmp_path / "page.html"
    bare.write_text(json.dumps(facts))
    whole.write_text(
        json.dumps({"kind": "run_generated_tests", "state": "finished", "report": facts})
    )

    status, out, _ = run(str(bare))
    assert status == 0
    assert out.startswith("<!doctype html>")
    assert "test_always_true" in out
    assert run(str(whole), "-o", str(page))[:2] == (0, "")
    assert page.read_text() == out
    assert json.loads(run(str(whole), "--json")[1]) == facts


def test_stdin_becomes_a_page(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command prints may be piped."""
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"verdict": "passed", "stdout": "<hi>"}'))

    assert "&lt;hi&gt;" in run("-")[1]


def test_a_job_becomes_a_page(run: Run, tmp_path: Path) -> None:
    """Of whoever is meant, and only of those; one without a report says why."""

    async def done(progress: Progress) -> Report:
        return suite().model_dump(mode="json", exclude_defaults=True)

    async def broken(progress: Progress) -> Report:
        raise RuntimeError("no")

    async def start() -> list[str]:
        async with Jobs(tmp_path / "jobs.sqlite3") as jobs:
            ids = [
                await jobs.start("alice:", "run_generated_tests", work) for work in (done, broken)
            ]
            for job_id in ids:
                await jobs.wait("alice:", job_id, 10)
            return ids

    finished, failed = anyio.run(start)
    here = ["--data-dir", str(tmp_path)]

    status, out, _ = run(finished, "--principal", "alice:", *here)
    assert status == 0
    assert "test_always_true" in out
    for job_id, who, said in (
        (finished, "local", "There is no such job"),
        (failed, "alice:", "The job is failed and has no report"),
    ):
        status, out, err = run(job_id, "--principal", who, *here)
        assert (status, out) == (2, "")
        assert said in err


def test_a_job_of_several_replicas_is_read_where_they_keep_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nowhere else; none of them hears of it. What is not there, or cannot be asked, is said with its place."""
    address = StoreAddress(f"sqlite://{tmp_path}/shared.sqlite3")

    async def done(progress: Progress) -> Report:
        return suite().model_dump(mode="json", exclude_defaults=True)

    async def start() -> str:
        team = await team_at(address, 60.0)
        assert team is not None
        async with team, Jobs(tmp_path / "jobs.sqlite3", team=team) as jobs:
            job_id = await jobs.start("alice:", "run_generated_tests", done)
            await jobs.wait("alice:", job_id, 10)
        return job_id

    job_id = anyio.run(start)
    asked = [job_id, "--principal", "alice:", "--data-dir", str(tmp_path)]
    aside = run(*asked)
    monkeypatch.setenv("PROOFBOX_STORE", address.url)
    monkeypatch.setenv("PROOFBOX_PORT", "of no interest")
    found, foreign = run(*asked), run(job_id)
    monkeypatch.setenv("PROOFBOX_STORE", "redis://:secret@127.0.0.1:1/0")
    away = run(*asked)

    assert found[0] == 0
    assert "test_always_true" in found[1]
    for status, out, _ in (aside, foreign, away):
        assert (status, out) == (2, "")
    assert f"in {tmp_path}/jobs.sqlite3; what replicas share" in aside[2]
    assert f"'local' (--principal) in sqlite://{tmp_path}/shared.sqlite3" in foreign[2]
    assert "The store redis://127.0.0.1:1/0 cannot be used" in away[2]
    assert "secret" not in away[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no", "has no JSON"),
        ("[1]", "is no report"),
        ('{"a": 1}', "is no report"),
        ("[" * 100_000, "has no JSON"),
    ],
)
def test_what_is_no_report_is_said_to_be_none(
    run: Run, tmp_path: Path, text: str, said: str
) -> None:
    """With what would be one."""
    (tmp_path / "file").write_text(text)

    status, out, err = run(str(tmp_path / "file"))

    assert (status, out) == (2, "")
    assert said in err


def test_what_cannot_be_read_or_written_is_said(run: Run, tmp_path: Path) -> None:
    """By name."""
    (tmp_path / "file").write_bytes(b"\xff\xff")
    (tmp_path / "good").write_text('{"verdict": "passed"}')

    assert "cannot be read as text" in run(str(tmp_path / "file"))[2]
    assert "cannot be written" in run(str(tmp_path / "good"), "-o", str(tmp_path / "no" / "f"))[2]
