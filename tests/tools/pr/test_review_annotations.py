"""Findings at their lines: which line, which side, whether the diff shows it; and the same as SARIF."""

import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from review_samples import EVIL, HELD, REGRESSION, SOURCE, evidence, full, hostile, pull

from proofbox.tools.check_pr.checked import Checked
from proofbox.tools.check_pr.evidence.evidence import TestEvidence
from proofbox.tools.check_pr.review.annotations import RULES, annotations_of
from proofbox.tools.check_pr.review.report import AnnotationReport, PrReport
from proofbox.tools.check_pr.review.reporting import ANNOTATIONS, report_of
from proofbox.tools.check_pr.review.sarif import to_sarif
from proofbox.tools.run_generated_tests.events import Frame, Raised


def raised_at(*lines: int) -> Raised:
    """An exception that went through these lines of the changed module."""
    return Raised("E", "no", tuple(Frame("pkg/mod.py", line, "f", "") for line in lines))


def found(*tests: TestEvidence) -> list[AnnotationReport]:
    """The annotations of these tests."""
    return list(annotations_of(Checked("", pull(), evidence=evidence(*tests))))


def test_a_regression_is_at_the_changed_line_that_it_went_through() -> None:
    """The innermost line of the change, rather than the test that nobody touched."""
    [one] = found(REGRESSION)

    assert (one.path, one.line, one.side, one.in_diff) == ("pkg/mod.py", 11, "RIGHT", True)
    assert (one.severity, one.rule) == ("error", "pass_to_fail")
    assert "assert 3 == 4" in one.message


def test_a_regression_elsewhere_is_at_its_test() -> None:
    """Where no changed line is on the way, the test is named, outside of the diff."""
    [one] = found(
        TestEvidence("t.py::test_x", "pass_to_fail", raised=raised_at(30), file="t.py", line=4)
    )

    assert (one.path, one.line, one.in_diff) == ("t.py", 4, False)


def test_a_test_that_is_gone_is_at_a_line_of_base() -> None:
    """What head has not is on the left side."""
    [one] = found(TestEvidence("tests/test_old.py::t", "removed", line=3))

    assert (one.path, one.line, one.side, one.in_diff) == ("tests/test_old.py", 3, "LEFT", True)


@pytest.mark.parametrize(
    ("line", "shown"), [(6, False), (7, True), (10, True), (14, True), (15, False), (41, False)]
)
def test_the_diff_shows_three_lines_around_a_change(line: int, shown: bool) -> None:
    """GitHub refuses a comment on any line that is not in a hunk; the change is in lines 10 and 11."""
    [one] = found(TestEvidence("x", "new_and_fails", file="pkg/mod.py", line=line))

    assert one.in_diff is shown
    assert SOURCE.count(b"\n") == 40


def test_what_is_good_or_known_is_no_finding() -> None:
    """Tests that pass, that were mended, or that fail on both sides are not annotated."""
    kinds = ("pass_to_pass", "fail_to_pass_strong", "fail_to_pass_weak", "fail_to_fail", "skipped")

    assert not found(*(TestEvidence(f"t.py::{kind}", kind) for kind in kinds))


def test_findings_are_sorted_limited_and_counted() -> None:
    """Errors come first; what is too much is counted."""
    tests = [TestEvidence(f"t.py::{n}", "flaky") for n in range(ANNOTATIONS)]
    project = Checked("pkg", pull(), evidence=evidence(*HELD, *tests, REGRESSION))

    report = report_of(pull(), [project])

    assert report.annotations[0].severity == "error"
    assert report.annotations[0].path == "pkg/pkg/mod.py"
    assert len(report.annotations) == ANNOTATIONS
    assert report.annotations_more == 1


def test_every_failure_is_a_finding_somewhere() -> None:
    """What fails and has no line is at the first changed one, so that nobody sees a failure without any."""
    bad = Checked("", pull(), evidence=evidence(*HELD, regressions=("No module named pkg.",)))

    [one] = report_of(pull(), [bad]).annotations

    assert (one.rule, one.path, one.line) == ("regression", "pkg/mod.py", 10)


def checked_sarif(report: PrReport) -> dict[str, Any]:
    """The run of a SARIF log, held against what its schema and code scanning ask for."""
    log = json.loads(to_sarif(report))
    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "proofbox"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", driver["semanticVersion"])
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(set(rules)) == len(rules)
    for rule in driver["rules"]:
        assert rule["defaultConfiguration"]["level"] in {"error", "warning", "note"}
        assert rule["shortDescription"]["text"]
    marks: list[str] = []
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]
        assert "](" not in result["message"]["text"]
        [location] = result["locations"]
        place = location["physicalLocation"]
        uri: str = place["artifactLocation"]["uri"]
        assert urlsplit(uri).path == uri
        assert re.fullmatch(r"[A-Za-z0-9%/._~-]+", uri)
        if "region" in place:
            assert 1 <= place["region"]["startLine"] <= place["region"]["endLine"]
        [mark] = result["partialFingerprints"].values()
        marks.append(mark)
    assert len(set(marks)) == len(marks)
    [invocation] = run["invocations"]
    assert isinstance(invocation["executionSuccessful"], bool)
    return run


def test_sarif_has_a_result_a_finding() -> None:
    """Rules, places, levels and fingerprints; a line of base is told in words, as readers see head only."""
    report = report_of(pull(), [full("pkg one")])

    run = checked_sarif(report)

    assert len(run["results"]) == len(report.annotations) > 5
    first = next(one for one in run["results"] if one["ruleId"] == "pass_to_fail")
    place = first["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == "pkg one/pkg/mod.py"
    assert place["region"] == {"startLine": 11, "endLine": 11}
    gone = next(one for one in run["results"] if one["ruleId"] == "removed")
    assert "region" not in gone["locations"][0]["physicalLocation"]
    assert "Line 3 of base" in gone["message"]["text"]
    assert {one["ruleId"] for one in run["results"]} <= set(RULES)


def test_sarif_of_lies_is_sound() -> None:
    """No name makes an address, a link or two results of one."""
    run = checked_sarif(report_of(pull(), [hostile(), full()]))

    assert len(run["results"]) > 10
    assert EVIL not in json.dumps(run)


def test_fingerprints_do_not_move_with_lines() -> None:
    """A finding that moved to another line is the same finding; the next one is another."""
    at = [report_of(pull(), [Checked("", pull(), evidence=evidence(
        TestEvidence("t.py::a", "flaky", line=line), TestEvidence("t.py::b", "flaky", line=line),
    ))]) for line in (3, 9)]  # fmt: skip

    before, after = (
        [r["partialFingerprints"] for r in checked_sarif(one)["results"]] for one in at
    )

    assert before == after
    assert before[0] != before[1]


def test_sarif_of_what_could_not_be_decided_is_no_success() -> None:
    """Code scanning must not take silence for a clean bill."""
    errored = Checked("", pull(), evidence=evidence(*HELD, problems=("The sandbox was lost.",)))

    for project in (errored, Checked("", pull())):
        run = checked_sarif(report_of(pull(), [project]))
        assert run["invocations"][0]["executionSuccessful"] is False
        assert run["invocations"][0]["toolExecutionNotifications"]
