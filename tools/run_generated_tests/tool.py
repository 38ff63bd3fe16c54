"""The tool: arguments as a model gives them, and the report as it reads it."""

import os
from typing import TYPE_CHECKING, Annotated

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import Field

from ...server.jobs import Progress, Questions
from ...server.sandbox import InvalidInput, ProofboxError
from ...server.sessions import SystemClock
from .._app import App
from .._client_model import by_job, check_offered, is_offered
from .._context import advice, app_of, principal
from .._workflow import WAIT_SECONDS, WaitSeconds, Workflow
from .report import TestsReport, page, render
from .request import PYTHON, Mutation

if TYPE_CHECKING:
    from ..benchmark_model.providers.base import Provider

TESTS = Workflow("run_generated_tests", TestsReport, render=render, page=page)

MODEL = "anthropic:claude-sonnet-5-5"
SAMPLING = "sampling:"
MAX_TOKENS = 8192


async def run_generated_tests(
    ctx: Context[App],
    source: Annotated[
        dict[str, str] | None,
        Field(description="The code under test: path to text, as {'pkg/mod.py': '...'}."),
    ] = None,
    tests: Annotated[
        dict[str, str] | None,
        Field(
            description="The tests: path to text, as {'tests/test_mod.py': '...'}; conftest files too. With "
            "project they come on top of it, and only they run."
        ),
    ] = None,
    project: Annotated[
        str | None,
        Field(
            max_length=1000,
            description="A folder that the server may read, instead of source. Files that git ignores, "
            "secrets and large files stay home; the report names them.",
        ),
    ] = None,
    only: Annotated[
        list[Annotated[str, Field(max_length=1000)]] | None,
        Field(
            max_length=200,
            description="Files and folders of the project that are meant, of sources and of tests.",
        ),
    ] = None,
    packages: Annotated[
        list[Annotated[str, Field(max_length=200)]] | None,
        Field(
            max_length=50,
            description="Python requirements to install. With project, default: those of its manifest.",
        ),
    ] = None,
    coverage_target: Annotated[
        float | None,
        Field(ge=0, le=100, description="Per cent of lines and branches that the tests must run."),
    ] = None,
    python_versions: Annotated[
        list[Annotated[str, Field(pattern=rf"^{PYTHON}$")]] | None,
        Field(max_length=8, description="As ['3.10', '3.13']; one that is missing is named."),
    ] = None,
    repeat: Annotated[
        int,
        Field(
            ge=1,
            le=10,
            description="Runs of all tests, each in a fresh process, in another order, with another hash "
            "seed and time zone. 1 is quick, and finds nothing that depends on order or chance.",
        ),
    ] = 3,
    mutation: Annotated[
        Mutation,
        Field(description="How many small faults to put into the code to see which tests notice."),
    ] = "quick",
    cpu_seconds: Annotated[
        float | None,
        Field(
            gt=0,
            le=3600,
            description="CPU time for mutation; default: 20 quick, 240 thorough. Above 120, also for breaking "
            "functions.",
        ),
    ] = None,
    env: Annotated[
        dict[str, str] | None,
        Field(description="Environment variables for the tests. They can read them all."),
    ] = None,
    timeout_seconds: Annotated[
        float,
        Field(gt=0, le=300, description="For each phase of a test; then it counts as hanging."),
    ] = 30.0,
    generate: Annotated[
        bool,
        Field(
            description="Have a model write the tests: it is asked, its tests are run, and it is told what "
            "to mend. The answer's `file` has the tests to keep. Costs money where the provider charges."
        ),
    ] = False,
    model: Annotated[
        str | None,
        Field(
            max_length=200,
            description="For generate: provider:model, or sampling:default for the model of this client. "
            "Default: this client's where it offers it, else anthropic:claude-sonnet-5-5.",
        ),
    ] = None,
    max_attempts: Annotated[int, Field(ge=1, le=5, description="For generate.")] = 3,
    budget_usd: Annotated[float, Field(gt=0, description="For generate: never spend more.")] = 1.0,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> Annotated[CallToolResult, TESTS.answer] | InputRequiredResult:
    """Run tests that a model wrote and learn which are worth keeping: each gets keep, mend or drop with
    its reason and line, from what happened and not from what was printed.

    Use it before you hand over tests, your own too. Give source and tests, or project. The tests run several
    times in fresh processes: flaky ones, and pairs that depend on their order, are named. Then the code
    under test is broken on purpose: a test that still passes proves nothing and is to be dropped.
    verdict `passed` means that something was collected, everything passed in every run, no test is
    vacuous, and the coverage target is met; `failed` that tests are to be mended or dropped; `skipped`
    that nothing was collected. `feedback` has one line a cause, for whoever writes the tests again.
    There is no network, and nothing can touch the user's machine.
    """
    app, who = app_of(ctx), principal()

    # What runs and weighs tests is needed by nobody who does not call this.
    from .request import TestsRequest
    from .run import run

    request = TestsRequest(
        source=source or {},
        tests=tests or {},
        project=project,
        only=tuple(only or ()),
        packages=tuple(packages or ()),
        coverage_target=coverage_target,
        python_versions=tuple(python_versions or ()),
        repeat=repeat,
        mutation=mutation,
        cpu_seconds=cpu_seconds,
        env=env or {},
        timeout_seconds=timeout_seconds,
    )

    async def work(progress: Progress) -> TestsReport:
        steps = iter(range(1, 1_000_000))

        def tell(said: str) -> None:
            progress.report(next(steps), None, said)

        if not generate:
            return await run(app, who, request, tell)
        from .generate import generate as write
        from .generate import terms_for

        assert provider is not None
        try:
            terms = terms_for(provider, max_attempts, budget_usd)
            return await write(app, who, request, terms, tell)
        finally:
            await provider.close()

    questions = Questions(SystemClock())
    try:
        if generate and tests:
            raise InvalidInput("Give tests or generate, not both.")
        provider = _asked(ctx, model, questions) if generate else None
    except ProofboxError as error:
        raise advice(error) from error
    if provider is not None and provider.name.startswith(SAMPLING):
        return await TESTS.converse(ctx, work, questions, wait_seconds)
    return await TESTS.run(ctx, work, wait_seconds)


def _asked(ctx: Context[App], model: str | None, questions: Questions) -> "Provider":
    """The model that writes. The client's own gets what is asked of it by `questions`.

    Raises:
        InvalidInput: it cannot be asked.
    """
    from ..benchmark_model.providers.choose import provider_of
    from ..benchmark_model.providers.sampling import Sampling

    name = model or (f"{SAMPLING}default" if is_offered(ctx) else MODEL)
    clock, parameters = SystemClock(), {"max_tokens": MAX_TOKENS}
    if not name.startswith(SAMPLING):
        return provider_of(name, parameters, os.environ, clock, ())
    check_offered(ctx, name)
    return Sampling(name.removeprefix(SAMPLING), parameters, clock, by_job(questions))
