"""A task: what a model is asked, and what an answer must do."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

Language = Literal["python", "javascript", "bash"]

Kind = Literal["completion", "instruction"]
"""completion: the prompt is the beginning of the program, which the answer goes on or repeats.
instruction: it is prose, and the answer is all of the program.
"""

Relation = Literal["equal", "strict", "close", "same_items", "truth", "same_text"]
"""How a value must be like the expected one. equal: as Python's `==`, where `True == 1 == 1.0`.
strict: `==` and the same types all the way down. close: as equal, but numbers may differ by `tolerance`.
same_items: as sets. truth: both are true, or both are false, as conditions.
same_text: as text, without trailing white space on lines and at the end.
"""


@dataclass(frozen=True, slots=True)
class Check:
    """What one step of a case must give. `shown` is the check as its author wrote it.

    `raises` names the exception that must be raised, and then there is no expected value.
    `tolerance` is absolute, `relative` a fraction of the expected value.
    """

    shown: str
    expected: Any = None
    raises: str = ""
    relation: Relation = "equal"
    tolerance: float = 0.0
    relative: float = 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """Code that calls the answer, without what is expected of it.

    `code` is run in the answer's process, where it gives one value for each of `checks`; for languages other
    than Python `calls` is instead, a JSON list of lists of arguments. For programs that read and write
    (`Task.entry_point` is empty) `stdin` and `arguments` go in, and the check is of what was printed.
    """

    code: str
    checks: tuple[Check, ...]
    calls: str = ""
    stdin: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wrong:
    """A plausible wrong answer, which the task's own tests must reject, and how."""

    code: str
    why: str
    outcome: str = "wrong_answer"


@dataclass(frozen=True)
class Task:
    """One task of any source.

    `cases` hold tests that are data; judging by them, nothing that is expected enters the answer's process.
    Where a dataset's tests are code that cannot be taken apart, `test` has them (`check(candidate)` in
    Python), `prelude` the names that they use, and `cases` is empty. Where it has only arguments, `calls`
    has them, encoded as JSON, and what is expected comes from the reference and is checked by `like`.

    Attributes:
        reference: a complete program that solves it, empty where there is none.
        needs: names that the tests use and an answer has to have beside the entry point, as HumanEval's own
            harness wants it.
        header: imports that an answer may take for given, for the lenient score.
        cpu_seconds, wall_seconds, memory_bytes: limits of one answer's process.
        allows: marks of suspicious code that mean nothing here (see `suspicion`).
        source: where it is from, like `builtin` or `HumanEval.jsonl.gz:7`.
    """

    id: str
    prompt: str
    entry_point: str
    language: Language = "python"
    kind: Kind = "completion"
    cases: tuple[Case, ...] = ()
    test: str = ""
    prelude: str = ""
    calls: str = ""
    like: Check = Check("")
    reference: str = ""
    needs: tuple[str, ...] = ()
    header: str = ""
    wrong: tuple[Wrong, ...] = ()
    note: str = ""
    difficulty: int = 0
    cpu_seconds: int = 5
    wall_seconds: float = 20.0
    memory_bytes: int = 1024**3
    allows: frozenset[str] = field(default_factory=frozenset[str])
    source: str = ""

    @cached_property
    def digest(self) -> str:
        """A hash of all that decides a verdict or is sent to a model; where it is from is not in it."""
        facts: Mapping[str, Any] = asdict(self)
        kept = {
            key: value for key, value in facts.items() if key not in {"source", "note", "wrong"}
        }
        kept["allows"] = sorted(self.allows)
        text = json.dumps(kept, sort_keys=True, default=repr)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
