"""The tool: arguments as a model gives them, and the report as it reads it."""

from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import BaseModel, Field

from ...server.jobs import Progress
from .. import _request
from .._app import App
from .._context import app_of, principal
from .._workflow import WAIT_SECONDS, WaitSeconds, Workflow
from . import report
from .choices import Format, Mode
from .paging import page
from .report import SnippetsReport

SNIPPETS = Workflow("validate_snippets", SnippetsReport, render=report.render, page=page)


class RawSnippet(BaseModel):
    """One example from a store of examples."""

    id: str = Field(max_length=200)
    code: Annotated[str, Field(max_length=_request.CODE_CHARACTERS)]
    language: str = Field(default="python", max_length=40)


async def validate_snippets(
    ctx: Context[App],
    paths: Annotated[
        list[Annotated[str, Field(max_length=1000)]] | None,
        Field(
            max_length=200,
            description="Files, folders or patterns like 'docs/**/*.md', inside the folders that the "
            "server may read.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        Field(max_length=2_000_000, description="A document itself, instead of paths."),
    ] = None,
    format: Annotated[Format, Field(description="The format of text.")] = "markdown",
    snippets: Annotated[
        list[RawSnippet] | None,
        Field(
            max_length=1000, description="Raw items, instead of paths; each is checked by itself."
        ),
    ] = None,
    mode: Annotated[
        Mode,
        Field(
            description="auto: alone first, then with the least setup that makes it run. isolated: "
            "only with what the author says. page: after all that stands before it."
        ),
    ] = "auto",
    packages: Annotated[
        list[Annotated[str, Field(max_length=200)]] | None,
        Field(max_length=50, description="Python requirements that the snippets need."),
    ] = None,
    env: Annotated[
        dict[str, str] | None,
        Field(description="Environment variables for every snippet. The code can read them all."),
    ] = None,
    setup: Annotated[
        str,
        Field(
            max_length=_request.CODE_CHARACTERS,
            description="Python to run before every Python snippet.",
        ),
    ] = "",
    skip: Annotated[
        list[Annotated[str, Field(max_length=1000)]] | None,
        Field(
            max_length=500,
            description="What to leave out: a pattern for files, FILE:LINE, or the id of a raw item.",
        ),
    ] = None,
    normalise: Annotated[
        dict[str, str] | None,
        Field(
            description="Regular expressions, and what stands for their matches in shown and real "
            "output alike. The key `<time>` hides dates, clock times and durations."
        ),
    ] = None,
    update: Annotated[
        bool, Field(description="Also give a patch that writes the real outputs over wrong ones.")
    ] = False,
    only_working: Annotated[
        bool, Field(description="List only what passed. For raw items: those to store.")
    ] = False,
    timeout_seconds: Annotated[float, Field(gt=0, le=120, description="For each snippet.")] = 30.0,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> Annotated[CallToolResult, SNIPPETS.answer]:
    """Run every code example of documentation in a sandbox and find those that are broken: each gets
    a verdict, a kind, and the line of the document that failed, with shown against real output.

    Use it before you publish, quote or store examples. Give exactly one of paths, text and snippets.
    Python (blocks, `>>>` examples, notebooks, docstrings) and shell blocks run; JSON, TOML and YAML are
    parsed. An example that needs earlier ones of its page gets the fewest that make it run; `setup` in
    its result names them. verdict `failed` means that the example is broken: it raises, prints
    something else than is shown, is no valid code or does not end. `skipped` means that it could not
    be judged here (it needs the network, a key, a file, a package, a person, or its author skips it):
    that is not a pass. `errored` means that the sandbox did it. There is no network, and nothing can
    touch the user's machine. `had_oracle` tells whether output was compared, or it only ran. A raw item
    that works comes with a `standalone` form to store: setup, code and real output, run twice.
    """
    app, who = app_of(ctx), principal()

    # What finds and judges snippets is needed by nobody who does not call this.
    from .request import Item, SnippetsRequest
    from .run import run

    request = SnippetsRequest(
        paths=tuple(paths or ()),
        text=text,
        format=format,
        snippets=tuple(Item(one.id, one.code, one.language) for one in snippets or ()),
        mode=mode,
        packages=tuple(packages or ()),
        env=env or {},
        setup=setup,
        skip=tuple(skip or ()),
        normalise=normalise or {},
        update="patch" if update else "no",
        only_working=only_working,
        timeout_seconds=timeout_seconds,
    )

    async def work(progress: Progress) -> SnippetsReport:
        return await run(
            app, who, request, lambda done, total: progress.report(done, total, "snippets judged")
        )

    return await SNIPPETS.run(ctx, work, wait_seconds)
