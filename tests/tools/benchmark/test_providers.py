"""The stock clients of both vendors against a stub on loopback, and how they are asked."""

import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from fakes import VirtualClock, settle
from model_stub import ModelStub

from proofbox.server.sandbox import InvalidInput
from proofbox.server.sessions import Clock, SystemClock
from proofbox.tools.benchmark_model.asking import Asked, Terms, ask_all
from proofbox.tools.benchmark_model.journal import Journal
from proofbox.tools.benchmark_model.providers import choose
from proofbox.tools.benchmark_model.providers.base import (
    Busy,
    Parameters,
    Provider,
    Question,
    Refused,
    Reply,
    Tokens,
    Trouble,
)
from proofbox.tools.benchmark_model.providers.claude import Anthropic
from proofbox.tools.benchmark_model.providers.compatible import Compatible
from proofbox.tools.benchmark_model.providers.patience import Pace, Patience, persist
from proofbox.tools.benchmark_model.providers.prices import Override, Price, parsed, price_of
from proofbox.tools.benchmark_model.providers.recorded import Recorded
from proofbox.tools.benchmark_model.spending import Budget

QUESTION = Question("t/0", 0, "Write x.")
PARAMETERS: Parameters = {"max_tokens": 500}
FREE = Price("no charge")

Make = Callable[[ModelStub, Clock], Provider]


class Hasty(SystemClock):
    """A clock that nobody waits for; `slept` is what they would have waited."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.skipped = getattr(self, "skipped", 0.0) + seconds
        await anyio.lowlevel.checkpoint()

    def monotonic(self) -> float:
        return super().monotonic() + getattr(self, "skipped", 0.0)


def claude(stub: ModelStub, clock: Clock) -> Provider:
    """A model of Anthropic, at the stub."""
    return Anthropic("claude-haiku-5-5", PARAMETERS, clock, key=stub.key, base_url=stub.url)


def tiny(stub: ModelStub, clock: Clock) -> Provider:
    """A model behind the chat API, at the stub."""
    url = f"{stub.url}/v1"
    return Compatible("llamacpp", "tiny", PARAMETERS, clock, key=stub.key, base_url=url)


@pytest.fixture(scope="module")
def running() -> Iterator[ModelStub]:
    """One stub for all tests here."""
    with ModelStub() as stub:
        yield stub


@pytest.fixture
def stub(running: ModelStub) -> ModelStub:
    """The stub, with nothing asked yet."""
    running.asked.clear()
    running.bodies.clear()
    running.authorised.clear()
    running.most_at_once = 0
    return running


@pytest.fixture
def clock() -> Hasty:
    """A clock that nobody waits for."""
    return Hasty()


async def insist(provider: Provider, clock: Clock, patience: Patience | None = None) -> Reply:
    """Ask until there is a reply."""
    reply, _ = await persist(
        provider.name,
        lambda: provider.ask(QUESTION),
        Pace(4, clock),
        clock,
        patience or Patience(),
    )
    return reply


@asynccontextmanager
async def closing(provider: Provider) -> AsyncGenerator[Provider]:
    """The provider, closed at the end."""
    try:
        yield provider
    finally:
        await provider.close()


@pytest.mark.parametrize("make", [claude, tiny])
async def test_an_answer_comes_with_its_tokens_and_times(make: Make, stub: ModelStub) -> None:
    """Streamed, so that the time of the first token is known."""
    async with closing(make(stub, SystemClock())) as provider:
        await provider.check()
        reply = await provider.ask(QUESTION)

    assert reply.text == stub.answer("")
    assert (reply.stop, reply.tokens) == ("end", Tokens(120, 80))
    assert reply.first_seconds is not None
    assert reply.seconds is not None
    assert 0 < reply.first_seconds <= reply.seconds
    assert stub.asked == ["Write x."]
    assert stub.authorised == {f"Bearer {stub.key}"}


@pytest.mark.parametrize("make", [claude, tiny])
@pytest.mark.parametrize("stop", ["refusal", "max_tokens"])
async def test_why_an_answer_ends_is_kept(make: Make, stop: str, stub: ModelStub) -> None:
    """They are failures of another kind than wrong code."""
    stub.behave(stop)
    async with closing(make(stub, SystemClock())) as provider:
        reply = await provider.ask(QUESTION)

    assert reply.stop == stop


@pytest.mark.parametrize("make", [claude, tiny])
@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("429:7", Busy),
        ("529", Busy),
        ("503", Busy),
        ("500", Trouble),
        ("408", Trouble),
        ("broken", Trouble),
        ("cut", Trouble),
        ("400", Refused),
        ("401", Refused),
    ],
)
async def test_each_failure_is_told_apart(
    make: Make, behaviour: str, kind: type[Exception], stub: ModelStub
) -> None:
    """To slow down, to try again, or to give up; the SDKs' own retries are off."""
    stub.behave(behaviour)
    async with closing(make(stub, SystemClock())) as provider:
        with pytest.raises(kind) as caught:
            await provider.ask(QUESTION)

    assert len(stub.asked) == 1
    if isinstance(caught.value, Busy):
        assert caught.value.retry_after == (7.0 if behaviour == "429:7" else None)
    if isinstance(caught.value, Refused):
        assert caught.value.for_good == (behaviour == "401")


async def test_an_overload_in_the_middle_of_a_stream_is_one(stub: ModelStub) -> None:
    """Its status is 200, for the stream had begun."""
    stub.behave("overloaded")
    async with closing(claude(stub, SystemClock())) as provider:
        with pytest.raises(Busy, match="Overloaded"):
            await provider.ask(QUESTION)


async def test_a_server_that_knows_no_stream_options_is_asked_without_them(stub: ModelStub) -> None:
    """Then nobody tells the tokens, and they are unknown rather than 0."""
    stub.behave("no_usage")
    async with closing(tiny(stub, SystemClock())) as provider:
        reply = await provider.ask(QUESTION)

    assert reply.tokens is None
    assert ["stream_options" in body for body in stub.bodies] == [True, False]


@pytest.mark.parametrize("make", [claude, tiny])
async def test_retries_are_counted_and_not_in_the_latency(
    make: Make, stub: ModelStub, clock: Hasty
) -> None:
    """Two refusals and a broken answer cost many seconds of waiting, of which the reply knows nothing."""
    stub.behave("429:7", "529", "broken")
    async with closing(make(stub, clock)) as provider:
        reply, retries = await persist(
            provider.name, lambda: provider.ask(QUESTION), Pace(4, clock), clock, Patience()
        )

    assert retries == 3
    assert sum(clock.slept) >= 7
    assert reply.seconds is not None
    assert reply.seconds < 7


async def test_nobody_waits_longer_than_they_mean_to(stub: ModelStub, clock: Hasty) -> None:
    """The SDK itself would wait for 136 years here."""
    stub.behave("429:4294967")
    async with closing(claude(stub, clock)) as provider:
        with pytest.raises(Refused, match="too long. What it has answered is kept") as caught:
            await insist(provider, clock)

    assert caught.value.for_good
    assert not clock.slept


async def test_an_endpoint_that_is_always_broken_is_given_up(stub: ModelStub, clock: Hasty) -> None:
    """After as many attempts as are allowed."""
    stub.behave(*["500"] * 3)
    async with closing(claude(stub, clock)) as provider:
        with pytest.raises(Refused, match="did not answer in several attempts: 500"):
            await insist(provider, clock, Patience(attempts=3))

    assert len(stub.asked) == 3


async def test_the_pace_halves_when_told_so_and_grows_with_success(clock: VirtualClock) -> None:
    """Until the pause is over nobody begins."""
    del clock
    hands = VirtualClock()
    pace = Pace(16, hands)
    for _ in range(4 + 5 + 6 + 7):
        pace.went_well()
    grown = pace.limit
    pace.slow_down(10.0)
    begun: list[float] = []
    waiting: list[float] = [-1.0]

    async def one() -> None:
        async with pace.turn():
            begun.append(hands.monotonic())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one)
        await settle()
        waiting = list(begun)
        await hands.advance(10.0)

    assert (grown, pace.limit) == (8, 4)
    assert (waiting, begun) == ([], [10.0])


async def test_no_more_questions_are_under_way_than_there_may_be(
    stub: ModelStub, tmp_path: Path, clock: Hasty
) -> None:
    """Four at first, however many there are to ask."""
    stub.gate.clear()
    asked: list[Asked] = []
    first = 0
    questions = {str(n): Question("t/0", n, f"Write {n}.") for n in range(12)}
    with Journal(tmp_path, "m", PARAMETERS) as journal:
        async with closing(claude(stub, clock)) as provider, anyio.create_task_group() as tasks:

            async def go() -> None:
                terms = Terms(Budget(), 500, clock, Patience(), lambda: None)
                asked.append(await ask_all(provider, questions, journal, FREE, terms))

            tasks.start_soon(go)
            with anyio.fail_after(20):
                while stub.most_at_once < 4:
                    await anyio.sleep(0.01)
            first = stub.most_at_once
            stub.gate.set()

        assert len(list(journal.keys("reply"))) == 12
    assert first == 4
    assert asked == [Asked()]
    assert sorted(stub.asked) == sorted(question.prompt for question in questions.values())


async def test_a_budget_is_never_exceeded(stub: ModelStub, tmp_path: Path, clock: Hasty) -> None:
    """What an answer may cost at most is set aside before it is asked for."""
    questions = {str(n): Question("t/0", n, "Write x.") for n in range(50)}
    price = Price("given", override=Override(1000.0, 1000.0))  # 0.2 USD an answer, 0.52 at most
    budget = Budget(usd=2.0)
    with Journal(tmp_path, "m", PARAMETERS) as journal:
        async with closing(claude(stub, clock)) as provider:
            terms = Terms(budget, 500, clock, Patience(), lambda: None)
            asked = await ask_all(provider, questions, journal, price, terms)

    assert 1.4 < budget.spent.usd <= 2.0
    assert budget.spent.usd == pytest.approx(0.2 * len(stub.asked))
    assert asked.stopped.startswith("the budget of $2.00 has no room for another answer")
    assert asked.stopped.endswith("with a larger budget, the same goes on from there")
    assert not asked.failures


async def test_a_refused_key_stops_the_model_at_once(
    stub: ModelStub, tmp_path: Path, clock: Hasty
) -> None:
    """Nothing else would be answered either."""
    stub.behave(*["401"] * 4)
    questions = {str(n): Question("t/0", n, "Write x.") for n in range(50)}
    with Journal(tmp_path, "m", PARAMETERS) as journal:
        async with closing(claude(stub, clock)) as provider:
            terms = Terms(Budget(), 500, clock, Patience(), lambda: None)
            asked = await ask_all(provider, questions, journal, FREE, terms)

    assert len(stub.asked) <= 4
    assert "was refused (401): stub says 401" in asked.stopped


@pytest.mark.parametrize(
    ("name", "parameters", "complaint"),
    [
        ("claude-haiku-5-5", {}, "is no model: give provider:model"),
        ("nobody:x", {}, "is no model: give provider:model"),
        ("anthropic:claude-haiku-5-5", {}, "set ANTHROPIC_API_KEY"),
        ("groq:llama", {}, "set GROQ_API_KEY"),
        ("ollama:llama3", {"effort": "low"}, "takes no parameter 'effort'"),
        ("sampling:default", {}, "only an MCP client"),
        ("file:nothing.jsonl", {}, "There is no file"),
        ("file:../secret.jsonl", {}, "is outside the folders"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(
    name: str, parameters: Parameters, complaint: str, tmp_path: Path
) -> None:
    """A name, a key, a parameter or a file that is not there."""
    given = choose.with_defaults(parameters)

    with pytest.raises(InvalidInput, match=complaint):
        choose.provider_of(name, given, {}, SystemClock(), [tmp_path])


def test_anthropic_takes_no_temperature(stub: ModelStub) -> None:
    """Its API has none any more, and the complaint says what there is."""
    with pytest.raises(InvalidInput, match=r"no sampling parameters.*effort"):
        Anthropic("m", {"max_tokens": 1, "temperature": 0}, SystemClock(), key="k", base_url="")

    assert not stub.asked


async def test_unknown_models_and_refused_keys_are_found_without_a_question(
    stub: ModelStub,
) -> None:
    """By the vendor's lists, which cost nothing; with what may have been meant."""
    clock = SystemClock()
    unknown = Anthropic("claude-haiku-5", PARAMETERS, clock, key=stub.key, base_url=stub.url)
    foreign = Anthropic("claude-haiku-5-5", PARAMETERS, clock, key="no", base_url=stub.url)
    url = f"{stub.url}/v1"
    misspelt = Compatible("llamacpp", "tin", PARAMETERS, clock, key="", base_url=url)
    for provider, complaint in (
        (unknown, "There is no model anthropic:claude-haiku-5 .*Did you mean claude-haiku-5-5"),
        (foreign, "invalid key"),
        (misspelt, "There is no model llamacpp:tin .*It has tiny"),
    ):
        async with closing(provider):
            with pytest.raises(InvalidInput, match=complaint):
                await provider.check()

    assert not stub.asked


async def test_a_server_that_describes_no_single_models_may_list_them(stub: ModelStub) -> None:
    """As llama.cpp does, which speaks the Messages API too."""
    listed = Anthropic("folder/tiny", PARAMETERS, SystemClock(), key=stub.key, base_url=stub.url)
    async with closing(listed):
        await listed.check()
        reply = await listed.ask(QUESTION)

    assert reply.served_by == "folder/tiny"


def test_parameters_go_where_the_vendor_wants_them(stub: ModelStub) -> None:
    """Effort is a part of the output's configuration, and OpenAI has another name for the most tokens."""
    wired = {"max_tokens": 5, "effort": "low", "thinking": "adaptive"}
    anthropic = Anthropic("m", wired, SystemClock(), key="k", base_url=stub.url)
    openai = Compatible(
        "openai", "m", {"max_tokens": 5}, SystemClock(), key="k", base_url="http://x"
    )

    assert anthropic._request(QUESTION)["output_config"] == {"effort": "low"}  # pyright: ignore[reportPrivateUsage] - what is sent
    assert anthropic._request(QUESTION)["thinking"] == {"type": "adaptive"}  # pyright: ignore[reportPrivateUsage] - what is sent
    assert openai._asked == {"max_completion_tokens": 5}  # pyright: ignore[reportPrivateUsage] - what is sent


def test_prices_have_a_source_and_are_not_made_up(stub: ModelStub) -> None:
    """A model that no table has costs nobody knows how much; a model of one's own nothing."""
    clock = SystemClock()
    known = claude(stub, clock)
    unknown = Anthropic("claude-next", PARAMETERS, clock, key="k", base_url=stub.url)
    own = tiny(stub, clock)
    tokens = Tokens(1_000_000, 1_000_000)
    table = price_of(known, {}, batch=False)
    batch = price_of(known, {}, batch=True)
    given = parsed({"anthropic:claude-next": {"input": 1.0, "output": 2.0}})

    assert table.of(tokens) == pytest.approx(3.0)  # 0.50 and 2.50 USD
    assert table.source.startswith("genai-prices ")
    assert batch.of(tokens) == pytest.approx(1.5)
    assert price_of(unknown, {}, batch=False).of(tokens) is None
    assert price_of(unknown, {}, batch=False).source == "unknown: no table has this model"
    assert price_of(unknown, given, batch=False).of(tokens) == pytest.approx(3.0)
    assert price_of(own, {}, batch=False).of(None) == 0.0
    assert table.of(None) is None
    with pytest.raises(InvalidInput, match="must have input and output"):
        parsed({"m": {"input": 1.0}})


async def test_recorded_answers_are_read_in_the_shapes_that_there_are(tmp_path: Path) -> None:
    """Our own, and those of other harnesses; a second answer to a task is its second sample."""
    path = tmp_path / "answers.jsonl"
    path.write_text(
        '{"task_id": "a", "text": "x = 1", "kind": "solution"}\n\n'
        '{"task_id": "a", "completion": "    return 1"}\n'
        '{"task_id": "b", "solution": "y = 2"}\n'
        '{"task_id": "b", "sample": 7, "text": "Hi", "stop": "refusal", "input_tokens": 3, "output_tokens": 4}\n'
    )
    recorded = Recorded(path, "answers.jsonl")

    assert recorded.tasks == {"a": 2, "b": 2}
    assert await recorded.ask(Question("a", 0, "")) == Reply("x = 1", kind="program")
    assert await recorded.ask(Question("a", 1, "")) == Reply("    return 1", kind="completion")
    assert await recorded.ask(Question("b", 7, "")) == Reply(
        "Hi", stop="refusal", tokens=Tokens(3, 4)
    )
    with pytest.raises(Refused, match="has no answer 3 to a"):
        await recorded.ask(Question("a", 3, ""))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "answers.jsonl:1 is no JSON"),
        ("[]", "is no JSON object"),
        ('{"task_id": "a"}', "it needs task_id, text and kind"),
        ('{"task_id": "a", "text": "x", "kind": "poem"}', "it needs task_id, text and kind"),
        ('{"task_id": "a", "text": "x", "sample": -1}', "sample must be a number"),
        ('{"task_id": "a", "text": "x", "sample": 1}\n' * 2, ":2: answer 1 to a is there twice"),
        ('{"task_id": "a", "text": "x", "stop": "tired"}', "stop must be"),
        ("", "has no answers"),
    ],
)
def test_a_row_that_is_no_answer_is_named(line: str, complaint: str, tmp_path: Path) -> None:
    """With its file and line."""
    path = tmp_path / "answers.jsonl"
    path.write_text(line)

    with pytest.raises(InvalidInput, match=complaint):
        Recorded(path, "answers.jsonl")


def test_nothing_is_loaded_for_a_model_that_is_not_asked() -> None:
    """The vendors' clients take seconds to import; a run that has all its answers on disk asks nobody."""
    code = (
        "import anyio, sys\n"
        "from proofbox.server.sessions import SystemClock\n"
        "from proofbox.tools.benchmark_model.providers.choose import provider_of\n"
        "for name in ('anthropic:claude-haiku-5-5', 'openai:tiny'):\n"
        "    keys = {'ANTHROPIC_API_KEY': 'k', 'OPENAI_API_KEY': 'k'}\n"
        "    provider = provider_of(name, {'max_tokens': 1}, keys, SystemClock(), ())\n"
        "    anyio.run(provider.close)\n"
        "    print(provider.name, {'anthropic', 'openai'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "anthropic:claude-haiku-5-5 set()\nopenai:tiny set()\n"
