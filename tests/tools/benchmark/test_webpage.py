"""Summary, report and page of samples that are made up here."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any
from xml.dom import minidom

import pytest

from proofbox.tools.benchmark_model import charts, webpage
from proofbox.tools.benchmark_model.rendering import render
from proofbox.tools.benchmark_model.report import BenchReport, ModelReport, SampleReport, page
from proofbox.tools.benchmark_model.reporting import model_report, pair_report, sample_report
from proofbox.tools.benchmark_model.results import Result, Verdict
from proofbox.tools.benchmark_model.sample import Outcome
from proofbox.tools.benchmark_model.summary import Summary, summarise
from proofbox.tools.benchmark_model.task import Task

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>\x1b[31m\u202e"
TASKS = {f"t{n}": Task(f"t{n}", "p", "f") for n in range(10)}


def sample(model: str, task: str, number: int, outcome: Outcome, reason: str = "") -> Result:
    """One answer, whose figures depend on its number alone."""
    verdict = Verdict(outcome, outcome, reason, True, 0.01, 1.5, 1, "compared", (), ())
    tokens = {"input": 100, "output": 50}
    return Result(
        model, task, number, verdict, "", "end", tokens, 0.001, 0.5, 1.0 + number, retries=1
    )


def samples(model: str, right: int, each: int = 2) -> list[Result]:
    """Answers of a model that solves the first so many tasks."""
    return [
        sample(model, task, number, "passed" if index < right else "wrong_answer", f"wrong {task}")
        for index, task in enumerate(TASKS)
        for number in range(each)
    ]


@pytest.fixture
def summary() -> Summary:
    """Two models, one of which has a name that means harm, and one sample that nobody could judge."""
    lost = Result(HOSTILE, "t9", 2, None, missing="The sandbox was lost.")
    return summarise([*samples("good", 9), *samples(HOSTILE, 2), lost], TASKS, 2)


def test_models_are_ranked_and_compared(summary: Summary) -> None:
    """By pass@1 over tasks; what could not be judged counts neither way."""
    best, other = summary.models
    (pair,) = summary.pairs

    assert (best.name, best.passed, best.samples, best.unanswered) == ("good", 18, 20, 0)
    assert (other.passed, other.samples, other.unanswered) == (4, 20, 1)
    assert best.pass_at[1].value == 0.9
    assert set(best.pass_at) == {1, 2}
    assert best.latency.p50 == 1.5
    assert (best.input_tokens, best.output_tokens, best.usd) == (2000, 1000, pytest.approx(0.02))
    assert pair.separated
    assert pair.apart.value == pytest.approx(0.7)
    assert (pair.apart.only_first, pair.apart.only_second) == (7, 0)


def test_the_most_telling_failures_are_of_tasks_that_others_solve() -> None:
    """And of several kinds, where there are."""
    weak = samples("weak", 0, each=1)
    weak[8] = sample("weak", "t8", 0, "timeout")
    weak[9] = sample("weak", "t9", 0, "syntax_error")
    found = summarise([*weak, *samples("good", 9, each=1)], TASKS, 1).models[1].telling

    assert [(one.task_id, one.outcome) for one in found] == [
        ("t0", "wrong_answer"),
        ("t8", "timeout"),
        ("t9", "syntax_error"),
    ]


class _Tags(HTMLParser):
    """All tags of a page, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def hostile_report() -> BenchReport:
    """A report in which all that is foreign means harm."""
    failing = ModelReport.model_validate(
        {
            "model": HOSTILE,
            "passed": 1,
            "samples": 2,
            "outcomes": {"passed": 1, "wrong_answer": 1},
            "cost": HOSTILE,
            "failures": [{"task_id": HOSTILE, "outcome": "wrong_answer", "reason": HOSTILE}],
        }
    )
    return BenchReport(verdict="passed", reason=HOSTILE, dataset=HOSTILE, models=[failing])


@pytest.fixture
def report(summary: Summary) -> BenchReport:
    """The report of these samples, in which all that is foreign means harm."""
    results = [*samples("good", 9), *samples(HOSTILE, 2)]
    return BenchReport(
        verdict="passed",
        reason=HOSTILE,
        tasks=10,
        dataset=HOSTILE,
        samples_each=2,
        models=[model_report(one, HOSTILE, HOSTILE) for one in summary.models],
        separations=[pair_report(one) for one in summary.pairs],
        samples=[sample_report(one) for one in results],
    )


def test_what_is_foreign_is_text_on_the_page_and_nothing_else(report: BenchReport) -> None:
    """No script, no picture, nothing that is loaded, and a policy that would forbid it all."""
    text = webpage.page(report)
    parser = _Tags()
    parser.feed(text)
    names = {name for name, _ in parser.tags}
    attributes = {name for _, attrs in parser.tags for name in attrs}
    links = [attrs["href"] or "" for _, attrs in parser.tags if "href" in attrs]

    assert "alert(1)" in text
    assert not names & {"script", "img", "iframe", "object", "a", "form"}
    assert not {name for name in attributes if name.startswith("on")} | attributes & {"src"}
    assert all(link.startswith("data:image/svg+xml;") for link in links)
    assert "default-src 'none'; style-src 'sha256-" in unescape(text)
    assert not set(text) & {"\x1b", "\u202e"}


def test_the_plots_are_drawings_that_say_in_words_what_they_show(report: BenchReport) -> None:
    """Well-formed: pass@1 of each model in its row, its curve, the matrix and three trade-offs."""
    every = re.findall(r"<svg.*?</svg>", webpage.page(report), re.DOTALL)
    drawings = [one for one in every if "aria-hidden" not in one]

    assert len(drawings) == 7
    for drawing in drawings:
        root = minidom.parseString(drawing).documentElement
        assert root is not None
        assert root.getAttribute("aria-label")
    plot = str(charts.matrix(["good", HOSTILE], webpage.solved(report.samples)))
    titles = re.findall(r"<title>(.*?)</title>", plot)
    assert len(titles) == 20
    assert "t0, good: 100 % of answers pass" in titles
    assert "t9, good: 0 % of answers pass" in titles
    assert "<title>90.0 % (" in charts.bar(report.models[0].pass_at[0], "red")


def test_an_answer_without_a_verdict_counts_in_no_plot(report: BenchReport) -> None:
    """It says nothing about the model."""
    lost = sample_report(Result("good", "t9", 2, None, missing="The sandbox was lost."))

    assert webpage.solved([*report.samples, lost])["t9"]["good"] == 0.0
    assert webpage.solved([lost]) == {"t9": {}}


def test_the_same_samples_give_the_same_page(report: BenchReport) -> None:
    """There is no date in it, nor anything else that changes."""
    assert webpage.page(report) == webpage.page(report)


def test_a_plot_of_what_nobody_knows_is_none() -> None:
    """It is said in words instead."""
    assert charts.scatter([], "cost", "USD") is None


def failed_sample(**facts: Any) -> SampleReport:
    """An answer that did not pass."""
    failed = {"sample": 0, "syntax_valid": False, "execution_time": None, "output_correct": False}
    return SampleReport.model_validate({"model": "m", **failed, **facts})


def test_pages_of_a_report_hold_what_fits_and_lose_nothing() -> None:
    """The failed answers first, the models on the first page only."""
    rows = [
        failed_sample(task_id=f"t{n}", outcome="wrong_answer", reason="x" * 280) for n in range(100)
    ]
    whole = hostile_report().model_copy(update={"samples": rows})
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        part = page(whole, offset)
        assert len(part.model_dump_json(exclude_defaults=True)) < 26_000
        assert bool(part.models) == (offset == 0)
        seen += [one.task_id for one in part.samples]
        offset = part.rest.offset if part.rest else None

    assert seen == [one.task_id for one in rows]


def test_the_text_says_what_the_data_say() -> None:
    """For clients that read only one of them."""
    sample_row = failed_sample(
        task_id="t7", outcome="timeout", reason="It took too long.", execution_time=5.0
    )
    text = render(hostile_report().model_copy(update={"samples": [sample_row]}))

    assert "1 of 2 answers pass" in text
    assert "timeout, no valid program 5 s m t7 #0: It took too long." in text
    assert not set(text) & {"\x1b", "\u202e"}
