"""The loop: a model writes tests, is told what to mend, and stops at its limits."""

from collections.abc import Iterator

import pytest
from model_stub import ModelStub

from proofbox.server.sandbox import InvalidInput
from proofbox.server.sessions import SystemClock
from proofbox.tools._app import App
from proofbox.tools.benchmark_model.providers.choose import provider_of
from proofbox.tools.benchmark_model.providers.prices import Price
from proofbox.tools.benchmark_model.spending import Budget
from proofbox.tools.run_generated_tests.generate import Terms, code_of, generate, only
from proofbox.tools.run_generated_tests.report import TestsReport
from proofbox.tools.run_generated_tests.request import TestsRequest

SOURCE = {"calc.py": 'def add(a, b):\n    """The sum."""\n    return a + b\n'}
HALLUCINATED = (
    "from calc import add, subtract\n\n\ndef test_add():\n    assert subtract(3, 1) == 2\n"
)
VACUOUS = "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) is not None\n"
MIXED = VACUOUS + "\n\ndef test_sum():\n    assert add(1, 2) == 3\n"
GOOD = "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
REQUEST = TestsRequest(source=SOURCE, repeat=2, mutation="off", timeout_seconds=5)


class Writer:
    """A model that answers with one file after the other, the last one for ever."""

    def __init__(self, *files: str) -> None:
        self.files = list(files)

    def __call__(self, prompt: str) -> str:
        text = self.files.pop(0) if len(self.files) > 1 else self.files[0]
        return f"Here are the tests:\n\n```python\n{text}```\n"


@pytest.fixture
def stub() -> Iterator[ModelStub]:
    """A server that speaks Anthropic's API."""
    with ModelStub() as stub:
        yield stub


async def written(
    app: App,
    stub: ModelStub,
    request: TestsRequest = REQUEST,
    *,
    attempts: int = 3,
    tokens: int | None = None,
) -> TestsReport:
    """What the loop comes to with the model of the stub."""
    env = {"ANTHROPIC_API_KEY": stub.key, "ANTHROPIC_BASE_URL": stub.url}
    clock, free = SystemClock(), Price("no charge")
    provider = provider_of("anthropic:claude-haiku-5-5", {"max_tokens": 1000}, env, clock, ())
    try:
        terms = Terms(provider, clock, Budget(tokens=tokens), free, attempts, max_tokens=1000)
        return await generate(app, "local", request, terms)
    finally:
        await provider.close()


@pytest.mark.slow
async def test_three_attempts_end_with_one_test_that_earned_it(
    jailed: App, stub: ModelStub
) -> None:
    """A name that is not there, a test that proves nothing, a good one: each is told what is wrong with it."""
    stub.answer = Writer(HALLUCINATED, VACUOUS, GOOD)

    report = await written(jailed, stub)

    assert report.verdict == "passed", report.reason
    assert [attempt.verdict for attempt in report.attempts] == ["failed", "failed", "passed"]
    assert "cannot import name 'subtract'" in report.attempts[0].feedback
    assert "`add` returns wrong values" in report.attempts[1].feedback
    assert [test.verdict for test in report.tests] == ["keep"]
    assert report.file == GOOD
    assert len(stub.asked) == 3
    assert all("def add(a, b)" in prompt for prompt in stub.asked)
    assert "cannot import name 'subtract'" in stub.asked[1]
    assert VACUOUS in stub.asked[2]


@pytest.mark.slow
async def test_only_what_earned_it_is_in_the_file(jailed: App, stub: ModelStub) -> None:
    """The file is the best attempt without its bad tests, and was run as it is."""
    stub.answer = Writer(MIXED)

    report = await written(jailed, stub, attempts=1)

    assert report.verdict == "passed"
    assert "def test_sum" in report.file
    assert "is not None" not in report.file
    assert [(test.verdict, test.id) for test in report.tests] == [
        ("keep", "tests/test_generated.py::test_sum")
    ]
    assert [attempt.verdict for attempt in report.attempts] == ["failed"]


@pytest.mark.slow
async def test_the_loop_stops_at_its_limits(jailed: App, stub: ModelStub) -> None:
    """After the last attempt, when the budget has no room, and when nobody answers: each says so."""
    stub.answer = Writer(VACUOUS)

    tired = await written(jailed, stub, attempts=2)
    asked = len(stub.asked)
    poor = await written(jailed, stub, tokens=100)
    stub.behave("401")
    refused = await written(jailed, stub)

    assert (tired.verdict, tired.keep, tired.file, asked) == ("failed", 0, "", 2)
    assert [attempt.kept for attempt in tired.attempts] == [0, 0]
    assert poor.verdict == "errored"
    assert "the budget of 100 tokens has no room" in poor.reason
    assert refused.verdict == "errored"
    assert "did not answer" in refused.reason
    assert len(stub.asked) == asked + 1


async def test_there_must_be_something_to_write_tests_for(app: App, stub: ModelStub) -> None:
    """Nobody is asked for nothing."""
    with pytest.raises(InvalidInput, match="nothing to write tests for"):
        await written(app, stub, TestsRequest())

    assert not stub.asked


def test_the_file_is_taken_from_the_longest_fence_with_a_test() -> None:
    """Models explain, and show pieces of the source before the file."""
    reply = f"```python\nadd(1, 2)\n```\nand\n```python\n{GOOD}```\n```bash\npytest\n```"

    assert code_of(reply) == GOOD
    assert code_of(GOOD) == GOOD
    assert code_of("I cannot.") == ""


def test_tests_are_taken_out_whole() -> None:
    """With their decorators, and without what the others need."""
    text = (
        "import pytest\n\nX = 1\n\n@pytest.mark.parametrize('a', [1])\ndef test_bad(a):\n    assert a\n\n"
        "class TestThings:\n    def test_good(self):\n        assert X == 1\n\n    def test_worse(self):\n"
        "        assert X\n"
    )

    left = only(text, {"TestThings::test_good"})

    assert "test_bad" not in left
    assert "test_worse" not in left
    assert "parametrize" not in left
    assert "X = 1" in left
    assert "test_good" in left
    assert only(text, set()) == ""
