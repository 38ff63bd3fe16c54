"""The tool `execute_code`."""

import base64
from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent
from pydantic import Field

from ...server.sandbox import ProofboxError
from .. import _request
from .._app import App
from .._context import advice, app_of, principal, teller
from .._pictures import picture_type
from .._progress import Feed, reporting
from .._request import CodeRequest
from . import report
from .report import Report
from .run import Answer, run

# More and larger ones are listed only: hosts cap a result at about a megabyte.
SHOWN_IMAGES = 4
SHOWN_IMAGES_BYTES = 700_000


def to_result(answer: Answer) -> CallToolResult:
    """The answer as the protocol has it: text and structured content that each stand alone."""
    content: list[ContentBlock] = [TextContent(text=report.render(answer.report))]
    room = SHOWN_IMAGES_BYTES
    for data in answer.images[:SHOWN_IMAGES]:
        room -= len(data)
        mime_type = picture_type(data)
        if room >= 0 and mime_type is not None:
            encoded = base64.b64encode(data).decode("ascii")
            content.append(ImageContent(data=encoded, mime_type=mime_type))
    return CallToolResult(
        content=content,
        structured_content=answer.report.model_dump(mode="json", exclude_defaults=True),
        is_error=answer.report.verdict == "errored",
    )


async def execute_code(
    code: Annotated[
        str,
        Field(max_length=_request.CODE_CHARACTERS, description="What to run."),
    ],
    ctx: Context[App],
    language: Annotated[
        str,
        Field(
            max_length=40,
            description="python (IPython: magics, !commands and top-level await work), bash, or "
            "javascript; on E2B also typescript, r and java. A !command that fails fails the code, and so "
            "does any part of a pipeline that bash code ends with.",
        ),
    ] = "python",
    session_id: Annotated[
        str | None,
        Field(
            max_length=200,
            description="From an earlier result, to go on with its variables and files. "
            "Leave out for a fresh sandbox.",
        ),
    ] = None,
    files: Annotated[
        dict[str, str] | None,
        Field(
            description="Text files to write first: path (relative to /home/user, where code starts, "
            "or below /tmp) to content."
        ),
    ] = None,
    packages: Annotated[
        list[Annotated[str, Field(max_length=200)]] | None,
        Field(
            max_length=50,
            description="Python requirements to add to a fresh sandbox, like ['scipy>=1.11'].",
        ),
    ] = None,
    env: Annotated[
        dict[str, str] | None,
        Field(description="Environment variables for this call. The code can read them all."),
    ] = None,
    timeout_seconds: Annotated[
        float,
        Field(gt=0, le=_request.TIMEOUT_SECONDS, description="After it the code is stopped."),
    ] = 30.0,
) -> Annotated[CallToolResult, Report]:
    """Run code in an isolated sandbox and get a verdict with its evidence: what it printed, the value
    of its last expression, plots, files it made, or the error and the line that raised it.

    Use it to check code before you rely on it, to compute, and to look at data. State persists: pass
    the returned session_id to go on with the same variables and files; leave it out to start clean.
    numpy, pandas, matplotlib and pytest are there unless the operator chose otherwise. There is no network and no access to the user's
    machine: give input by `files`. verdict `failed` means the code did it, `errored` that the
    sandbox did and nothing is known about the code, `skipped` that nothing ran. Long output is cut;
    `cut` names the artifact that has the rest. read_artifact gives plots, files and cut output;
    close_session frees a session you no longer need, and idle ones expire.
    """
    app = app_of(ctx)
    request = CodeRequest(
        code=code,
        language=_request.language_of(language),
        session_id=session_id,
        files=files or {},
        packages=tuple(packages or ()),
        env=env or {},
        timeout_seconds=timeout_seconds,
    )
    feed = Feed()

    try:
        async with reporting(feed, teller(ctx), lambda: app.news.line):
            return to_result(await run(app, principal(), request, feed))
    except ProofboxError as error:
        instead = "Omit session_id to start in a fresh sandbox."
        raise advice(error, without_session=instead) from error
