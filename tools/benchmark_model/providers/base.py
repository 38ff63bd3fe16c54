"""The interface of a provider: questions, replies, and the three ways of not giving one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ....server.sandbox import ProofboxError
from ..extraction import AnswerKind

Parameters = Mapping[str, Any]
"""What is sent along with every prompt, as JSON has it. `max_tokens` is always there."""

Stop = Literal["end", "max_tokens", "refusal"]
"""Why the model ended: it was done, it ran out of tokens, or it (or a filter) would not."""


@dataclass(frozen=True, slots=True)
class Question:
    """One sample of one task, as it is asked."""

    task_id: str
    sample: int
    prompt: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a reply used. `input` holds what was read from or written to a cache, `output` the thinking."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    thinking: int = 0

    @property
    def all(self) -> int:
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        tokens: None where the provider does not tell.
        first_seconds, seconds: to the first token and to the last one of the attempt that succeeded,
            without waiting and retries. None where it means nothing (batches, recorded answers).
        retries: attempts before that.
        served_by: the model as the provider names it.
    """

    text: str
    stop: Stop = "end"
    tokens: Tokens | None = None
    first_seconds: float | None = None
    seconds: float | None = None
    retries: int = 0
    served_by: str = ""
    kind: AnswerKind = "reply"


class Busy(Exception):
    """The provider asks to slow down. `retry_after` is in seconds, None where it does not say."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Trouble(Exception):
    """The attempt failed in a way that may pass: a lost connection, a fault of the server, broken JSON."""


class Refused(ProofboxError):
    """The provider will not answer, however often it is asked.

    Attributes:
        for_good: it is about the model or the key, so no other question would be answered either.
    """

    def __init__(self, message: str, *, for_good: bool) -> None:
        super().__init__(message)
        self.for_good = for_good


class Provider(Protocol):
    """One model of one provider."""

    @property
    def name(self) -> str:
        """As the caller names it: `provider:model`."""
        ...

    @property
    def priced_as(self) -> tuple[str, str] | None:
        """Provider and model as tables of prices name them; None where answers cost nothing."""
        ...

    @property
    def most_at_once(self) -> int:
        """How many questions may be under way at one time."""
        ...

    @property
    def fingerprint(self) -> str:
        """What tells its answers apart from those of another model, besides `name`; mostly empty."""
        ...

    async def check(self) -> None:
        """See whether it would answer, without a question that costs anything.

        Raises:
            InvalidInput: there is no such model, the key is refused, nobody answers.
        """
        ...

    async def ask(self, question: Question) -> Reply:
        """One attempt.

        Raises:
            Busy, Trouble: another attempt may work.
            Refused: none will.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
