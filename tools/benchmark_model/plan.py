"""What is to be asked: tasks and models, with every complaint before anything is sent."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ...server.quotas.quotas import Purse
from ...server.sandbox import InvalidInput
from ...server.sessions import Clock
from . import spending
from .journal import Journal, hash_of
from .providers.base import Parameters, Provider, Question
from .providers.choose import inside, provider_of, with_defaults
from .providers.prices import Override, Price, price_of
from .providers.recorded import Recorded
from .replies import key_of, prompt_of
from .spending import Budget
from .task import Task

MAX_SAMPLES = 1000
MAX_MODELS = 20
USUAL_USD = 5.0
# For models whose price nobody knows.
USUAL_TOKENS = 1_000_000


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """A benchmark as it is asked for.

    Attributes:
        tasks: `builtin`, or the path of a file.
        samples: answers to each task; None for one, or for all that a file of answers has.
        first: only so many tasks, from the beginning; None for all.
        budget_usd, budget_tokens: what may be spent on new answers; None without a limit, but `has_limit`.
        has_limit: where neither is given, a usual budget holds.
        timing_runs: how often an answer that passes is run for its time.
        batch: ask Anthropic in batches. fresh: ask again what was answered before.
    """

    models: tuple[str, ...]
    tasks: str = "builtin"
    samples: int | None = None
    first: int | None = None
    parameters: Parameters = field(default_factory=dict[str, object])
    budget_usd: float | None = None
    budget_tokens: int | None = None
    prices: Mapping[str, Override] = field(default_factory=dict[str, Override])
    timing_runs: int = 3
    batch: bool = False
    fresh: bool = False
    has_limit: bool = False


@dataclass(frozen=True, slots=True)
class Contender:
    """One model of a benchmark. `questions` are in the order of the report, by their keys."""

    provider: Provider
    price: Price
    journal: Journal
    questions: Mapping[str, Question]

    @property
    def name(self) -> str:
        return self.provider.name

    def missing(self) -> dict[str, Question]:
        """The questions that nobody has an answer to yet."""
        if isinstance(self.provider, Recorded):
            return {}
        return {
            key: question
            for key, question in self.questions.items()
            if ("reply", key) not in self.journal
        }


@dataclass(slots=True)
class Plan:
    """Everything that a run needs. Closed, it lets go of the journals. `purse` is what is spent from."""

    request: BenchRequest
    parameters: Parameters
    tasks: Mapping[str, Task]
    samples: int
    contenders: Sequence[Contender]
    files: ExitStack
    purse: Purse | None = None

    def budget(self) -> Budget:
        """What a run may spend."""
        usd, tokens = self.request.budget_usd, self.request.budget_tokens
        if usd is None and tokens is None and self.request.has_limit:
            usd = USUAL_USD
            # What the client's own model costs is the client's affair.
            priced = (
                one.price.known or one.name.startswith("sampling:") for one in self.contenders
            )
            tokens = None if all(priced) else USUAL_TOKENS
        return Budget(usd, tokens, self.purse)

    @property
    def dataset(self) -> str:
        """A hash of the tasks."""
        return hash_of(*(task.digest for task in self.tasks.values()))[:12]

    async def aclose(self) -> None:
        """Let go of connections and files."""
        for contender in self.contenders:
            await contender.provider.close()
        self.files.close()


def plan(
    request: BenchRequest,
    *,
    env: Mapping[str, str],
    folder: Path,
    clock: Clock,
    roots: Sequence[Path],
    sampling: Mapping[str, Provider] | None = None,
    purse: Purse | None = None,
) -> Plan:
    """What the request comes to. `folder` has the journals; `sampling` the models that an MCP client gives;
    `purse` is what is spent from.

    Raises:
        InvalidInput: it cannot be honoured. Nothing was asked, and nothing written.
    """
    _check(request)
    parameters = with_defaults(request.parameters)
    tasks = _tasks(request, roots)
    providers = [
        (sampling or {}).get(name) or provider_of(name, parameters, env, clock, roots)
        for name in dict.fromkeys(request.models)
    ]
    # Whoever is limited in what they spend does not say what things cost.
    is_limited = purse is not None and purse.is_limited
    given = dict[str, Override]() if is_limited else request.prices
    prices = [price_of(one, given, batch=request.batch) for one in providers]
    for provider, price in zip(providers, prices, strict=True):
        if purse is not None:
            spending.check_priced(provider.name, price, purse)
    _check_budget(request, providers, prices)
    for provider in providers:
        _check_answers(provider, tasks)
    samples = request.samples or max(map(_recorded_samples, providers))
    files = ExitStack()
    contenders: list[Contender] = []
    for provider, price in zip(providers, prices, strict=True):
        journal = files.enter_context(Journal(folder, provider.name, parameters))
        questions = _questions(provider, parameters, tasks, samples)
        contenders.append(Contender(provider, price, journal, questions))
    return Plan(request, parameters, tasks, samples, contenders, files, purse)


def _check(request: BenchRequest) -> None:
    if not 1 <= len(request.models) <= MAX_MODELS:
        raise InvalidInput(f"Name from 1 to {MAX_MODELS} models, as anthropic:claude-sonnet-5-5.")
    if request.samples is not None and not 1 <= request.samples <= MAX_SAMPLES:
        raise InvalidInput(f"samples must be from 1 to {MAX_SAMPLES}.")
    if request.batch and not any(name.startswith("anthropic:") for name in request.models):
        raise InvalidInput("batch is for models of Anthropic, and none is named.")


def _tasks(request: BenchRequest, roots: Sequence[Path]) -> dict[str, Task]:
    from .tasks import load_tasks

    source = request.tasks
    found = load_tasks(source if source == "builtin" else str(inside(source, roots)))
    chosen = list(found.items())[: request.first]
    if not chosen:
        raise InvalidInput(f"{source} has no tasks.")
    return dict(chosen)


def _check_budget(
    request: BenchRequest, providers: Sequence[Provider], prices: Sequence[Price]
) -> None:
    if request.budget_usd is None:
        return
    for provider, price in zip(providers, prices, strict=True):
        if not price.known:
            raise InvalidInput(
                f"The price of {provider.name} is {price.source}, so a budget in USD cannot be kept. Give its"
                " price, or a budget in tokens."
            )


def _check_answers(provider: Provider, tasks: Mapping[str, Task]) -> None:
    if isinstance(provider, Recorded) and not set(provider.tasks) & set(tasks):
        one, other = next(iter(provider.tasks)), next(iter(tasks))
        raise InvalidInput(
            f"{provider.name} has answers to tasks like {one!r}, but the tasks are like {other!r}."
        )


def _recorded_samples(provider: Provider) -> int:
    return max(provider.tasks.values()) if isinstance(provider, Recorded) else 1


def _questions(
    provider: Provider, parameters: Parameters, tasks: Mapping[str, Task], samples: int
) -> dict[str, Question]:
    questions: dict[str, Question] = {}
    for task in tasks.values():
        prompt = prompt_of(task)
        for sample in range(samples):
            question = Question(task.id, sample, prompt)
            questions[key_of(provider, parameters, question)] = question
    return questions


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the unanswered questions to one model would take; `usd` None where the price is unknown."""

    model: str
    questions: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    most_usd: float | None
    price: str


def estimates(plan: Plan) -> list[Estimate]:
    """What a run would cost, roughly: nothing is sent to find out."""
    return [_estimate(contender, plan.parameters["max_tokens"]) for contender in plan.contenders]


def _estimate(contender: Contender, max_tokens: int) -> Estimate:
    missing = contender.missing()
    asked = sum(spending.estimated_tokens(one.prompt) for one in missing.values())
    answer = min(max_tokens, _usual_answer(contender))
    tokens = spending.Tokens(asked, answer * len(missing))
    most = spending.Tokens(asked, max_tokens * len(missing))
    return Estimate(
        contender.name,
        len(missing),
        tokens.input,
        tokens.output,
        contender.price.of(tokens),
        contender.price.of(most),
        contender.price.source,
    )


def _usual_answer(contender: Contender) -> int:
    """The mean of what the model took so far, where it has shown that."""
    seen: list[int] = []
    for key in list(contender.journal.keys("reply"))[:200]:
        record = contender.journal.get("reply", key)
        if record and record["tokens"]:
            seen.append(record["tokens"]["output"])
    return round(sum(seen) / len(seen)) if seen else spending.USUAL_ANSWER_TOKENS
