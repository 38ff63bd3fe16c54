"""What clients of the HTTP service read of the server's files: nothing, unless a root was configured."""

import json
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest
from fakes import FakeBackend
from http_service import Served, serving, texts
from mcp import Client, MCPError
from mcp.types import CallToolResult, PromptReference

from proofbox.server.settings import Settings

CANARY = "canary_5c1f"

Call = tuple[str, dict[str, Any]]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nobody named, with a secret of every kind that a tool would read."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.md").write_text(f"```python\n{CANARY}\n```\n")
    (folder / "secret.py").write_text(f"def {CANARY}():\n    return '{CANARY}'\n")
    (folder / "test_secret.py").write_text(f"def test_{CANARY}():\n    assert '{CANARY}' == 1\n")
    task = {"task_id": CANARY, "prompt": CANARY, "completion": CANARY, "test": "assert True"}
    (folder / "secret.jsonl").write_text(json.dumps(task) + "\n")
    (folder / "secret.patch").write_text(f"--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+{CANARY}\n")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Make a repository of a folder."""
    who = ["-c", "user.name=x", "-c", "user.email=x@x"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", CANARY]):
        subprocess.run(["git", "-C", folder, *command], check=True)


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Path:
    """A folder that may be read, with links that lead out of it."""
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "own.md").write_text("```python\nown_name\n```\n")
    commit(folder)
    (folder / "linked").symlink_to(outside)
    for file in outside.iterdir():
        (folder / f"link-{file.name}").symlink_to(file)
    return folder


def spellings(outside: Path, name: str) -> list[str]:
    """Ways to write the path of a file outside, seen from a root beside it."""
    return [
        f"{outside}/{name}",
        f"../outside/{name}",
        f"./a/../../outside/{name}",
        f"linked/{name}",
        f"link-{name}",
        f"//{str(outside).lstrip('/')}/{name}",
        f"file://{outside}/{name}",
        f"{outside}/{name}\0.md",
        f"..\\outside\\{name}",
        f"%2e%2e/outside/{name}",
    ]


def calls(outside: Path, most: int = 99) -> list[Call]:
    """Every argument of every tool that is, or may hold, a path on the server, in so many spellings."""
    documents = [
        *spellings(outside, "secret.md")[:most],
        f"{outside}/*.md",
        f"{outside}",
        "../**/*.md",
    ]
    includes = [
        f".. literalinclude:: {outside}/secret.py\n",
        ".. literalinclude:: ../outside/secret.py\n",
        f".. include:: {outside}/secret.md\n",
    ]
    in_markdown = [
        f'--8<-- "{outside}/secret.md"\n',
        '--8<-- "../outside/secret.md"\n',
        f"{{!{outside}/secret.md!}}\n",
        f"```{{literalinclude}} {outside}/secret.py\n```\n",
        f"```{{include}} {outside}/secret.md\n```\n",
    ]
    projects = [str(outside), "../outside", "linked", f"{outside}/../outside", f"file://{outside}"]
    tasks = spellings(outside, "secret.jsonl")[:most]
    patches = spellings(outside, "secret.patch")[:most]
    return [
        *(("validate_snippets", {"paths": [path]}) for path in documents),
        *(("validate_snippets", {"text": text, "format": "rst"}) for text in includes),
        *(("validate_snippets", {"text": text}) for text in in_markdown),
        *(("run_generated_tests", {"project": path, "mutation": "off"}) for path in projects),
        *(("check_pr", {"repo": path, "head": "HEAD"}) for path in projects),
        *(("check_pr", {"repo": ".", "patch": path}) for path in patches),
        *(
            ("benchmark_model", {"models": ["ollama:x"], "tasks": path, "dry_run": True})
            for path in tasks
        ),
        *(("benchmark_model", {"models": [f"file:{path}"], "dry_run": True}) for path in tasks),
    ]


async def answers(client: Client, asked: list[Call]) -> list[CallToolResult]:
    """What each call comes to."""
    return [await client.call_tool(name, arguments) for name, arguments in asked]


async def proposed(client: Client, started: str) -> list[str]:
    """What a prompt's path argument is completed to."""
    found: list[str] = []
    for prompt in (await client.list_prompts()).prompts:
        for argument in prompt.arguments or []:
            reference = PromptReference(name=prompt.name)
            given = {"name": argument.name, "value": started}
            found += (await client.complete(reference, given)).completion.values
    return found


async def test_without_a_root_no_tool_reads_a_file_of_the_server(
    backend: FakeBackend, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even of the folder that it was started in, and whether a file is there or not reads alike."""
    monkeypatch.chdir(outside)
    own = ["secret.md", "./secret.md", "secret.py", "*"]
    asked: list[Call] = [
        *calls(outside, 2),
        *(("validate_snippets", {"paths": [path]}) for path in own),
        *(("run_generated_tests", {"project": path}) for path in (".", "")),
        *(("benchmark_model", {"models": [f"file:{path}"]}) for path in ("secret.jsonl",)),
    ]
    here = [("validate_snippets", {"paths": [f"{outside}/secret.md"]})]
    gone = [("validate_snippets", {"paths": [f"{outside}/no.md"]})]
    async with serving(backend) as served, served.client() as client:
        results = await answers(client, asked)
        there, not_there = await answers(client, [*here, *gone])
        completions = [*await proposed(client, ""), *await proposed(client, f"{outside}/")]

    shown = [result.model_dump_json() for result in results]
    assert [text for text in shown if CANARY in text.replace(f"{outside}", "")] == []
    refused = [
        texts(one) for (_, given), one in zip(asked, results, strict=True) if "text" not in given
    ]
    assert [text for text in refused if not says_no(text)] == []
    assert texts(there) == texts(not_there)
    assert not any("secret" in value for value in completions)


def says_no(text: str) -> bool:
    """Whether a refusal is one for the path, and not for something else."""
    words = ("may not read files", "outside the folders", "is no folder", "cannot hold a NUL")
    return any(word in text for word in words)


@pytest.mark.slow
async def test_with_a_root_only_what_is_in_it_is_read(
    root: Path, outside: Path, local_cache: Path
) -> None:
    """Neither by climbing out of it nor through links in it, in real sandboxes."""
    settings = Settings(backend="local", cache_dir=local_cache, roots=(root,))
    with anyio.fail_after(300):
        async with serving(None, settings=settings) as served, served.client() as client:
            (own,) = await answers(client, [("validate_snippets", {"paths": ["own.md"]})])
            results = await answers(client, calls(outside))
            completions = [*await proposed(client, ""), *await proposed(client, "linked/")]

    assert "own_name" in texts(own)
    shown = [result.model_dump_json() for result in results]
    assert [text[:2000] for text in shown if CANARY in text] == []
    assert [
        result.structured_content for result in results if texts(result).startswith("passed")
    ] == []
    assert "own.md" in completions
    assert not any("linked/" in value for value in completions)


async def test_paths_of_a_sandbox_stay_in_it(backend: FakeBackend, outside: Path) -> None:
    """What is written and read by name is the sandbox's own, never the server's."""
    escapes = ["../../etc/x", "/etc/passwd", "/root/x", "a/../../../x"]

    async def written(served: Served) -> list[str]:
        async with served.client() as client:
            results = [
                await client.call_tool("execute_code", {"code": "1", "files": {path: "x"}})
                for path in escapes
            ]
            made = await client.call_tool("execute_code", {"code": "1"})
            assert made.structured_content is not None
            handle = made.structured_content["session_id"]
            for path in escapes:
                named = {"session_id": handle, "name": path}
                results.append(await client.call_tool("read_artifact", named))
                with pytest.raises(MCPError):
                    await client.read_resource(f"sandbox://{handle}/files/{path}")
            return [texts(result) for result in results]

    secret = outside / "secret.md"
    before = secret.read_text()
    async with serving(backend) as served:
        said = await written(served)
        async with served.client() as client:
            # The sandbox's own /tmp has a place of that name.
            await client.call_tool("execute_code", {"code": "1", "files": {str(secret): "x"}})

    assert secret.read_text() == before
    assert [text for text in said if not text.startswith("Error executing tool")] == []
    assert not any(CANARY in text for text in said)
