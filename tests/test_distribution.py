"""What proofbox is distributed as: the bundle for desktop hosts, and the entry of the MCP registry."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import npm_tools
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import TextContent

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LISTED: dict[str, Any] = json.loads((ROOT / "server.json").read_text())


def test_the_entry_of_the_registry_keeps_to_its_rules() -> None:
    """What its schema and its documentation ask for beyond what is plain."""
    (package,) = LISTED["packages"]

    assert LISTED["$schema"].endswith("/schemas/2025-12-11/server.schema.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", LISTED["name"])
    assert 1 <= len(LISTED["description"]) <= 100
    assert 1 <= len(LISTED["title"]) <= 100
    assert package["registryType"] == "pypi"
    assert package["transport"] == {"type": "stdio"}
    for variable in package["environmentVariables"]:
        assert set(variable) <= {"name", "description", "isRequired", "isSecret"}
        secret = variable["name"].endswith(("_KEY", "_TOKEN"))
        assert variable.get("isSecret", False) is secret


def test_the_entry_is_of_this_package_in_this_version() -> None:
    """A release changes both."""
    (package,) = LISTED["packages"]

    assert package["identifier"] == PROJECT["name"]
    assert LISTED["version"] == package["version"] == PROJECT["version"]


def test_the_readme_proves_to_the_registry_whose_package_it_is() -> None:
    """The registry looks for the very name in the package's description, which is the README."""
    marks = re.findall(
        r"^<!-- mcp-name: (\S+) -->$", (ROOT / "README.md").read_text(), re.MULTILINE
    )

    assert marks == [LISTED["name"]]
    assert PROJECT["readme"] == "README.md"


@pytest.mark.slow
async def test_the_bundle_is_packed_and_its_server_starts(tmp_path: Path) -> None:
    """By the real `mcpb`; a host that unpacks it finds what the manifest promises."""
    node_modules = npm_tools.installed()
    environment = npm_tools.environment(node_modules)
    folder, packed, unpacked = (
        tmp_path / "folder",
        tmp_path / "proofbox.mcpb",
        tmp_path / "unpacked",
    )

    def run(*command: str | Path) -> None:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    mcpb = node_modules / ".bin" / "mcpb"
    run(sys.executable, ROOT / "mcpb/build.py", folder)
    run(mcpb, "validate", folder / "manifest.json")
    run(mcpb, "pack", folder, packed)
    run(mcpb, "unpack", packed, unpacked)
    manifest = json.loads((unpacked / "manifest.json").read_text())
    server = started_by_a_host(manifest, unpacked, chosen=[str(tmp_path)])
    async with Client(server, read_timeout_seconds=120) as client:
        tools = (await client.list_tools()).tools
        prompts = (await client.list_prompts()).prompts
        texts = [
            (await client.get_prompt(prompt.name, placeholders(prompt.arguments or []))).messages
            for prompt in prompts
        ]
        ran = await client.call_tool("validate_snippets", {"paths": [str(tmp_path / "none.md")]})

    assert manifest["version"] == PROJECT["version"]
    assert [tool.name for tool in tools] == [tool["name"] for tool in manifest["tools"]]
    assert [prompt.name for prompt in prompts] == [each["name"] for each in manifest["prompts"]]
    for (message,), promised in zip(texts, manifest["prompts"], strict=True):
        assert isinstance(message.content, TextContent)
        assert message.content.text == promised["text"]
    # The chosen folder may be read: what is said is that the file is not there.
    (said,) = ran.content
    assert isinstance(said, TextContent)
    assert "none.md" in said.text
    assert "outside" not in said.text


def placeholders(arguments: list[Any]) -> dict[str, str]:
    """What the manifest has for arguments."""
    return {each.name: f"${{arguments.{each.name}}}" for each in arguments}


def started_by_a_host(
    manifest: dict[str, Any], folder: Path, chosen: list[str]
) -> StdioServerParameters:
    """How a host starts a bundle where the user chose folders and gave no key, as the specification has it."""
    config = manifest["server"]["mcp_config"]
    options = {name: each["default"] for name, each in manifest["user_config"].items()}
    options["folders"] = chosen
    arguments: list[str] = []
    for argument in config["args"]:
        name = re.fullmatch(r"\$\{user_config\.(\w+)\}", argument)
        whole = argument.replace("${__dirname}", str(folder))
        arguments += options[name[1]] if name else [whole]
    variables = {
        name: re.sub(r"\$\{user_config\.(\w+)\}", lambda found: options[found[1]], value)
        for name, value in config["env"].items()
    }
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    assert (config["command"], variables) == ("uv", {"E2B_API_KEY": ""})
    assert uv is not None
    environment = {**os.environ, **variables}
    return StdioServerParameters(command=uv, args=arguments, env=environment, cwd=folder.parent)
