"""The prompts as a client sees them, and the files they come from."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Literal

import pytest
from fakes import FakeBackend
from mcp import Client, MCPError
from mcp.types import PromptReference, TextContent

from proofbox import prompts
from proofbox.server.app import TOOLS, create_server
from proofbox.server.settings import Settings

NAMES = [prompt.name for prompt in prompts.all_prompts()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that paths may name, beside one that they may not."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.pem").touch()
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    for name in ("docs/guide.md", "docs/.draft.md", "done.md", ".env"):
        (root / name).touch()
    (root / "door").symlink_to(tmp_path / "secret")
    return root


@pytest.fixture(params=["auto", "legacy"])
async def client(
    request: pytest.FixtureRequest, backend: FakeBackend, root: Path
) -> AsyncGenerator[Client]:
    """A client of a server that may read `root`, in both eras of the protocol."""
    era: Literal["auto", "legacy"] = request.param
    server = create_server(Settings(), backend=backend, roots=(root,))
    async with Client(server, mode=era) as client:
        yield client


async def proposed(client: Client, prompt: str, argument: str, started: str) -> list[str]:
    """What the server proposes to complete an argument."""
    reference = PromptReference(name=prompt)
    result = await client.complete(reference, {"name": argument, "value": started})
    return result.completion.values


@pytest.mark.parametrize("prompt", prompts.all_prompts(), ids=lambda prompt: prompt.name)
def test_a_prompt_names_its_tools_and_says_what_counts_as_done(prompt: prompts.Prompt) -> None:
    """Else a model would do the work by itself, and end when it likes."""
    offered = {entry.function.__name__ for entry in TOOLS}

    assert set(prompt.tools) <= offered
    assert all(f"`{tool}`" in prompt.text for tool in prompt.tools)
    assert "\nDone means: " in prompt.text
    assert all(argument.required or argument.default for argument in prompt.arguments)


async def test_the_prompts_are_offered_with_their_arguments(client: Client) -> None:
    """Hosts show them as commands, and ask for the arguments."""
    listed = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}

    assert list(listed) == NAMES
    arguments = listed["prove-tests"].arguments or []
    assert [(each.name, each.required) for each in arguments] == [
        ("source", True),
        ("coverage", False),
    ]


async def test_a_prompt_is_filled_in_with_what_is_given_and_with_defaults(client: Client) -> None:
    """An argument that is left empty is as good as one that is left out."""
    values = {"source": "pkg/stats.py", "coverage": " "}

    message = (await client.get_prompt("prove-tests", values)).messages[0]

    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    assert message.content.text.startswith("Write tests for `pkg/stats.py` and prove")
    assert "`coverage_target` = 80 percent" in message.content.text
    assert "$" not in message.content.text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "needs source"),
        ({"source": " "}, "needs source"),
        ({"source": "a", "x": "b"}, "argument x"),
    ],
    ids=["missing", "empty", "unknown"],
)
async def test_arguments_that_do_not_fit_are_refused(
    client: Client, values: dict[str, str], said: str
) -> None:
    """A prompt with a hole in it would send the model astray."""
    with pytest.raises(MCPError, match=said):
        await client.get_prompt("prove-tests", values)


async def test_what_the_user_puts_in_is_text_and_no_template(client: Client) -> None:
    """A dollar sign in a question is one."""
    values = {"goal": "print $check and ${goal} for $5"}

    message = (await client.get_prompt("refine-until-it-runs", values)).messages[0]

    assert isinstance(message.content, TextContent)
    assert "print $check and ${goal} for $5" in message.content.text


@pytest.mark.parametrize(
    ("started", "values"),
    [
        ("", ["docs/", "done.md", "door"]),
        ("do", ["docs/", "done.md", "door"]),
        ("docs/", ["docs/guide.md"]),
        ("docs/.", ["docs/.draft.md"]),
        ("door/", []),
        ("../secret/", []),
        ("/", []),
        ("nowhere/", []),
        ("done.md/", []),
    ],
)
async def test_paths_are_completed_inside_the_roots_only(
    client: Client, started: str, values: list[str]
) -> None:
    """Neither `..` nor a link nor an absolute path shows what is elsewhere."""
    assert await proposed(client, "fix-snippet", "document", started) == values


async def test_the_last_of_several_values_is_completed(client: Client) -> None:
    """Models are compared by two or more."""
    values = await proposed(client, "compare-models", "models", "ollama:qwen anthropic:claude-h")

    assert values == ["ollama:qwen anthropic:claude-haiku-5-5"]


@pytest.mark.parametrize(
    ("prompt", "argument"), [("fix-snippet", "nothing"), ("nothing", "document")]
)
async def test_nothing_is_proposed_for_what_is_unknown(
    client: Client, prompt: str, argument: str
) -> None:
    """A host may ask about anything."""
    assert await proposed(client, prompt, argument, "") == []


@pytest.mark.parametrize(
    "content", ["Do it.", "+++\ntitle = 'x'\nDo it.", "+++\ntitle = x\n+++\nDo it."]
)
def test_a_file_without_a_head_is_no_prompt(content: str) -> None:
    """It would be offered without a title, or with half of its text."""
    with pytest.raises(ValueError, match=r"TOML|Invalid"):
        prompts.parse("broken", content)
