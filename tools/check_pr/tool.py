"""The tool: arguments as a model gives them, and the report as it reads it."""

from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from ...server.jobs import Progress
from ...server.sandbox import ProofboxError
from .._app import App
from .._context import advice, app_of, principal
from .._workflow import WAIT_SECONDS, WaitSeconds, Workflow
from ..run_generated_tests.request import PYTHON
from .review.paging import page
from .review.rendering import render
from .review.report import PrReport

PULL_REQUEST = Workflow("check_pr", PrReport, render=render, page=page)


async def check_pr(
    ctx: Context[App],
    repo: Annotated[
        str,
        Field(
            max_length=1000,
            description="owner/name on GitHub, with pr; or a folder with a git repository that the server may "
            "read, with head, diff or patch.",
        ),
    ],
    pr: Annotated[int | None, Field(ge=1, description="Number of the pull request.")] = None,
    base: Annotated[
        str | None,
        Field(max_length=250, description="Branch, tag or commit. Default: what HEAD is."),
    ] = None,
    head: Annotated[
        str | None, Field(max_length=250, description="Branch, tag or commit to check.")
    ] = None,
    diff: Annotated[
        str | None,
        Field(max_length=4_000_000, description="A unified diff on top of base, in place of head."),
    ] = None,
    patch: Annotated[
        str | None,
        Field(max_length=1000, description="A file with a diff, in place of diff."),
    ] = None,
    merged: Annotated[
        bool,
        Field(description="Check it merged into where base is now, rather than as it is."),
    ] = False,
    all_tests: Annotated[
        bool,
        Field(description="Run all tests rather than those that the changed files concern."),
    ] = False,
    only: Annotated[
        list[Annotated[str, Field(max_length=1000)]] | None,
        Field(max_length=200, description="Files and folders of tests to run instead."),
    ] = None,
    packages: Annotated[
        list[Annotated[str, Field(max_length=200)]] | None,
        Field(
            max_length=50,
            description="Python requirements. Default: what the project says of itself.",
        ),
    ] = None,
    env: Annotated[
        dict[str, str] | None,
        Field(description="Environment variables for the tests. They can read them all."),
    ] = None,
    python_versions: Annotated[
        list[Annotated[str, Field(pattern=rf"^{PYTHON}$")]] | None,
        Field(max_length=8, description="As ['3.12', '3.13']; all is told of the first."),
    ] = None,
    performance: Annotated[
        bool,
        Field(description="Measure the project's pytest-benchmark tests, base against head."),
    ] = False,
    snippets: Annotated[
        dict[str, str] | None,
        Field(
            max_length=20,
            description="Python code to measure as well, by name; what it imports is not measured.",
        ),
    ] = None,
    mutation: Annotated[
        bool,
        Field(description="Put small faults into changed lines to see which of them tests notice."),
    ] = True,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> Annotated[CallToolResult, PULL_REQUEST.answer]:
    """Run a pull request at its base and at its head and learn what changed in behaviour, with the tests that
    show it. Use it before you approve, merge or hand over a change, your own too.

    Base's tests run on base, head's tests on base and on head, in sandboxes without network; what differs is
    run again until it is clear whether it is flaky. verdict `passed` means that tests ran, none that held at
    base broke, and nothing was left undecided; `failed` comes with the regressions; `errored` means that it
    could not be decided; `skipped` that no test ran. Read `needs_review` in any case: tests that were
    deleted, skipped or weakened, changed test configuration, public names that break callers, network or
    files touched that base did not touch. A change that turns tests green by changing them is judged with
    base's. Nothing is written to GitHub.
    """
    app, who = app_of(ctx), principal()

    # What runs a pull request is needed by nobody who does not call this.
    from .request import PrRequest
    from .run import check, run

    request = PrRequest(
        repo=repo,
        pr=pr or 0,
        base=base or "",
        head=head or "",
        diff=diff or "",
        patch=patch or "",
        merged=merged,
        all_tests=all_tests,
        only=tuple(only or ()),
        packages=tuple(packages or ()),
        env=env or {},
        python_versions=tuple(python_versions or ()),
        performance=performance,
        snippets=snippets or {},
        mutation=mutation,
    )

    async def work(progress: Progress) -> PrReport:
        steps = iter(range(1, 1_000_000))

        def tell(said: str) -> None:
            progress.report(next(steps), None, said)

        return await run(app, who, request, tell)

    try:
        check(request)
    except ProofboxError as error:
        raise advice(error) from error
    return await PULL_REQUEST.run(ctx, work, wait_seconds)
