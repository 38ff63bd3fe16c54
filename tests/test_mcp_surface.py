"""What a client sees: the tools as pinned, both eras of the protocol, results, errors, progress."""

import base64
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from fakes import FakeBackend, settle
from mcp import Client, MCPError
from mcp.types import BlobResourceContents, CallToolResult, TextContent
from played import PlayedBackend, PlayedSandbox, gives

from proofbox.server.app import INSTRUCTIONS, create_server
from proofbox.server.sandbox import (
    Execution,
    OnOutput,
    Result,
    SandboxBusy,
    SandboxRejected,
    SandboxUnavailable,
)
from proofbox.server.settings import Settings

PINNED = Path(__file__).parent / "tools.json"
PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
Era = Literal["auto", "legacy"]


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    """The protocol of today, and that of the handshake."""
    return request.param


@pytest.fixture
async def client(era: Era, backend: FakeBackend) -> AsyncGenerator[Client]:
    """A client of a server over sandboxes that really run Python."""
    async with Client(create_server(Settings(), backend=backend), mode=era) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    """The text blocks of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def facts_of(result: CallToolResult) -> dict[str, Any]:
    """The structured content of a result, which must be there."""
    assert result.structured_content is not None
    return result.structured_content


async def test_the_tools_are_those_that_are_pinned(client: Client) -> None:
    """Names, descriptions, schemas and annotations are the interface that models learn.

    To change them on purpose, write what the failing test shows into tools.json.
    """
    tools = (await client.list_tools()).tools
    now = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]

    assert now == json.loads(PINNED.read_text())


async def test_descriptions_and_instructions_fit_into_what_hosts_show(client: Client) -> None:
    """Hosts cut both at 2 KB, and every hint is set because the defaults are the frightening ones."""
    for tool in (await client.list_tools()).tools:
        hints = tool.annotations
        assert len((tool.description or "").encode()) < 2048
        assert hints is not None
        assert None not in {
            hints.read_only_hint,
            hints.destructive_hint,
            hints.idempotent_hint,
            hints.open_world_hint,
        }
    assert client.instructions == INSTRUCTIONS
    assert len(INSTRUCTIONS.encode()) < 2048


async def test_a_session_over_several_calls(client: Client) -> None:
    """State stays, the session closes, and its handle then leads nowhere."""
    first = facts_of(await client.call_tool("execute_code", {"code": "x = 6"}))
    handle = {"session_id": first["session_id"]}
    second = await client.call_tool("execute_code", {"code": "x * 7", **handle})
    closed = await client.call_tool("close_session", handle)
    after = await client.call_tool("execute_code", {"code": "x", **handle})

    assert facts_of(second)["value"] == "42"
    assert "value: 42" in text_of(second)
    assert facts_of(closed) == {"closed": first["session_id"]}
    assert after.is_error
    assert "no such session" in text_of(after)
    assert text_of(after).endswith("Omit session_id to start in a fresh sandbox.")


async def test_a_session_that_is_gone_comes_with_advice_that_the_tool_can_take(
    client: Client,
) -> None:
    """Neither can do without a session."""
    gone = {"session_id": "gone"}
    read = await client.call_tool("read_artifact", {"name": "plot-1.png", **gone})
    closed = await client.call_tool("close_session", gone)

    assert "no such session" in text_of(read)
    assert text_of(read).endswith("execute_code without a session_id starts in a fresh sandbox.")
    assert text_of(closed).endswith("There is nothing left to close.")


async def test_failing_code_is_a_result_not_an_error(client: Client) -> None:
    """The tool did its work; the verdict is the code's."""
    result = await client.call_tool("execute_code", {"code": "1 / 0"})

    assert not result.is_error
    assert facts_of(result)["verdict"] == "failed"
    assert text_of(result).startswith("failed")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"code": "1", "sesion_id": "x"}, "Unknown argument: sesion_id."),
        ({"code": "1", "a": 1, "b": 2}, "Unknown arguments: a, b."),
        ({}, "code: field required"),
        ({"code": "1", "timeout_seconds": 601}, "timeout_seconds: input should be less than"),
        ({"code": "1", "timeout_seconds": 0}, "timeout_seconds: input should be greater than"),
        ({"code": "x" * 200_001}, "code: string should have at most"),
        ({"code": "1", "files": ["a"]}, "files: input should be a valid dictionary"),
        ({"code": "1", "files": {"/etc/passwd": ""}}, "'/etc/passwd' cannot be a file's path"),
        ({"code": "1", "language": "cobol"}, "cobol"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_before_anything_runs(
    client: Client, backend: FakeBackend, arguments: dict[str, Any], says: str
) -> None:
    """The refusal names the argument, and does not repeat the caller's data."""
    result = await client.call_tool("execute_code", arguments)

    assert result.is_error
    assert says in text_of(result)
    assert len(text_of(result)) < 500
    assert not any("run_code" in sandbox.calls for sandbox in backend.created)


async def test_an_unknown_tool_is_refused_with_those_there_are(client: Client) -> None:
    """A model can choose again."""
    result = await client.call_tool("run_code", {"code": "1"})

    assert result.is_error
    assert "execute_code" in text_of(result)


@pytest.mark.parametrize(
    "error",
    [
        SandboxUnavailable("It could not be started; do this."),
        SandboxBusy("It is full; try later.", retry_after=1000),
        SandboxRejected("The key is wrong; set another."),
    ],
)
async def test_a_missing_sandbox_is_an_error_with_advice(
    client: Client, backend: FakeBackend, error: Exception
) -> None:
    """The text is whole by itself, because hosts show nothing else of an error."""
    backend.create_errors = [error]

    result = await client.call_tool("execute_code", {"code": "1"})

    assert result.is_error
    assert str(error) in text_of(result)


async def test_a_fault_of_ours_says_nothing_to_the_client(
    client: Client, backend: FakeBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """What happened is in the log, with its traceback."""
    backend.create_errors = [RuntimeError("secret detail")]

    result = await client.call_tool("execute_code", {"code": "1"})

    assert result.is_error
    assert "secret" not in text_of(result)
    assert "secret detail" in caplog.text


async def test_plots_are_in_the_content_and_can_be_read_again(era: Era) -> None:
    """As a picture by read_artifact, and as a resource with its type."""
    figure = Result({"image/png": PNG, "text/plain": "<Figure>"})
    backend = PlayedBackend(gives(Execution("completed", results=(figure,))))
    async with Client(create_server(Settings(), backend=backend), mode=era) as client:
        run = await client.call_tool("execute_code", {"code": "plot"})
        handle = facts_of(run)["session_id"]
        named = {"session_id": handle, "name": "plot-1.png"}
        picture = await client.call_tool("read_artifact", named)
        resource = await client.read_resource(f"sandbox://{handle}/files/plot-1.png")

    assert [block.type for block in run.content] == ["text", "image"]
    assert facts_of(run)["artifacts"] == [
        {"name": "plot-1.png", "mime_type": "image/png", "size": len(PNG)}
    ]
    assert [block.type for block in picture.content] == ["image"]
    assert picture.structured_content is None
    (contents,) = resource.contents
    assert isinstance(contents, BlobResourceContents)
    assert (contents.mime_type, base64.b64decode(contents.blob)) == ("image/png", PNG)


async def test_a_sessions_files_are_resources(client: Client) -> None:
    """The template is listed, a file in a folder can be read, and a missing one is not found."""
    files = {"data/a.csv": "1,2\n"}
    run = facts_of(await client.call_tool("execute_code", {"code": "1", "files": files}))
    where = f"sandbox://{run['session_id']}/files"
    templates = (await client.list_resource_templates()).resource_templates
    (contents,) = (await client.read_resource(f"{where}/data/a.csv")).contents

    assert [template.uri_template for template in templates] == [
        "sandbox://{session_id}/files/{+path}"
    ]
    assert isinstance(contents, BlobResourceContents)
    assert (contents.mime_type, base64.b64decode(contents.blob)) == ("text/csv", b"1,2\n")
    for missing in ("none", "../x", "%2e%2e/x", "%2Fetc/passwd"):
        with pytest.raises(MCPError):
            await client.read_resource(f"{where}/{missing}")


async def test_progress_tells_the_newest_line_while_code_runs(era: Era) -> None:
    """And cancelling the call stops the code: the sandbox is free for the next."""
    told: list[str | None] = []
    heard = anyio.Event()
    stopped = anyio.Event()

    async def play(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
        on_output("stdout", "step 1\nstep \x1b[1m2\n")
        try:
            await anyio.Event().wait()
        finally:
            stopped.set()
        return Execution("completed")

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)
        heard.set()

    async def call(client: Client) -> None:
        await client.call_tool("execute_code", {"code": "loop"}, progress_callback=on_progress)

    server = create_server(Settings(), backend=PlayedBackend(play))
    with anyio.fail_after(10):
        async with Client(server, mode=era) as client:
            async with anyio.create_task_group() as calls:
                calls.start_soon(call, client)
                await heard.wait()
                calls.cancel_scope.cancel()
            await stopped.wait()

    assert told == ["step 2"]


async def test_calls_run_side_by_side(client: Client, backend: FakeBackend) -> None:
    """One that waits does not hold up another."""
    backend.creating = anyio.Event()
    async with anyio.create_task_group() as calls:
        calls.start_soon(client.call_tool, "execute_code", {"code": "1"})
        await settle()
        with anyio.fail_after(10):
            assert (await client.list_tools()).tools
        backend.creating.set()
