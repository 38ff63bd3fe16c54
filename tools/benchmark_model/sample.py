"""A model's answer as code, and the verdict on it."""

from dataclasses import dataclass
from typing import Literal

Variant = Literal["strict", "lenient"]
"""strict: the code that the model wrote. lenient: with the task's usual imports before it."""

Outcome = Literal[
    "passed",
    "wrong_answer",
    "exception",
    "syntax_error",
    "no_code",
    "timeout",
    "memory",
    "crashed",
    "early_exit",
    "output_limit",
    "refusal",
    "max_tokens",
    "infra_error",
]
"""What became of an answer.

passed: every check holds. wrong_answer: one does not. exception: it raised, or has not the name that is
asked for. syntax_error: it is no program. no_code: there was none. timeout: out of CPU or wall time. memory:
out of memory. crashed: a signal ended it. early_exit: it left before its tests were done. output_limit: it
would not stop printing. refusal, max_tokens: the model ended so. infra_error: our side failed, which counts
neither for nor against a model.
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A complete program that a model gave, ready to be judged.

    `code` is empty where the answer has none; then `without_code` says why.
    """

    task_id: str
    model: str
    sample: int
    code: str
    variant: Variant = "strict"
    without_code: Literal["no_code", "refusal", "max_tokens"] = "no_code"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a candidate.

    Attributes:
        reason: one sentence, empty for a pass. It may quote what the code printed or returned: data.
        execution_seconds: wall time of the tests' calls, measured outside of the answer's process; the best
            of `runs` where it passed. None where nothing ran.
        relative_time: that, divided by the same for the reference. None where there is no reference.
        cpu_seconds: the process's own word; good for reports only.
        checks, checks_passed: of tests that are data; 0 where they are code.
        method: `compared` outside of the answer's process, `replayed` to the dataset's tests in a process of
            their own, or `in_process`, where cheating cannot be ruled out. Empty where nothing ran.
        flags: what looks suspicious in the code (see `suspicion`), and `flaky` where a later run failed.
    """

    candidate: Candidate
    outcome: Outcome
    reason: str = ""
    execution_seconds: float | None = None
    relative_time: float | None = None
    cpu_seconds: float | None = None
    runs: int = 0
    checks: int = 0
    checks_passed: int = 0
    method: Literal["", "compared", "replayed", "in_process"] = ""
    flags: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"

    @property
    def syntax_valid(self) -> bool:
        """Whether there was a program at all."""
        return self.outcome not in {"syntax_error", "no_code", "refusal", "max_tokens"}
