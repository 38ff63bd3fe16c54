"""The README says what is so."""

import json
import re
from pathlib import Path

import anyio
import pytest
from fakes import FakeBackend
from mcp import Client

from proofbox.server.app import create_server
from proofbox.server.cli.hosts.table import HOSTS
from proofbox.server.settings import OPTIONS, Settings
from proofbox.tools.execute_code.report import Report

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_settings_are_those_of_the_table() -> None:
    """Name, default and meaning of each, in the order of the code, and no others."""
    rows = re.findall(r"^\| `(PROOFBOX_\w+)` \| (.*?) \| (.*?) \|$", README, re.MULTILINE)

    assert rows == [(option.variable, option.default, option.help) for option in OPTIONS]


async def test_the_tools_are_those_of_the_server(backend: FakeBackend) -> None:
    """With the beginning of what the model is told about each."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (.*?) \|$", README, re.MULTILINE)
    async with Client(create_server(Settings(), backend=backend)) as client:
        tools = (await client.list_tools()).tools

    assert [name for name, _ in rows] == [tool.name for tool in tools]
    for (_, about), tool in zip(rows, tools, strict=True):
        assert (tool.description or "").startswith(about)


def test_the_captured_session_has_the_shape_of_a_report() -> None:
    """Each answer in it could be one of today's."""
    (session,) = blocks("text")
    answers = re.findall(r"^\{.*?\}$", session, re.DOTALL | re.MULTILINE)

    assert len(answers) == 2
    for answer in answers:
        facts = json.loads(answer)
        report = Report.model_validate(facts)
        assert report.model_dump(mode="json", exclude_defaults=True) == facts


def test_every_configuration_is_json() -> None:
    """And names the command."""
    found = blocks("json")

    assert found
    for block in found:
        assert "/path/to/proofbox/.venv/bin/proofbox" in json.dumps(json.loads(block))


def test_the_configuration_of_each_host_is_what_install_writes() -> None:
    """By hand comes to the same."""
    shown = re.findall(r"^([A-Z][\w ]+) \(`.*\n\n```(?:json|toml)\n([^`]*)", README, re.MULTILINE)

    assert [title for title, _ in shown] == [host.title for host in HOSTS.values()]
    for (_, block), host in zip(shown, HOSTS.values(), strict=True):
        names = ("E2B_API_KEY",) if "E2B_API_KEY" in block else ()
        entry = host.entry("/path/to/proofbox/.venv/bin/proofbox", (), names, {})
        assert host.format.entry(block) == host.format.entry(host.format.with_entry("", entry))
        assert host.format.others(block) == {}


def test_every_command_it_names_exists() -> None:
    """A subcommand that was renamed would be found here."""
    from proofbox.server.cli.commands import cli

    names = "run|doctor|demo|serve|snippets|tests|bench|pr|webhook|install|uninstall|token"
    named = set(re.findall(rf"\bproofbox ({names})\b", README))
    assert {"run", "doctor", "demo", "snippets"} <= named <= set(cli.commands)


def test_there_is_one_command_for_the_job_and_one_for_the_tests() -> None:
    """Each on one line that sets up everything."""
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    setups = [line for line in lines if line.startswith("python3 -m venv .venv && ")]

    assert [line.rsplit("/", 1)[1] for line in setups] == ["proofbox demo", "pytest"]


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
async def test_every_link_inside_the_repository_leads_somewhere(name: str) -> None:
    """In every document."""
    text = await anyio.Path(ROOT / name).read_text()

    assert text
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert await anyio.Path(ROOT / target).exists(), target
