"""`proofbox snippets`: what counts for its exit code, what it writes, and how it is told."""

import json
import os
import pty
import re
import select
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree as ET

import anyio
import click
import pytest

from proofbox.server.cli.commands import cli
from proofbox.server.cli.snippets import Wanted, items, told, validate
from proofbox.server.sandbox import InvalidInput
from proofbox.server.settings import Settings
from proofbox.tools._verdict import Verdict
from proofbox.tools.validate_snippets import baseline
from proofbox.tools.validate_snippets.baseline import Baseline, Compared, compare
from proofbox.tools.validate_snippets.junit import to_junit
from proofbox.tools.validate_snippets.report import (
    VERDICTS,
    Kind,
    SnippetReport,
    SnippetsReport,
    file_report,
    run_report,
)

ROOT = Path(__file__).parents[3]
CONSOLE_SCRIPT = Path(sysconfig.get_path("scripts")) / "proofbox"
GOOD = "```python\nprint(6 * 7)\n#> 42\n```\n"
WRONG = "```python\nprint(6 * 7)\n#> 41\n```\n"
BROKEN = "```python\n1 / 0\n```\n"


def result(index: int, kind: Kind, *, snippet: str = "", line: int = 1) -> SnippetReport:
    """A snippet's result."""
    verdict = VERDICTS[kind]
    return SnippetReport(
        snippet_index=index,
        line=line,
        verdict=verdict,
        kind=kind,
        valid=verdict == "passed",
        reason="" if verdict == "passed" else f"It is {kind}.",
        error="ValueError: \x00 é" if kind == "raises" else None,
        snippet=snippet or f"code {index}",
    )


def report(**files: Sequence[SnippetReport]) -> SnippetsReport:
    """The report of a run over these files."""
    return run_report([file_report(f"{name}.md", [*found], []) for name, found in files.items()])


@pytest.mark.parametrize(
    ("kinds", "on_errored", "verdict"),
    [
        (["works", "skipped_by_author"], "fail", "passed"),
        (["works", "infra"], "fail", "errored"),
        (["works", "infra"], "pass", "passed"),
        (["infra"], "pass", "errored"),
        (["infra", "needs_file"], "pass", "errored"),
        (["raises", "infra", "works"], "pass", "failed"),
        (["skipped_by_author"], "pass", "skipped"),
        ([], "pass", "skipped"),
    ],
)
def test_what_errored_counts_unless_it_is_not_to(
    kinds: list[Kind], on_errored: str, verdict: Verdict
) -> None:
    """And even then something must have passed."""
    found = report(a=[result(number, kind) for number, kind in enumerate(kinds)])

    assert told(found, Compared(), on_errored=on_errored) == verdict


def test_what_no_sandbox_saw_does_not_stand_in_for_one_that_failed() -> None:
    """JSON that is well-formed says nothing of code that did not run, and a page that cannot be read of no sandbox."""
    read = result(0, "works").model_copy(update={"language": "json"})
    unread = file_report("b.md", [], []).model_copy(update={"verdict": "errored"})
    ran = file_report("a.md", [result(0, "works")], [])

    assert told(report(a=[read, result(1, "infra")]), Compared(), on_errored="pass") == "errored"
    assert told(run_report([ran, unread]), Compared(), on_errored="pass") == "errored"


def test_known_failures_do_not_count_wherever_they_have_moved() -> None:
    """As long as their text is the same; a new one counts."""
    before = report(a=[result(0, "raises", snippet="1 / 0"), result(1, "works")])
    known = baseline.of(before, Baseline())
    moved = report(a=[result(0, "works"), result(1, "raises", snippet="1 / 0", line=90)])
    new = report(a=[result(0, "raises", snippet="2 / 0"), result(1, "works")])

    assert compare(known, moved) == Compared(frozenset({("a.md", 1)}), ())
    assert told(moved, compare(known, moved), on_errored="fail") == "passed"
    assert told(new, compare(known, new), on_errored="fail") == "failed"


def test_an_entry_that_fails_no_longer_fails_the_run() -> None:
    """Mended, skipped or gone: the entry would hide the next failure."""
    known = baseline.of(report(a=[result(0, "raises", snippet="x")]), Baseline())

    for now in (result(0, "works", snippet="x"), result(0, "needs_file", snippet="x")):
        found = compare(known, report(a=[now, result(1, "works")]))
        assert len(found.stale) == 1
        assert "a.md" in found.stale[0]
        assert "fails no longer" in found.stale[0]
        run = report(a=[now, result(1, "works")])
        assert told(run, found, on_errored="fail") == "failed"
    assert len(compare(known, report(a=[])).stale) == 1


def test_nothing_is_said_of_what_was_not_seen() -> None:
    """Neither of files that are not in the run, nor of a snippet whose sandbox failed."""
    known = baseline.of(report(a=[result(0, "raises", snippet="x")]), Baseline())

    assert compare(known, report(b=[result(0, "works")])) == Compared()
    errored = compare(known, report(a=[result(0, "infra", snippet="x")]))
    assert errored == Compared()


def test_the_same_failure_twice_is_known_as_often_as_it_is_listed() -> None:
    """A third copy is new."""
    twice = report(a=[result(n, "raises", snippet="x") for n in range(2)])
    known = baseline.of(twice, Baseline())
    thrice = report(a=[result(n, "raises", snippet="x") for n in range(3)])
    once = report(a=[result(0, "raises", snippet="x")])

    assert len(compare(known, thrice).known) == 2
    assert len(compare(known, once).stale) == 1


def test_only_known_failures_are_no_pass() -> None:
    """Something must have passed."""
    run = report(a=[result(0, "raises")])

    verdict = told(run, compare(baseline.of(run, Baseline()), run), on_errored="fail")

    assert verdict == "skipped"


def test_a_baseline_keeps_what_the_run_did_not_look_at(tmp_path: Path) -> None:
    """And reads as it was written."""
    file = tmp_path / "base.json"
    first = baseline.of(report(a=[result(0, "raises")], b=[result(0, "syntax")]), Baseline())
    second = baseline.of(report(a=[result(0, "works")]), first)

    baseline.write(file, second)

    assert [entry.file for entry in baseline.read(file).failures] == ["b.md"]
    assert not baseline.of(report(a=[result(0, "works")]), first, lambda file: True).failures
    baseline.write(file, first)
    assert baseline.read(file) == first
    assert len(file.read_text().splitlines()) == 4


@pytest.mark.parametrize("text", [None, "no json", "[]", '{"version": 2, "failures": []}'])
def test_a_baseline_that_is_none_is_named(tmp_path: Path, text: str | None) -> None:
    """A baseline that is not read must not be taken for an empty one."""
    file = tmp_path / "base.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(InvalidInput, match="baseline"):
        baseline.read(file)


def test_junit_has_a_test_for_every_snippet_and_every_empty_file() -> None:
    """So that a file in which nothing was found does not read like a good one; it is valid XML."""
    kinds: list[Kind] = ["works", "raises", "infra", "needs_file", "raises"]
    run = report(a=[result(n, kind) for n, kind in enumerate(kinds)], b=[])

    root = ET.fromstring(to_junit(run, {("a.md", 4)}, ["it is stale"]))

    counts = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "7", "failures": "2", "errors": "1", "skipped": "3"}
    found = {
        (case.get("classname"), case.get("name")): [child.tag for child in case]
        for case in root.iter("testcase")
    }
    assert found["b.md", "(file)"] == ["skipped"]
    assert found["baseline", "it is stale"] == ["failure"]
    failure = next(root.iter("failure"))
    assert failure.get("type") == "raises"
    assert "ValueError: \N{REPLACEMENT CHARACTER} é" in (failure.text or "")


async def proofbox(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the command in a folder; its exit code and what it printed on both streams."""
    with anyio.fail_after(120):
        ended = await anyio.run_process(
            [str(CONSOLE_SCRIPT), "snippets", "--backend", "local", *arguments],
            cwd=folder,
            check=False,
        )
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


@pytest.mark.slow
async def test_the_patch_is_all_that_stdout_has_and_update_writes_it(tmp_path: Path) -> None:
    """After which the page passes."""
    page = tmp_path / "page.md"
    page.write_text(GOOD + WRONG)

    code, out, err = await proofbox(tmp_path, "page.md", "--diff")

    assert code == 1
    assert out.startswith("--- a/page.md\n+++ b/page.md\n")
    assert "output_mismatch" in err
    assert page.read_text() == GOOD + WRONG

    code, out, _ = await proofbox(tmp_path, "page.md", "--update")

    assert code == 1
    assert "outputs were updated in 1 file" in out
    assert page.read_text() == GOOD + GOOD
    code, out, _ = await proofbox(tmp_path, "page.md")
    assert (code, out.split(":")[0]) == (0, "passed")


async def test_a_project_is_heard_from_any_of_its_folders(tmp_path: Path) -> None:
    """Its settings, what `skip` names, and what its pages include."""
    (tmp_path / "pyproject.toml").write_text(
        "[tool.proofbox.snippets]\nsetup = 'zebra = 1'\nskip = ['docs/old.md']\n"
    )
    (tmp_path / "src.py").write_text("print(zebra)\n#> 1\n")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text('```python\n--8<-- "src.py"\n```\n')
    (docs / "old.md").write_text(BROKEN)

    code, said, _ = await proofbox(docs, "a.md", "old.md")

    assert code == 0, said


@pytest.mark.slow
async def test_a_baseline_makes_a_page_pass_until_its_failure_is_mended(tmp_path: Path) -> None:
    """With a report for CI each time."""
    page = tmp_path / "page.md"
    page.write_text(GOOD + BROKEN)
    flags = ("page.md", "--baseline", "base.json", "--junit", "junit.xml", "--html", "all.html")

    missing, _, why = await proofbox(tmp_path, *flags)
    wrote, _, _ = await proofbox(tmp_path, *flags, "--write-baseline")
    page.write_text("# More\n\n" + GOOD + BROKEN)
    again, out, err = await proofbox(tmp_path, *flags, "--json")
    page.write_text(GOOD)
    mended, said, _ = await proofbox(tmp_path, *flags)
    page.rename(tmp_path / "other.md")
    moved, gone, _ = await proofbox(tmp_path, ".", *flags[1:3])

    assert (missing, wrote, again, mended) == (2, 0, 0, 1)
    assert "--write-baseline makes one" in why
    assert json.loads(out)["baseline"]["known"] == [{"file": "page.md", "snippet_index": 1}]
    assert "what counts: passed" in err
    assert "fails no longer" in said
    assert (moved, "page.md: the known failure" in gone) == (1, True)
    assert ET.parse(tmp_path / "junit.xml").getroot().get("failures") == "1"
    assert "<code>page.md</code>" in (tmp_path / "all.html").read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"id": "a", "code": "x"}\n\n{"id": "b"}\n', "Line 3 of .* code: field required"),
        ("[]", "Line 1 of .* is no example"),
        ("\n", "has no examples"),
    ],
)
def test_items_are_json_lines(tmp_path: Path, text: str, says: str) -> None:
    """A line that is none is named before anything runs."""
    file = tmp_path / "items.jsonl"
    file.write_text(text)

    with file.open("rb") as stream, pytest.raises(InvalidInput, match=says):
        items(stream)


@pytest.mark.slow
async def test_a_store_of_examples_is_checked_and_only_what_works_comes_back(
    tmp_path: Path,
) -> None:
    """As data, with the form to store."""
    rows = [{"id": "good", "code": "print(1)"}, {"id": "bad", "code": "1 / 0"}]
    (tmp_path / "items.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    code, out, _ = await proofbox(tmp_path, "--items", "items.jsonl", "--only-working", "--json")

    facts = json.loads(out)
    ((result,),) = [file["results"] for file in facts["files"]]
    assert (code, facts["verdict"], facts["not_listed"]) == (1, "failed", 1)
    assert (result["id"], result["standalone"]["output"]) == ("good", "1\n")


@pytest.mark.slow
def test_a_terminal_gets_a_progress_bar(tmp_path: Path) -> None:
    """On stderr; the report goes to stdout as ever."""
    (tmp_path / "page.md").write_text(GOOD + GOOD)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [str(CONSOLE_SCRIPT), "snippets", "--backend", "local", "page.md"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        seen = b""
        while select.select([ours], [], [], 90)[0]:
            try:
                seen += os.read(ours, 4096)
            except OSError:
                break
        os.close(ours)
        out, _ = process.communicate(timeout=90)

    assert process.returncode == 0
    assert b"snippets  [####" in seen
    assert b"100%" in seen
    assert out.startswith(b"passed: 2 snippets")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "Give either PATHS or --items"),
        (["page.md", "--write-baseline"], "--write-baseline needs --baseline"),
        (["page.md", "--diff", "--json"], "Give --diff or --json"),
        (["page.md", "--junit", "none/junit.xml"], "there is no folder"),
        (["page.md", "--html", "none/page.html"], "there is no folder"),
    ],
)
async def test_flags_that_do_not_fit_are_bad_usage(flags: list[str], says: str) -> None:
    """Before anything runs."""
    context = cli.commands["snippets"].make_context("snippets", flags)
    given = {item.name: context.params[item.name] for item in fields(Wanted)}

    with pytest.raises(click.UsageError, match=says):
        await validate(Settings(), Wanted(**given))


def test_the_pre_commit_hook_names_a_command_that_there_is() -> None:
    """With arguments that it takes. The file is YAML of the plainest kind."""
    text = (ROOT / ".pre-commit-hooks.yaml").read_text()
    facts = dict(re.findall(r"^[- ] ([a-z_]+): (.+)$", text, re.MULTILINE))
    program, *words = facts["entry"].split()

    context = cli.commands[words[0]].make_context("snippets", json.loads(facts["args"]))

    assert (program, facts["language"]) == ("proofbox", "python")
    assert context.params["paths"] == (".",)
    assert facts["pass_filenames"] == "false"
