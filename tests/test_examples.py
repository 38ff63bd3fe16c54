"""Every example runs, as a process of its own over a real sandbox; the models that they ask are stand-ins.

A stand-in decides what it says next by what its request says that the tools gave.
"""

import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import AsyncGenerator
from pathlib import Path

import claude_loop
import openai_loop
import pytest
import rag_filter
from anthropic import AsyncAnthropic
from fakes import FakeBackend
from mcp import Client
from model_stub import ModelStub
from model_talk import Call, Heard, Turn
from openai import AsyncOpenAI

from proofbox.server.testing import connected

EXAMPLES = Path(__file__).parents[1] / "examples"
SECONDS = 300

SLUG = """\
import re

def slug(title):
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))
"""
TRIED = f"{SLUG}\nslug('Hello, World!')"
TESTS = """\
from solution import slug

def test_words_are_joined():
    assert slug("Hello, World!") == "hello-world"

def test_nothing_comes_of_nothing():
    assert slug(" ... ") == ""
"""
VACUOUS = "from solution import slug\n\ndef test_it():\n    assert slug('a') is not None or True\n"


def run(*words: str, folder: Path = EXAMPLES, **env: str) -> subprocess.CompletedProcess[str]:
    """A command with what tests are installed with on its PATH."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    given = {**os.environ, "PATH": path, "PROOFBOX_BACKEND": "local", **env}
    return subprocess.run(
        words, cwd=folder, env=given, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.fixture
async def client(backend: FakeBackend) -> AsyncGenerator[Client]:
    """A client over sandboxes that behave, but run no programs."""
    async with connected(backend=backend) as client:
        yield client


def hasty(heard: Heard) -> Turn:
    """Has tried it, and hands in tests that test nothing; goes by what is said to that."""
    match heard.results:
        case []:
            return Call("execute_code", {"code": TRIED.replace("import re\n", "")})
        case [*_, last] if "NameError" in last:
            return Call("execute_code", {"code": TRIED})
        case [*_, last] if last.startswith("passed") and "hello-world" in last:
            return Call("submit", {"code": SLUG, "tests": VACUOUS})
        case [*_, last] if last.startswith("Not proved") and "vacuous" in last:
            return Call("submit", {"code": SLUG, "tests": TESTS})
        case _:
            return "I am lost."


@pytest.mark.slow
def test_claude_is_done_when_tests_have_proved_it() -> None:
    """Not when the code ran, and not when tests passed that prove nothing."""
    with ModelStub(script=hasty) as stub:
        done = run(
            sys.executable, "claude_loop.py", "slug(title): lower-case words joined by hyphens",
            ANTHROPIC_BASE_URL=stub.url, ANTHROPIC_API_KEY=stub.key,
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{SLUG}\n# The tests that prove it:\n\n{TESTS}\n"
    assert "\npassed: 2 tests: 2 to keep." in f"\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert len(stub.bodies) == 4
    assert stub.authorised == {f"Bearer {stub.key}"}
    assert {tool["name"] for tool in stub.bodies[0]["tools"]} == {"submit", "execute_code"}


@pytest.mark.parametrize("behaviour", ["answer", "refusal", "max_tokens"])
async def test_claudes_word_is_no_proof(client: Client, behaviour: str) -> None:
    """However its last turn ends."""
    with ModelStub(script=lambda heard: "It works, I have tested it.") as stub:
        stub.behave(behaviour)
        async with AsyncAnthropic(base_url=stub.url, api_key=stub.key) as claude:
            assert await claude_loop.write(claude, client, "slug") is None

    assert len(stub.bodies) == 1
    assert stub.bodies[0]["tool_choice"] == {"type": "any"}


async def test_claude_does_not_go_on_for_ever(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be judged is no proof either, and the loop has an end."""
    monkeypatch.setattr(claude_loop, "TURNS", 3)
    insisting = Call("submit", {"code": SLUG, "tests": TESTS})

    with ModelStub(script=lambda heard: insisting) as stub:
        async with AsyncAnthropic(base_url=stub.url, api_key=stub.key) as claude:
            assert await claude_loop.write(claude, client, "slug") is None

    assert len(stub.bodies) == 3
    assert "nothing was run" in str(stub.bodies[-1]["messages"])


def forgetful(heard: Heard) -> Turn:
    """Answers from memory, makes every mistake, and answers from what was printed in the end."""
    weekday = "from datetime import date\ndate(2000, 1, 1).strftime('%A')"
    if "no run that passed" not in heard.said[-1]:
        return "It was a Sunday."
    match heard.results:
        case []:
            return Call("execute_code", '{"code": ')
        case [*_, last] if "no JSON object" in last:
            return Call("run_python", {"code": weekday})
        case [*_, last] if "no tool run_python" in last:
            return Call("execute_code", {"code": "x = 1"})
        case [*_, last] if last.startswith("passed") and "value" not in last:
            return Call("execute_code", {"code": weekday.replace("strftime", "strf")})
        case [*_, last] if "AttributeError" in last:
            return Call("execute_code", {"code": weekday})
        case [*_, last] if said := re.search(r"value: '(\w+)'", last):
            return f"It was a {said[1]}."
        case _:
            return "I am lost."


@pytest.mark.slow
def test_any_model_answers_from_a_run() -> None:
    """Behind any endpoint that speaks chat completions; an answer from memory is sent back."""
    with ModelStub(script=forgetful) as stub:
        done = run(
            sys.executable, "openai_loop.py", "On which weekday did the year 2000 begin?",
            OPENAI_BASE_URL=f"{stub.url}/v1", OPENAI_API_KEY=stub.key, OPENAI_MODEL="tiny",
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("It was a Saturday.\n\nIt ran:\nfrom datetime import date\n")
    assert "\npassed (" in done.stdout
    assert len(stub.bodies) == 7
    assert [tool["function"]["name"] for tool in stub.bodies[0]["tools"]] == ["execute_code"]


@pytest.mark.parametrize(
    ("behaviour", "asked"), [("answer", 12), ("refusal", 1), ("max_tokens", 1)]
)
async def test_an_answer_from_memory_is_none(
    client: Client, monkeypatch: pytest.MonkeyPatch, behaviour: str, asked: int
) -> None:
    """However often the model repeats it; nor is one that was cut or withheld."""
    monkeypatch.setenv("OPENAI_MODEL", "tiny")

    def stubborn(heard: Heard) -> Turn:
        ran = len(heard.results) % 2
        return Call("execute_code", {"code": "1 / 0"}) if not ran else "It was a Sunday."

    with ModelStub(script=stubborn) as stub:
        stub.behave(behaviour)
        async with AsyncOpenAI(base_url=f"{stub.url}/v1", api_key=stub.key) as model:
            assert await openai_loop.answer(model, client, "On which weekday?") is None

    assert len(stub.bodies) == asked


@pytest.mark.slow
def test_the_context_has_only_examples_that_work(tmp_path: Path) -> None:
    """With their real output, however many pages of results that makes."""
    page = (
        "# Words\n\nCount words so:\n\n"
        "```python\nfrom collections import Counter\nprint(Counter('a b a'.split())['a'])\n```\n\n"
        "```python\nfrom collections import Count\nprint(Count('a'))\n```\n\n"
        "```python\nimport urllib.request\nurllib.request.urlopen('https://example.com/words')\n```\n"
    )
    many = "".join(f"```python\nprint('word {number}')\n```\n" for number in range(50))
    (tmp_path / "words.md").write_text(page)
    (tmp_path / "many.md").write_text(f"# More words\n\n{many}")
    (tmp_path / "other.md").write_text("# Colours\n\n```python\nprint('red')\n```\n")

    done = run(sys.executable, "rag_filter.py", "count words", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert "51 of 53 examples work.\n" in done.stderr
    assert "Counter('a b a'.split())['a'])\n```\n\nprints\n\n```text\n2\n```" in done.stdout
    assert done.stdout.count(rag_filter.LEFT_OUT) == 2
    assert "```text\nword 49\n```" in done.stdout
    assert not re.search(r"Count\(|urlopen|red", done.stdout)


async def test_examples_without_a_verdict_are_not_taken_for_broken(client: Client) -> None:
    """Nor for working: the sandbox failed, so nothing is known."""
    passages = [rag_filter.Passage("a.md#1", "```python\nprint(1)\n```\n")]

    with pytest.raises(rag_filter.Undecided, match="nothing was run"):
        await rag_filter.proved(client, passages)
    assert await rag_filter.proved(client, [rag_filter.Passage("a.md#2", "No example.")]) == {}


@pytest.mark.slow
def test_the_suite_passes_and_can_fail(tmp_path: Path) -> None:
    """As a suite of its own, by the fixture; it notices when the generated code is wrong."""
    suite = tmp_path / "suite"
    shutil.copytree(EXAMPLES / "pytest_suite", suite, ignore=shutil.ignore_patterns("__pycache__"))
    code = (suite / "test_generated_code.py").read_text()
    (suite / "test_wrong.py").write_text(code.replace(".lower()", ""))

    # All of the suite, and of the one with wrong code the test that it must not pass.
    chosen = ("-k", "test_generated_code or function")
    done = run(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen, folder=suite
    )

    assert done.returncode == 1, done.stdout
    assert "1 failed, 4 passed, 3 deselected" in done.stdout
    assert "FAILED test_wrong.py::test_the_function_does_what_was_asked" in done.stdout


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_a_script_that_lacks_something_says_how_it_is_run(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of a traceback: here the command `proofbox`, or the key of a model."""
    monkeypatch.setattr(sys, "argv", [script.name, "one", "two"])
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(SystemExit, match=f"python {script.name} "):
        runpy.run_path(str(script), run_name="__main__")
