"""The report: what a model reads of a benchmark, and what the command line prints as JSON."""

from pydantic import BaseModel, Field

from .._workflow_report import Rest, WorkflowReport
from .sample import Outcome

PAGE_SAMPLES = 40
PAGE_CHARACTERS = 24_000
FULL_CHARACTERS = 40_000


class Share(BaseModel):
    """A share of 1 with its 95 % interval, over tasks."""

    k: int = 1
    value: float
    low: float
    high: float
    tasks: int


class Times(BaseModel):
    """Seconds: the median, and what 95 % stay below."""

    p50: float
    p95: float


class Failure(BaseModel):
    """One answer that failed."""

    task_id: str
    sample: int = 0
    outcome: Outcome
    reason: str = ""


class ModelReport(BaseModel):
    """One model. Unanswered samples and those that proofbox could not judge count neither way."""

    model: str
    passed: int
    samples: int
    unanswered: int = 0
    stopped: str = Field(default="", description="Why not everything was asked.")
    pass_at: list[Share] = Field(default=[], description="Unbiased pass@k.")
    lenient: Share | None = Field(
        default=None, description="pass@1 with missing imports added, where that differs."
    )
    outcomes: dict[str, int]
    latency: Times | None = Field(default=None, description="To the last token, without retries.")
    first_token: Times | None = None
    execution: Times | None = Field(default=None, description="Of passing answers.")
    relative_time: float | None = Field(
        default=None, description="Median time of passing answers, the reference's being 1."
    )
    retries: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: str = Field(description="USD of all answers, or unknown; with the source of the price.")
    usd_an_answer: float | None = Field(default=None, description="Of answers of known cost.")
    suspicious: int = Field(default=0, description="Answers whose code looks like cheating.")
    in_process: int = Field(
        default=0, description="Answers whose tests had to run beside them; cheating is possible."
    )
    failures: list[Failure] = Field(default=[], description="The most telling ones.")


class PairReport(BaseModel):
    """Two models on the same tasks: the first's share of passes less the second's."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    mcnemar_p: float
    p: float = Field(description="Adjusted for the number of comparisons.")
    separated: bool
    sentence: str


class SampleReport(BaseModel):
    """One answer."""

    model: str
    task_id: str
    sample: int
    syntax_valid: bool
    execution_time: float | None = Field(description="Seconds; null where it did not run.")
    output_correct: bool
    outcome: Outcome
    reason: str = ""


class CostReport(BaseModel):
    """What a dry run expects, roughly."""

    model: str
    questions: int
    input_tokens: int
    output_tokens: int
    usd: float | None = None
    at_most_usd: float | None = None
    price: str


class BenchReport(WorkflowReport):
    """A benchmark: the models, the best first, and whether the data separate them."""

    tasks: int = 0
    dataset: str = Field(default="", description="The tasks, and the hash of their content.")
    samples_each: int = 1
    models: list[ModelReport] = Field(default=[])
    separations: list[PairReport] = Field(default=[])
    estimates: list[CostReport] = Field(default=[], description="Of a dry run.")
    samples: list[SampleReport] = Field(default=[], description="The failed ones first.")
    session_id: str | None = Field(
        default=None, description="For read_artifact; close_session when you are done."
    )
    artifacts: list[str] = Field(default=[])


def page(report: BenchReport, offset: int = 0, full: bool = False) -> BenchReport:
    """The report with its samples from `offset` on, as many as fit, as a `Workflow` wants it."""
    room = FULL_CHARACTERS if full else PAGE_CHARACTERS
    head = report if not offset else report.model_copy(update={"models": [], "separations": []})
    room -= len(head.model_copy(update={"samples": []}).model_dump_json(exclude_defaults=True))
    shown: list[SampleReport] = []
    for sample in report.samples[offset : offset + PAGE_SAMPLES]:
        room -= len(sample.model_dump_json(exclude_defaults=True))
        if room < 0 and shown:
            break
        shown.append(sample)
    left = max(0, len(report.samples) - offset - len(shown))
    rest = Rest(results=left, offset=offset + len(shown)) if left else None
    return head.model_copy(update={"samples": shown, "rest": rest})
