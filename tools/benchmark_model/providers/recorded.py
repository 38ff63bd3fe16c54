"""A file of recorded answers."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from ....server.sandbox import InvalidInput
from ..extraction import AnswerKind
from .base import Question, Refused, Reply, Stop, Tokens

_MOST_BYTES = 512 * 1024**2
_KINDS: Mapping[str, AnswerKind] = {
    "completion": "completion",
    "solution": "program",
    "program": "program",
    "reply": "reply",
}


class Recorded:
    """The answers in a file of JSON lines, plain or .gz.

    A row has `task_id`, `text` and `kind` (completion, solution or program, reply), and may have `sample`,
    `stop`, `input_tokens`, `output_tokens`, `seconds` and `first_seconds`. Rows of other harnesses, with
    `completion` or `solution` in place of `text` and `kind`, will do too.
    """

    most_at_once = 64
    priced_as = None

    def __init__(self, path: Path, shown: str) -> None:
        """Reads it.

        Raises:
            InvalidInput: it cannot be read, or a row is none, or another answer than one before.
        """
        self.name = f"file:{shown}"
        self._replies: dict[tuple[str, int], Reply] = {}
        digest = hashlib.sha256()
        counts: dict[str, int] = {}
        for number, line in enumerate(_lines(path, shown), 1):
            digest.update(line)
            if line.strip():
                task, sample, reply = _row(line, f"{shown}:{number}", counts)
                if (task, sample) in self._replies:
                    raise InvalidInput(
                        f"{shown}:{number}: answer {sample} to {task} is there twice."
                    )
                self._replies[task, sample] = reply
        if not self._replies:
            raise InvalidInput(f"{shown} has no answers.")
        self.fingerprint = digest.hexdigest()

    @property
    def tasks(self) -> Mapping[str, int]:
        """The tasks that it answers, and how often."""
        counts: dict[str, int] = {}
        for task, _ in self._replies:
            counts[task] = counts.get(task, 0) + 1
        return counts

    async def check(self) -> None:
        """It was read already."""

    async def ask(self, question: Question) -> Reply:
        """As `Provider.ask`."""
        reply = self.get(question)
        if reply is None:
            raise Refused(
                f"{self.name} has no answer {question.sample} to {question.task_id}.",
                for_good=False,
            )
        return reply

    def get(self, question: Question) -> Reply | None:
        """The answer to a question, where it has one."""
        return self._replies.get((question.task_id, question.sample))

    async def close(self) -> None:
        """It is closed already."""


def _lines(path: Path, shown: str) -> Iterator[bytes]:
    left = _MOST_BYTES
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                left -= len(line)
                if left < 0:
                    raise InvalidInput(f"{shown} has more than {_MOST_BYTES:,} bytes of answers.")
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{shown} cannot be read: {error}.") from error


def _row(line: bytes, where: str, counts: dict[str, int]) -> tuple[str, int, Reply]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where} is no JSON: {error}.") from error
    if not isinstance(row, dict):
        raise InvalidInput(f"{where} is no JSON object.")
    facts = cast(dict[str, Any], row)
    task = facts.get("task_id")
    shape = next((name for name in ("text", "completion", "solution") if name in facts), "")
    text = facts.get(shape)
    kind = _KINDS.get(str(facts.get("kind", "reply")) if shape == "text" else shape)
    if not isinstance(task, str | int) or not isinstance(text, str) or kind is None:
        raise InvalidInput(
            f"{where} is no answer: it needs task_id, text and kind (completion, program or reply)."
        )
    task = str(task)
    sample = facts.get("sample", counts.get(task, 0))
    if not isinstance(sample, int) or sample < 0:
        raise InvalidInput(f"{where}: sample must be a number from 0 on, not {sample!r}.")
    counts[task] = counts.get(task, 0) + 1
    return task, sample, _reply(facts, text, kind, where)


def _reply(facts: Mapping[str, Any], text: str, kind: AnswerKind, where: str) -> Reply:
    stop: Stop = facts.get("stop", "end")
    if stop not in {"end", "max_tokens", "refusal"}:
        raise InvalidInput(f"{where}: stop must be end, max_tokens or refusal, not {stop!r}.")
    tokens = None
    if isinstance(facts.get("input_tokens"), int) and isinstance(facts.get("output_tokens"), int):
        tokens = Tokens(facts["input_tokens"], facts["output_tokens"])
    return Reply(
        text=text,
        stop=stop,
        tokens=tokens,
        first_seconds=_seconds(facts.get("first_seconds")),
        seconds=_seconds(facts.get("seconds")),
        kind=kind,
    )


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value >= 0 else None
