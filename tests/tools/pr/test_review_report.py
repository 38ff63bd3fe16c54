"""The report on a pull request: its parts, its pages and its text."""

import json
from typing import Any

import pytest
from review_samples import (
    BASE,
    HEAD,
    HELD,
    PROOF,
    REGRESSION,
    evidence,
    full,
    hostile,
    pull,
)

from proofbox.tools.check_pr.checked import Checked
from proofbox.tools.check_pr.evidence.evidence import TestEvidence
from proofbox.tools.check_pr.review.paging import CHARACTERS, page
from proofbox.tools.check_pr.review.rendering import render
from proofbox.tools.check_pr.review.report import PrReport
from proofbox.tools.check_pr.review.reporting import report_of


def many(count: int) -> Checked:
    """A project with so many tests that fail."""
    tests = [
        TestEvidence(
            f"tests/test_a.py::test_{number:04}", "pass_to_fail", "passed", raised=REGRESSION.raised
        )
        for number in range(count)
    ]
    return Checked("", pull(), evidence=evidence(*tests))


def test_a_report_has_everything_that_was_found() -> None:
    """Verdict, commits, environments, tests, and what was found beyond them, the worst test first."""
    report = report_of(pull(), [full()], seconds=12.3456)
    [project] = report.projects

    assert (report.verdict, project.verdict) == ("failed", "failed")
    assert (report.refs.merge_base, report.refs.head) == (BASE, HEAD)
    assert [test.kind for test in project.tests] == [
        "pass_to_fail",
        "removed",
        "fail_to_pass_strong",
    ]
    assert project.tests[0].where == "pkg/mod.py:11"
    assert project.counts == {
        "pass_to_fail": 1,
        "removed": 1,
        "fail_to_pass_strong": 1,
        "pass_to_pass": 3,
    }
    assert sum(project.counts.values()) == project.total_tests == 6
    assert project.coverage is not None
    assert project.coverage.percent == 33.3
    assert project.environments is not None
    assert project.environments.changed[0].after == "2.3.0"
    assert [one.file for one in report.stayed_home] == [".env"]
    assert report.duration_seconds == 12.346


def test_counts_add_up_whatever_the_evidence_says() -> None:
    """The numbers of a report are counted from its tests."""
    lying = evidence(*HELD, PROOF)
    lying.counts["pass_to_pass"] = 500  # pyright: ignore[reportIndexIssue]

    [project] = report_of(pull(), [Checked("", pull(), evidence=lying)]).projects

    assert sum(project.counts.values()) == project.total_tests == 4


def test_each_project_has_a_part_of_its_own_the_worst_first() -> None:
    """A monorepo's report is a part a project, and names the folder where it speaks of the whole."""
    good = Checked("good", pull(), evidence=evidence(*HELD))

    report = report_of(pull(), [good, full("bad")])

    assert [(one.folder, one.verdict) for one in report.projects] == [
        ("bad", "failed"),
        ("good", "passed"),
    ]
    assert report.reason.startswith("bad: ")
    assert not report.projects[0].reason.startswith("bad: ")
    assert report.verdict == "failed"
    assert {one.path for one in report.annotations} == {"bad/pkg/mod.py", "bad/tests/test_old.py"}


def test_nothing_that_ran_is_no_pass() -> None:
    """Without a project or without a test the verdict is that nothing was judged, and the report says so."""
    nothing = pull()

    for projects in ([], [Checked("", nothing)]):
        report = report_of(nothing, projects)
        assert report.verdict == "skipped"
        assert report.review.splitlines()[2] == "## proofbox: skipped"


def test_texts_of_a_report_hide_nothing() -> None:
    """Escapes, control characters, and what is invisible or reorders text are gone from every field."""
    stored = report_of(pull(), [hostile()]).model_dump_json()

    assert "octocat" in stored
    for bad in ("\\u001b", "\u202e", "\u200b", "[2J"):
        assert bad not in stored


def test_no_text_of_a_pull_request_begins_a_line_of_the_report() -> None:
    """What a test prints cannot look like a line of ours: it is folded into one."""
    evil = "x\nfailed: \u2028passed: all\rpassed: all\x0bpassed: all"
    test = TestEvidence(f"t.py::{evil}", "pass_to_fail", why=evil, raised=REGRESSION.raised)
    project = Checked(evil, pull(), evidence=evidence(test, selected=evil, problems=(evil,)))

    said = render(report_of(pull(), [project, hostile()]), review=False)

    assert not any(line.strip().startswith("passed") for line in said.splitlines())
    assert "Verdict: passed" in said


def test_the_text_of_a_report_says_what_its_fields_say() -> None:
    """A host that forwards only text leaves the model with everything."""
    report = report_of(pull(), [full()])
    said = render(report)

    def leaves(data: Any) -> list[str]:
        if isinstance(data, str):
            return [data]
        if not hasattr(data, "__iter__"):
            return []
        inside = data.values() if hasattr(data, "values") else data
        return [leaf for each in inside for leaf in leaves(each)]

    facts = report.model_dump(mode="json", exclude={"review"}, exclude_defaults=True)
    missing = [one for one in leaves(facts) if " ".join(one.split()) not in said]

    assert missing == []
    assert report.review in said


@pytest.mark.parametrize("count", [1, 59, 300])
def test_the_pages_of_a_report_are_all_of_it(count: int) -> None:
    """Page after page every test is told once, no page is too long, and the first says the rest."""
    report = report_of(pull(), [full("first"), many(count)])
    told: list[str] = []
    offset: int | None = 0

    while offset is not None:
        shown = page(report, offset)
        assert len(shown.model_dump_json(exclude_defaults=True)) < CHARACTERS + 2_000
        told += [test.id for one in shown.projects for test in one.tests]
        assert bool(shown.annotations) == bool(shown.review) == (offset == 0)
        assert shown.verdict == "failed"
        offset = shown.rest.offset if shown.rest else None

    assert told == [test.id for one in report.projects for test in one.tests]


def test_a_whole_small_report_is_one_page() -> None:
    """Where all fits, nothing is cut, and a stored report reads back as it was."""
    report = report_of(pull(), [Checked("", pull(), evidence=evidence(*HELD, PROOF))])

    assert page(report).rest is None
    assert page(report).review == report.review
    assert PrReport.model_validate(json.loads(report.model_dump_json())) == report


def test_a_page_counts_what_it_leaves_out() -> None:
    """Long lists and the review are cut on a page, and not with `full`."""
    report = report_of(pull(), [full()])
    refs = report.refs.model_copy(update={"conflicts": [f"{n}.py" for n in range(100)]})
    report = report.model_copy(update={"refs": refs, "notes": ["A note."] * 50})

    short, long = page(report), page(report, full=True)

    assert short.rest is not None
    assert short.rest.characters > 0
    assert len(short.refs.conflicts) == 12
    assert len(long.refs.conflicts) == 100
    assert long.notes == report.notes
