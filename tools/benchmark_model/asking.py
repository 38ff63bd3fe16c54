"""Asking one model everything that the journal does not have yet."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import anyio

from ...server.sessions import Clock
from . import spending
from .journal import Journal
from .providers.base import Provider, Question, Refused, Reply
from .providers.patience import Pace, Patience, persist
from .providers.prices import Price
from .replies import to_record
from .spending import Budget, Charge

# A model that never answers is not asked all the rest.
_FAILURES_IN_A_ROW = 5


@dataclass(slots=True)
class Asked:
    """How asking went. `stopped` says why it ended early, `failures` why single questions have no answer."""

    stopped: str = ""
    failures: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Terms:
    """What all models of a run are asked under."""

    budget: Budget
    max_tokens: int
    clock: Clock
    patience: Patience
    on_answer: Callable[[], None]


async def ask_all(
    provider: Provider,
    questions: Mapping[str, Question],
    journal: Journal,
    price: Price,
    terms: Terms,
) -> Asked:
    """Ask the questions, by their keys, and write each reply down as it comes."""
    asking = _Asking(provider, journal, price, terms, iter(questions.items()))
    async with anyio.create_task_group() as workers:
        for _ in range(min(provider.most_at_once, len(questions))):
            workers.start_soon(asking.work)
    return asking.asked


class _Asking:
    def __init__(
        self,
        provider: Provider,
        journal: Journal,
        price: Price,
        terms: Terms,
        questions: Iterator[tuple[str, Question]],
    ) -> None:
        self.asked = Asked()
        self._provider = provider
        self._journal = journal
        self._price = price
        self._terms = terms
        self._questions = questions
        self._pace = Pace(provider.most_at_once, terms.clock)
        self._in_a_row = 0

    async def work(self) -> None:
        """Take one question after the other until there are none, or something stops it."""
        for key, question in self._questions:
            if self.asked.stopped:
                return
            most = spending.worst(question.prompt, self._terms.max_tokens, self._price)
            if not await self._terms.budget.reserve(most):
                self.asked.stopped = no_room(self._terms.budget)
                return
            real = Charge()
            try:
                real = await self._one(key, question, most)
            except Refused as refused:
                self._failed(key, refused)
            finally:
                self._terms.budget.settle(most, real)

    async def _one(self, key: str, question: Question, most: Charge) -> Charge:
        terms = self._terms
        reply, retries = await persist(
            self._provider.name,
            lambda: self._attempt(question),
            self._pace,
            terms.clock,
            terms.patience,
        )
        reply = replace(reply, retries=retries)
        await self._journal.add("reply", key, to_record(reply))
        self._in_a_row = 0
        terms.on_answer()
        return charge(reply, self._price, most)

    async def _attempt(self, question: Question) -> Reply:
        if self.asked.stopped:
            # It was waiting for its turn when another question stopped everything.
            raise Refused(self.asked.stopped, for_good=True)
        return await self._provider.ask(question)

    def _failed(self, key: str, refused: Refused) -> None:
        if self.asked.stopped:
            return
        self.asked.failures[key] = str(refused)
        self._in_a_row += 1
        if refused.for_good:
            self.asked.stopped = str(refused)
        elif self._in_a_row >= _FAILURES_IN_A_ROW:
            self.asked.stopped = f"{self._in_a_row} questions in a row failed; the last: {refused}"


def no_room(budget: Budget) -> str:
    """Why asking ended, and how to go on."""
    return f"{budget.reason()}. What was answered is kept: with a larger budget, the same goes on from there"


def charge(reply: Reply, price: Price, most: Charge) -> Charge:
    """What a reply cost; the most that it can have cost where nobody tells how many tokens it took."""
    if reply.tokens is None:
        return most
    return Charge(price.of(reply.tokens) or 0.0, reply.tokens.all)


def affordable(
    questions: Iterable[tuple[str, Question]], price: Price, terms: Terms
) -> tuple[dict[str, Question], Charge]:
    """As many of the questions as the budget has room for, set aside all at once."""
    chosen: dict[str, Question] = {}
    usd, tokens = 0.0, 0
    for key, question in questions:
        most = spending.worst(question.prompt, terms.max_tokens, price)
        if not terms.budget.set_aside(most):
            break
        chosen[key] = question
        usd, tokens = usd + most.usd, tokens + most.tokens
    return chosen, Charge(usd, tokens)
