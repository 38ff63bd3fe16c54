"""The tool as a client has it, and the command as a shell does."""

import json
import subprocess
import sysconfig
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from fakes import FakeBackend
from mcp import Client
from mcp.types import CallToolResult, TextContent

from proofbox.server.app import create_server
from proofbox.server.settings import Settings

CONSOLE_SCRIPT = Path(sysconfig.get_path("scripts")) / "proofbox"
GOOD = "```python\nprint(6 * 7)\n#> 42\n```\n"
BAD = "```python\nimport json\n\njson.dump_s({})\n```\n"


@pytest.fixture
async def client(local_cache: Path, tmp_path: Path) -> AsyncGenerator[Client]:
    """A client of a server over the local backend that may read the temporary folder."""
    settings = Settings(backend="local", cache_dir=local_cache)
    async with Client(create_server(settings, roots=(tmp_path,))) as client:
        yield client


def facts_of(result: CallToolResult) -> dict[str, Any]:
    """The structured content of a result, which must be there."""
    assert result.structured_content is not None
    return result.structured_content


async def test_a_client_gets_verdicts_as_text_and_as_data(client: Client, tmp_path: Path) -> None:
    """Each stands alone, and names the line."""
    (tmp_path / "page.md").write_text(GOOD + BAD)
    told: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        told.append(message)

    result = await client.call_tool(
        "validate_snippets", {"paths": ["page.md"]}, progress_callback=hear
    )

    facts: dict[str, Any] = result.structured_content or {}
    (file,) = facts["files"]
    (text,) = [block.text for block in result.content if isinstance(block, TextContent)]
    assert (facts["verdict"], file["total_snippets"], file["valid_snippets"]) == ("failed", 2, 1)
    assert [one["snippet_index"] for one in file["results"]] == [1, 0]
    assert file["results"][0]["error_line"] == 8
    assert file["results"][0]["error_text"] == "json.dump_s({})"
    assert not file["results"][0]["valid"]
    assert "page.md:8: failed, raises" in text
    assert not result.is_error


@pytest.mark.slow
async def test_many_results_are_cut_with_their_number(client: Client) -> None:
    """The worst stay, and the counts are of all."""
    items = [{"id": str(n), "code": "1 / 0" if n == 44 else f"x = {n}"} for n in range(45)]

    result = await client.call_tool("validate_snippets", {"snippets": items})

    facts: dict[str, Any] = result.structured_content or {}
    (file,) = facts["files"]
    assert facts["counts"] == {"works": 44, "raises": 1}
    assert (len(file["results"]), file["left_out"]) == (40, 5)
    assert file["results"][0]["id"] == "44"
    assert facts["rest"] == {"results": 5, "offset": 40}

    asked = {"job_id": facts["job"]["job_id"], "offset": 40}
    others = facts_of(await client.call_tool("get_job", asked))

    (rest,) = others["report"]["files"]
    shown = [one["id"] for one in (*file["results"], *rest["results"])]
    assert sorted(shown, key=int) == [item["id"] for item in items]
    assert "rest" not in others["report"]


async def test_an_update_is_a_patch_and_leaves_the_files_alone(
    client: Client, tmp_path: Path
) -> None:
    """For documents by file, for raw items by item; with what could not be updated."""
    page = "```python\nprint(6 * 7)\n#> 41\nprint(1)\n#> 1\n```\n\n>>> print()\n1\n"
    (tmp_path / "page.md").write_text(page)
    items = [{"id": "a", "code": ">>> 1\n1\n"}, {"id": "b", "code": ">>> 1\n2\n"}]
    found = await client.call_tool("validate_snippets", {"paths": ["page.md"], "update": True})
    raw = await client.call_tool("validate_snippets", {"snippets": items, "update": True})

    (file,) = facts_of(found)["files"]
    (others,) = facts_of(raw)["files"]
    assert [row for row in file["patch"].splitlines() if row[0] in "-+"][2:] == ["-#> 41", "+#> 42"]
    assert file["patch"].startswith("--- a/page.md\n+++ b/page.md\n@@ -1,")
    assert file["not_updated"] == [
        "page.md:9: Nothing was printed: remove the shown output, or print something."
    ]
    assert file["patch"] in "\n".join(getattr(block, "text", "") for block in found.content)
    assert (tmp_path / "page.md").read_text() == page
    assert {one["id"]: one.get("patch") for one in others["results"]} == {
        "a": None,
        "b": "--- a/<b>\n+++ b/<b>\n@@ -1,2 +1,2 @@\n >>> 1\n-2\n+1\n",
    }


async def test_a_path_outside_is_a_mistake_that_the_model_can_mend(client: Client) -> None:
    """With advice, and without saying whether the file exists."""
    result = await client.call_tool("validate_snippets", {"paths": ["/etc/passwd"]})

    assert result.is_error
    assert "outside the folders that may be read" in str(result.content)


async def test_a_backend_without_programs_says_so(backend: FakeBackend) -> None:
    """Nothing is substituted in silence, and the sandbox is closed."""
    async with Client(create_server(Settings(), backend=backend)) as client:
        result = await client.call_tool("validate_snippets", {"text": GOOD})

        assert result.is_error
        assert "PROOFBOX_BACKEND=local" in str(result.content)


async def proofbox(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the command in a folder; its exit code and what it printed."""
    with anyio.fail_after(90):
        ended = await anyio.run_process(
            [str(CONSOLE_SCRIPT), "snippets", "--backend", "local", *arguments],
            cwd=folder,
            check=False,
            stderr=subprocess.DEVNULL,
        )
    return ended.returncode, ended.stdout.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "status"), [(GOOD, 0), (GOOD + BAD, 1), ("prose", 4), ("```python\n...\n```\n", 4)]
)
async def test_the_exit_code_is_the_verdict(tmp_path: Path, text: str, status: int) -> None:
    """0 only if nothing failed and something passed; with `--json` the same."""
    (tmp_path / "page.md").write_text(text)

    ended, out = await proofbox(tmp_path, "page.md", "--json")

    assert ended == status
    verdict = json.loads(out)["verdict"]
    assert {0: "passed", 1: "failed", 4: "skipped"}[status] == verdict


@pytest.mark.slow
async def test_a_file_that_is_not_there_is_bad_usage(tmp_path: Path) -> None:
    """Not a pass, and not a failure of the documentation."""
    ended, _ = await proofbox(tmp_path, "nothing.md")

    assert ended == 2
