"""Asking by Anthropic's batch API: at half the price, within a day, and without latencies.

The id of a batch is written down as soon as there is one, so that a run that was stopped takes up the batch
again and does not pay for another.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .asking import Asked, Terms, affordable, charge, no_room
from .journal import Journal
from .providers.base import Question, Refused
from .providers.patience import Pace, persist
from .providers.prices import Price
from .replies import to_record
from .spending import Charge

if TYPE_CHECKING:
    from .providers.claude import Anthropic

POLL_SECONDS = 20.0
# The API takes 100,000, and 256 MB.
_MOST_QUESTIONS = 10_000


async def ask_in_batches(
    provider: "Anthropic",
    questions: Mapping[str, Question],
    journal: Journal,
    price: Price,
    terms: Terms,
) -> Asked:
    """Ask the questions, by their keys, in batches; those that were begun and not fetched come first."""
    asked = Asked()
    batches = _Batches(provider, journal, price, terms)
    try:
        for name in list(journal.keys("batch")):
            record = journal.get("batch", name)
            if record and record["open"]:
                await batches.fetch(name, Charge())
        left: dict[str, Question] = {
            key: one for key, one in questions.items() if ("reply", key) not in journal
        }
        while left:
            part, most = affordable(list(left.items())[:_MOST_QUESTIONS], price, terms)
            if not part:
                asked.stopped = no_room(terms.budget)
                break
            await batches.fetch(await batches.start(part), most)
            left = dict(list(left.items())[len(part) :])
    except Refused as refused:
        asked.stopped = str(refused)
    for key in questions:
        if ("reply", key) not in journal and not asked.stopped:
            asked.failures[key] = "The batch gave no answer to it."
    return asked


class _Batches:
    def __init__(self, provider: "Anthropic", journal: Journal, price: Price, terms: Terms) -> None:
        self._provider = provider
        self._journal = journal
        self._price = price
        self._terms = terms
        self._pace = Pace(1, terms.clock)

    async def start(self, questions: Mapping[str, Question]) -> str:
        """Start a batch and write its id down."""
        terms = self._terms
        name, _ = await persist(
            self._provider.name,
            lambda: self._provider.submit(questions),
            self._pace,
            terms.clock,
            terms.patience,
        )
        await self._journal.add("batch", name, {"open": True})
        return name

    async def fetch(self, name: str, most: Charge) -> None:
        """Wait for a batch to end and write its replies down."""
        terms = self._terms
        ended = False
        while not ended:
            ended, _ = await persist(
                self._provider.name,
                lambda: self._provider.has_ended(name),
                self._pace,
                terms.clock,
                terms.patience,
            )
            if not ended:
                await terms.clock.sleep(POLL_SECONDS)
        await persist(
            self._provider.name,
            lambda: self._take(name),
            self._pace,
            terms.clock,
            terms.patience,
        )
        await self._journal.add("batch", name, {"open": False})
        terms.budget.settle(most, Charge())

    async def _take(self, name: str) -> None:
        async for key, reply in self._provider.results(name):
            if ("reply", key) not in self._journal:
                await self._journal.add("reply", key, to_record(reply))
                self._terms.budget.settle(Charge(), charge(reply, self._price, Charge()))
                self._terms.on_answer()
