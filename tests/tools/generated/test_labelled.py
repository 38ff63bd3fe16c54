"""Tests that look right and are not are refused for their own reason, and genuine ones of every style are kept."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from proofbox.tools._app import App
from proofbox.tools.run_generated_tests.report import TestReport, TestsReport
from proofbox.tools.run_generated_tests.request import TestsRequest
from proofbox.tools.run_generated_tests.run import run

LABELLED = Path(__file__).parent / "labelled"
SHOP = (LABELLED / "shop.py").read_text()
KEPT = sorted((LABELLED / "kept").glob("*.txt"))
REFUSED = sorted((LABELLED / "refused").glob("*.txt"))

# They end, hang or deceive the process that others would share, or are about what is not collected.
LOUD = {
    "assert_false_never_run", "class_with_init", "deletes_other_tests", "edits_the_source", "edits_the_source_at_import",
    "forges_records_by_frames", "forges_records_by_gc", "forks_and_leaves", "import_only", "infinite_loop", "kills_its_parent",
    "main_guard_only", "os_exit", "os_exit_at_import", "patches_pytest_reports", "patches_the_call",
    "prints_passed_and_leaves", "pytest_exit", "rebinds_the_source_for_good", "skip_everything", "skip_inside",
    "skip_module", "system_exit_at_import", "writes_to_every_descriptor", "xfail_everything",
}  # fmt: skip
ALONE = [path for path in REFUSED if path.stem in LOUD]
TOGETHER = [path for path in REFUSED if path.stem not in LOUD]


async def report_on(app: App, tests: Mapping[str, str], *, seconds: float = 5) -> TestsReport:
    """The whole tool's report, without mutants."""
    request = TestsRequest(
        source={"shop.py": SHOP}, tests=tests, repeat=2, mutation="off", timeout_seconds=seconds
    )
    return await run(app, "local", request)


def reason_of(path: Path) -> str:
    """The pattern that the reason of a refusal must have."""
    first = path.read_text().partition("\n")[0]
    return first.removeprefix("# reason: ")


def said_of(tests: list[TestReport]) -> str:
    """All that is held against tests."""
    return " ".join(
        " ".join([one.kind, one.reason, *one.more]) for one in tests if one.verdict != "keep"
    )


def test_the_set_is_as_large_as_it_should_be() -> None:
    """An empty folder would pass every other test here."""
    assert len(REFUSED) >= 30
    assert len(KEPT) >= 15
    assert len(ALONE) == len(LOUD)


@pytest.mark.slow
async def test_genuine_tests_of_every_style_are_kept(jailed: App) -> None:
    """Refusing one would teach a model to write worse ones."""
    tests = {f"test_{path.stem}.py": path.read_text() for path in KEPT}

    report = await report_on(jailed, tests)

    refused = [(one.id, one.kind, one.reason) for one in report.tests if one.verdict != "keep"]
    assert not refused
    assert report.verdict == "passed"
    assert {one.id.partition("::")[0] for one in report.tests} == set(tests)


@pytest.mark.slow
async def test_quiet_ones_are_refused_for_their_own_reason(jailed: App) -> None:
    """No test of these files is kept, unless another one beside it is what is wrong."""
    files = {f"test_{path.stem}.py": path for path in TOGETHER}

    report = await report_on(jailed, {name: path.read_text() for name, path in files.items()})

    assert report.verdict == "failed"
    wrong: list[tuple[str, str]] = []
    for name, path in files.items():
        said = said_of([one for one in report.tests if one.id.partition("::")[0] == name])
        if not re.search(reason_of(path), said, re.IGNORECASE):
            wrong.append((name, said))
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("path", ALONE, ids=[path.stem for path in ALONE])
async def test_loud_ones_are_refused_for_their_own_reason(jailed: App, path: Path) -> None:
    """Ending, hanging or deceiving the process of the tests is never a pass."""
    # A loop that has no end is computed until its time is over.
    seconds = 1 if path.stem == "infinite_loop" else 5
    report = await report_on(jailed, {"test_shop.py": path.read_text()}, seconds=seconds)

    assert report.verdict in {"failed", "skipped"}
    said = f"{report.reason} {said_of(report.tests)}"
    assert re.search(reason_of(path), said, re.IGNORECASE), said
