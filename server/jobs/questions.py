"""What work asks of whoever looks at its job, one question at a time. Both sides know what the two are."""

from typing import Any

import anyio

from ..sessions import Clock
from ..sessions.clock import finishes_within

ANSWER_SECONDS = 600.0
"""How long a question waits to be answered. Nobody tells when those who could answer have gone."""


class Unanswered(Exception):
    """Nobody has answered in time."""


class Questions:
    """The questions of one job. `open` is the one that waits for its answer, None where none does;
    `number` counts them from 1, and tells an answer to an earlier one.
    """

    def __init__(self, clock: Clock) -> None:
        self.open: Any = None
        self.number = 0
        self._clock = clock
        self._answer: Any = None
        self._taken = False
        self._asked = anyio.Event()
        self._answered = anyio.Event()

    async def ask(self, question: Any) -> Any:
        """The answer. Work asks one thing after the other.

        Raises:
            Unanswered: there is none.
        """
        self.number += 1
        self.open, self._taken = question, False
        self._answered = anyio.Event()
        self._asked.set()
        try:
            if not await finishes_within(self._clock, ANSWER_SECONDS, self._answered.wait):
                raise Unanswered
        finally:
            if self.open is not None:
                self._close()
        return self._answer

    async def wait(self) -> None:
        """Until a question waits."""
        await self._asked.wait()

    def answer(self, number: int, answer: Any) -> None:
        """Answer a question; one that is answered already, or is none, is passed over."""
        if self.open is not None and number == self.number:
            self._answer = answer
            self._close()
            self._answered.set()

    def take(self) -> bool:
        """Whether the caller is the one to see to the open question; it must `answer` or `give_back` it."""
        first, self._taken = not self._taken, True
        return first

    def give_back(self) -> None:
        """Let another see to it."""
        self._taken = False

    def _close(self) -> None:
        self.open = None
        self._asked = anyio.Event()
