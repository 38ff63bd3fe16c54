"""One sample with its verdict: what is kept in memory, in the journal and in the full record."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from .extraction import Extraction, extract
from .journal import Record, hash_of
from .providers.base import Reply
from .python_code import parse
from .sample import Candidate, Judgement, Outcome, Variant
from .task import Task

# A verdict that another version came to is not taken from the journal.
JUDGE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one answer, as the journal has it.

    `outcome` is that of the strict program, `lenient` that of the one with imports added. `added`: these
    differ. Times are in seconds.
    """

    outcome: Outcome
    lenient: Outcome
    reason: str
    syntax_valid: bool
    execution_time: float | None
    relative_time: float | None
    runs: int
    method: str
    flags: tuple[str, ...]
    trail: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One sample. `verdict` is None where there is no answer, and then `missing` says why."""

    model: str
    task_id: str
    sample: int
    verdict: Verdict | None
    missing: str = ""
    stop: str = ""
    tokens: dict[str, int] | None = None
    cost: float | None = None
    first_seconds: float | None = None
    seconds: float | None = None
    retries: int = 0

    @property
    def outcome(self) -> Outcome:
        return self.verdict.outcome if self.verdict else "infra_error"

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"

    @property
    def counts(self) -> bool:
        """Whether it says anything about the model."""
        return self.outcome != "infra_error"


def result_of(
    model: str, task_id: str, sample: int, reply: Reply, cost: float | None, verdict: Verdict | None
) -> Result:
    """The sample of a reply."""
    return Result(
        model,
        task_id,
        sample,
        verdict,
        missing="" if verdict else "It was not judged.",
        stop=reply.stop,
        tokens=asdict(reply.tokens) if reply.tokens else None,
        cost=cost,
        first_seconds=reply.first_seconds,
        seconds=reply.seconds,
        retries=reply.retries,
    )


def verdict_key(reply: Reply, task: Task, timing_runs: int) -> str:
    """The content hash of a verdict: the answer, the task, and how it is judged."""
    return hash_of(reply.text, reply.kind, reply.stop, task.digest, timing_runs, JUDGE_VERSION)


def to_record(verdict: Verdict) -> Record:
    """The verdict as JSON has it."""
    return asdict(verdict)


def from_record(record: Record) -> Verdict:
    """The verdict of a record."""
    facts: dict[str, Any] = dict(record)
    facts["flags"], facts["trail"] = tuple(facts["flags"]), tuple(facts["trail"])
    return Verdict(**facts)


def extraction_of(reply: Reply, task: Task) -> Extraction:
    """The programs of a reply; none of one that was refused, or that broke off before it was a program."""
    found = extract(reply.text, task, reply.kind)
    if reply.stop == "refusal":
        return replace(found, strict="", lenient="")
    broken = task.language == "python" and parse(found.strict) is None
    if reply.stop == "max_tokens" and broken:
        return Extraction("", "", (*found.trail, "it broke off before it was a program"))
    return found


def candidate_of(
    model: str, task: Task, sample: int, reply: Reply, program: str, variant: Variant
) -> Candidate:
    """A program to judge."""
    why = "no_code" if reply.stop == "end" else reply.stop
    return Candidate(task.id, model, sample, program, variant, why)


def verdict_of(strict: Judgement, lenient: Judgement | None, trail: tuple[str, ...]) -> Verdict:
    """One verdict of both programs."""
    return Verdict(
        outcome=strict.outcome,
        lenient=(lenient or strict).outcome,
        reason=strict.reason,
        syntax_valid=strict.syntax_valid,
        execution_time=strict.execution_seconds,
        relative_time=strict.relative_time,
        runs=strict.runs,
        method=strict.method,
        flags=strict.flags,
        trail=trail,
    )
