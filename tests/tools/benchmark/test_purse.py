"""What one principal may spend on models a day, over all that they run, whatever they say it costs."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from model_stub import ModelStub

from proofbox.server.quotas.allowances import Allowances
from proofbox.server.quotas.quotas import Purse, Quotas
from proofbox.server.sandbox import InvalidInput
from proofbox.server.sessions import SystemClock
from proofbox.tools.benchmark_model import plan as planning
from proofbox.tools.benchmark_model.asking import Asked, Terms, ask_all
from proofbox.tools.benchmark_model.journal import Journal
from proofbox.tools.benchmark_model.plan import BenchRequest
from proofbox.tools.benchmark_model.providers.base import Question
from proofbox.tools.benchmark_model.providers.claude import Anthropic
from proofbox.tools.benchmark_model.providers.patience import Patience
from proofbox.tools.benchmark_model.providers.prices import Override, Price
from proofbox.tools.benchmark_model.spending import Budget

KEYS = {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"}


@pytest.fixture(scope="module")
def stub() -> Iterator[ModelStub]:
    """A server that speaks Anthropic's API; each answer takes 120 and 80 tokens."""
    with ModelStub() as stub:
        yield stub


async def test_two_runs_at_a_time_never_spend_more_than_their_principal_may(
    stub: ModelStub, tmp_path: Path
) -> None:
    """The limit is on both together; both say so, and when to go on. Somebody else is not held up."""
    quotas = Quotas(Allowances(usd=2))
    price = Price("given", override=Override(1000.0, 1000.0))  # 0.2 USD an answer, 0.52 at most
    questions = {str(n): Question("t/0", n, "Write x.") for n in range(20)}
    clock = SystemClock()
    asked: dict[str, Asked] = {}

    async def run(name: str, who: str) -> None:
        model = Anthropic("m", {"max_tokens": 500}, clock, key=stub.key, base_url=stub.url)
        terms = Terms(Budget(purse=quotas.purse(who)), 500, clock, Patience(), lambda: None)
        with Journal(tmp_path, name, {}) as journal:
            asked[name] = await ask_all(model, questions, journal, price, terms)
        await model.close()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as runs:
            for name, who in (("one", "alice"), ("two", "alice"), ("three", "bob")):
                runs.start_soon(run, name, who)

    spent = [quotas.used(who, "usd") for who in ("alice", "bob")]
    assert all(1.4 < usd <= 2.0 for usd in spent)
    for one in asked.values():
        assert one.stopped.startswith("your limit on model cost, $2.00 a day, has no room")
        assert "Try again after 00:00 UTC" in one.stopped


def planned(folder: Path, purse: Purse | None, request: BenchRequest) -> planning.Plan:
    """What a request comes to, with keys for everybody."""
    return planning.plan(
        request, env=KEYS, folder=folder, clock=SystemClock(), roots=(), purse=purse
    )


def test_whoever_is_limited_does_not_say_what_things_cost(tmp_path: Path) -> None:
    """Else everything would be free. Without a limit, they may."""
    request = BenchRequest(
        models=("anthropic:claude-haiku-4-5",),
        prices={"anthropic:claude-haiku-4-5": Override(0.0, 0.0)},
        first=1,
    )
    for quotas, is_given in ((Quotas(Allowances(usd=1)), False), (Quotas(), True)):
        made = planned(tmp_path, quotas.purse("alice"), request)
        with closing(made.files):
            price = made.contenders[0].price

        assert (price.override is not None) == is_given
        assert price.known


def test_a_model_whose_price_nobody_knows_is_not_asked_for_whoever_is_limited(
    tmp_path: Path,
) -> None:
    """The limit could not be kept. Models that cost nothing are asked."""
    purse = Quotas(Allowances(usd=1)).purse("alice")
    with pytest.raises(InvalidInput, match="your model cost a day is limited") as caught:
        planned(tmp_path, purse, BenchRequest(models=("openai:never-heard-of",), first=1))
    made = planned(tmp_path, purse, BenchRequest(models=("ollama:never-heard-of",), first=1))
    made.files.close()

    assert "PROOFBOX_PRINCIPAL_USD" in str(caught.value)


@pytest.mark.parametrize(
    ("model", "usd", "tokens"),
    [
        ("anthropic:claude-haiku-4-5", planning.USUAL_USD, None),
        ("openai:never-heard-of", planning.USUAL_USD, planning.USUAL_TOKENS),
        ("ollama:never-heard-of", planning.USUAL_USD, None),
    ],
)
def test_a_call_that_gives_no_budget_has_one(
    model: str, usd: float, tokens: int | None, tmp_path: Path
) -> None:
    """In tokens too where nobody knows the price. What is given holds alone, and a command may go without."""
    asked = BenchRequest(models=(model,), first=1, has_limit=True)
    budgets: list[tuple[float | None, int | None]] = []
    for request in (
        asked,
        replace(asked, budget_tokens=70),
        replace(asked, has_limit=False),
    ):
        made = planned(tmp_path, None, request)
        with closing(made.files):
            budgets.append((made.budget().usd, made.budget().tokens))

    assert budgets == [(usd, tokens), (None, 70), (None, None)]
