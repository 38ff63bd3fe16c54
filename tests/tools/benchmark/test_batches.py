"""Anthropic's batches: asked for once, taken up again after a stop, at half the price."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from fakes import VirtualClock, settle
from model_stub import ModelStub

from proofbox.server.sessions import Clock, SystemClock
from proofbox.tools.benchmark_model.asking import Asked, Terms
from proofbox.tools.benchmark_model.batches import POLL_SECONDS, ask_in_batches
from proofbox.tools.benchmark_model.journal import Journal, hash_of
from proofbox.tools.benchmark_model.providers.base import Parameters, Question
from proofbox.tools.benchmark_model.providers.claude import Anthropic
from proofbox.tools.benchmark_model.providers.patience import Patience
from proofbox.tools.benchmark_model.providers.prices import Override, Price
from proofbox.tools.benchmark_model.replies import from_record
from proofbox.tools.benchmark_model.spending import Budget

PARAMETERS: Parameters = {"max_tokens": 500}
QUESTIONS = {hash_of(n): Question("t/0", n, f"Write {n}.") for n in range(5)}


class Polling(SystemClock):
    """A clock that nobody waits for; a batch ends while they sleep."""

    def __init__(self, stub: ModelStub) -> None:
        self.slept: list[float] = []
        self._stub = stub

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._stub.batch_status = "ended"


@pytest.fixture
def stub() -> Iterator[ModelStub]:
    """A stub of the vendor."""
    with ModelStub() as stub:
        yield stub


async def go(
    stub: ModelStub, journal: Journal, clock: Clock, budget: Budget, price: Price
) -> Asked:
    """Ask everything in batches."""
    provider = Anthropic("claude-haiku-5-5", PARAMETERS, clock, key=stub.key, base_url=stub.url)
    terms = Terms(budget, 500, clock, Patience(), lambda: None)
    try:
        return await ask_in_batches(provider, QUESTIONS, journal, price, terms)
    finally:
        await provider.close()


async def test_a_batch_is_waited_for_and_its_answers_are_written_down(
    stub: ModelStub, tmp_path: Path
) -> None:
    """They come in any order, without times, at half the price."""
    clock, budget = Polling(stub), Budget(usd=5.0)
    stub.batch_status = "in_progress"
    price = Price("given", override=Override(1000.0, 1000.0), share=0.5)
    with Journal(tmp_path, "m", PARAMETERS) as journal:
        asked = await go(stub, journal, clock, budget, price)
        replies = [from_record(journal.get("reply", key) or {}) for key in QUESTIONS]

    assert clock.slept == [POLL_SECONDS]
    assert asked == Asked()
    assert [reply.text for reply in replies] == [stub.answer("")] * 5
    assert {(reply.seconds, reply.first_seconds) for reply in replies} == {(None, None)}
    assert budget.spent.usd == pytest.approx(5 * 0.1)


async def test_a_batch_that_was_not_fetched_is_taken_up_again(
    stub: ModelStub, tmp_path: Path
) -> None:
    """And no other is started: the answers are paid for."""
    clock = VirtualClock()
    stub.batch_status = "in_progress"
    with Journal(tmp_path, "m", PARAMETERS) as journal:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go, stub, journal, clock, Budget(), Price("no charge"))
            with anyio.fail_after(20):
                while not list(journal.keys("batch")):
                    await anyio.sleep(0.01)
            await settle()
            tasks.cancel_scope.cancel()
    stub.batch_status = "ended"
    with Journal(tmp_path, "m", PARAMETERS) as again:
        asked = await go(stub, again, clock, Budget(), Price("no charge"))
        found = sorted(again.keys("reply"))

    assert len(stub.batches) == 1
    assert len(stub.asked) == 5
    assert asked == Asked()
    assert found == sorted(QUESTIONS)


async def test_an_answer_that_a_batch_does_not_give_is_missing_and_nothing_more(
    stub: ModelStub, tmp_path: Path
) -> None:
    """It expired or failed there, and costs nothing."""
    stub.behave("expired")
    with Journal(tmp_path, "m", PARAMETERS) as journal:
        asked = await go(stub, journal, VirtualClock(), Budget(), Price("no charge"))
        found = len(list(journal.keys("reply")))

    assert found == 4
    assert list(asked.failures.values()) == ["The batch gave no answer to it."]
    assert not asked.stopped
