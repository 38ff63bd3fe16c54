"""The connected client, and reports in place of protocol results."""

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, overload

from mcp import Client
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel

from ...tools._workflow_report import JobNote
from ...tools.benchmark_model.report import BenchReport
from ...tools.check_pr.review.report import PrReport
from ...tools.close_session import Closed
from ...tools.execute_code.report import Report
from ...tools.get_job import WORKFLOWS, JobReport
from ...tools.run_generated_tests.report import TestsReport
from ...tools.validate_snippets.report import SnippetsReport
from ..app import create_server
from ..sandbox import Backend
from ..settings import OPTIONS, SettingsError, read_settings

Setting = str | int | float | Path | Sequence[str | Path]

_REPORTS: Mapping[str, type[BaseModel]] = {
    "execute_code": Report,
    "get_job": JobReport,
    "close_session": Closed,
    **{workflow.kind: workflow.model for workflow in WORKFLOWS.values()},
}


class ToolRefused(Exception):
    """A tool gave no report: the message is what it says instead, and what to do."""


class Proofbox(Client):
    """An MCP client that also calls tools by `call`, which gives their reports."""

    @overload
    async def call(self, tool: Literal["execute_code"], /, **arguments: Any) -> Report: ...
    @overload
    async def call(
        self, tool: Literal["validate_snippets"], /, **arguments: Any
    ) -> SnippetsReport: ...
    @overload
    async def call(
        self, tool: Literal["run_generated_tests"], /, **arguments: Any
    ) -> TestsReport: ...
    @overload
    async def call(self, tool: Literal["check_pr"], /, **arguments: Any) -> PrReport: ...
    @overload
    async def call(self, tool: Literal["benchmark_model"], /, **arguments: Any) -> BenchReport: ...
    @overload
    async def call(self, tool: Literal["get_job"], /, **arguments: Any) -> JobReport: ...
    @overload
    async def call(self, tool: Literal["close_session"], /, **arguments: Any) -> Closed: ...

    async def call(self, tool: str, /, **arguments: Any) -> BaseModel:
        """The report of a tool, by the tool's own arguments. Work that becomes a job is waited for to its
        end; bound it by `anyio.fail_after`.

        A report may have any verdict: `passed` alone is good.

        Raises:
            ToolRefused: there is no report. An argument was wrong, or the job was cancelled or lost.
            ValueError: what the tool gives is no report: use `call_tool`.
        """
        if tool not in _REPORTS:
            known = ", ".join(_REPORTS)
            raise ValueError(f"{tool} gives no report: use call_tool. Those that do: {known}.")
        facts = _facts(await self.call_tool(tool, arguments))
        if tool in WORKFLOWS and "verdict" not in facts:
            facts = await self._wait(facts["job"]["job_id"])
        return _REPORTS[tool].model_validate(facts)

    async def _wait(self, job_id: str) -> dict[str, Any]:
        """What the tool that started the job reports in the end."""
        while True:
            result = await self.call_tool("get_job", {"job_id": job_id})
            job = JobReport.model_validate(_facts(result))
            if job.report is not None:
                note = JobNote(job_id=job_id, state=job.state, elapsed_seconds=job.elapsed_seconds)
                return {**job.report, "job": note}
            if job.state != "running":
                raise ToolRefused(_text_of(result))


def _facts(result: CallToolResult) -> dict[str, Any]:
    if result.structured_content is None:
        raise ToolRefused(_text_of(result))
    return result.structured_content


def _text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


@asynccontextmanager
async def connected(
    *, backend: Literal["local", "e2b", "auto"] | Backend | None = None, **settings: Setting
) -> AsyncGenerator[Proofbox]:
    """A client of a server in this process, over real sandboxes, for as long as the block runs.

    Code runs on this machine even where a key for E2B is set, since tests should cost nothing unasked;
    `backend` or PROOFBOX_BACKEND says otherwise. `settings` are those of the README by their names in small
    letters, like `memory="512M"`, `packages=["httpx"]` and `roots=[folder]`; others come from the environment.
    Without roots, paths may name what is below the working directory. Jobs end with the block, and their
    reports are gone unless `data_dir` says where to keep them.

    Raises:
        SettingsError: there is no such setting, or its value cannot be used.
        RuntimeError: this is not asyncio, on which proofbox runs.
    """
    _check_loop()
    with tempfile.TemporaryDirectory(prefix="proofbox-") as data:
        usual = {"PROOFBOX_BACKEND": "local", "PROOFBOX_DATA_DIR": data}
        environment = {**usual, **{name: value for name, value in os.environ.items() if value}}
        given = {name: _word(name, value) for name, value in settings.items()}
        if isinstance(backend, str):
            given["backend"] = backend
        with _logging_left_alone():
            server = create_server(
                read_settings(environment, given),
                backend=None if isinstance(backend, str) else backend,
                roots=(Path.cwd(),),
            )
        client, raised = Proofbox(server), None
        async with client:
            try:
                yield client
            except Exception as error:  # noqa: BLE001 - it is raised again
                # The client's task groups would wrap it, and no `except` or `raises` would know it.
                raised = error
        if raised is not None:
            raise raised


@contextmanager
def _logging_left_alone() -> Generator[None]:
    """The SDK's server sets up logging to stderr where nobody has; here that is the embedder's to do."""
    root, nothing = logging.getLogger(), logging.NullHandler()
    root.addHandler(nothing)
    try:
        yield
    finally:
        root.removeHandler(nothing)


def _check_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError as error:
        raise RuntimeError(
            "proofbox runs on asyncio. In a suite that uses anyio's plugin, have a fixture "
            "`anyio_backend` that returns 'asyncio'."
        ) from error


def _word(name: str, value: Setting) -> str:
    """The value as it is written in the environment."""
    if name not in {option.name for option in OPTIONS}:
        known = ", ".join(option.name for option in OPTIONS)
        raise SettingsError(f"{name} is not a setting of proofbox; known are {known}.")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return (os.pathsep if name == "roots" else " ").join(map(str, value))
    return str(value)
