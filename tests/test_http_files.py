"""What clients of the HTTP service read of the server's files: nothing, unless a root was configured."""

from pathlib import Path

import anyio
import pytest
from fakes import FakeBackend
from http_service import Served, serving, texts
from mcp import Client, MCPError
from mcp.types import PromptReference
from path_attacks import CANARY, Call, answers, calls, commit, make_outside

from proofbox.server.settings import Settings


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nobody named, with a secret of every kind that a tool would read."""
    return make_outside(tmp_path)


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
