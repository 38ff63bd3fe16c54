"""The tool: arguments as a model gives them, the client's own model asked in both eras, the report."""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ImageContent, InputRequiredResult
from pydantic import BaseModel, Field

from ...server.jobs import Progress
from ...server.sandbox import ProofboxError
from .._app import App
from .._client_model import check_offered, during_call, is_modern
from .._context import advice, app_of, principal
from .._progress import Feed, reporting
from .._workflow import WAIT_SECONDS, WaitSeconds, Workflow
from .rendering import render
from .report import BenchReport, page

if TYPE_CHECKING:
    from .plan import BenchRequest
    from .providers.sampling import Sampling

BENCHMARK = Workflow("benchmark_model", BenchReport, render=render, page=page)


class TokenPrice(BaseModel):
    """USD for a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


async def benchmark_model(
    ctx: Context[App],
    models: Annotated[
        list[Annotated[str, Field(max_length=1000)]],
        Field(
            min_length=1,
            max_length=20,
            description="provider:model each: anthropic:claude-sonnet-5-5, openai:..., groq:..., "
            "openrouter:..., ollama:..., vllm:..., llamacpp:...; file:answers.jsonl for recorded answers; "
            "sampling:default for the model of this client.",
        ),
    ],
    tasks: Annotated[
        str,
        Field(
            max_length=1000,
            description="builtin, or a file: HumanEval(+), MBPP(+), MultiPL-E or JSON lines of your own.",
        ),
    ] = "builtin",
    samples: Annotated[
        int | None,
        Field(ge=1, le=1000, description="Answers to each task; more give pass@k. Default: 1."),
    ] = None,
    first: Annotated[int | None, Field(ge=1, description="Only the first so many tasks.")] = None,
    parameters: Annotated[
        dict[str, Any] | None,
        Field(
            description="Sent with every prompt, as {'max_tokens': 4096}; what else there is depends on "
            "the provider, which refuses what it does not know before anything is asked."
        ),
    ] = None,
    budget_usd: Annotated[
        float | None,
        Field(
            gt=0,
            description="Never spend more on new answers. Where no budget is given: 5, and a million "
            "tokens if a price is unknown.",
        ),
    ] = None,
    budget_tokens: Annotated[int | None, Field(gt=0, description="The same in tokens.")] = None,
    prices: Annotated[
        dict[str, TokenPrice] | None,
        Field(description="By model, USD for a million tokens, in place of the price table's."),
    ] = None,
    batch: Annotated[
        bool, Field(description="Anthropic's batch API: half the price, up to a day.")
    ] = False,
    fresh: Annotated[bool, Field(description="Ask again what was answered before.")] = False,
    dry_run: Annotated[
        bool, Field(description="Only estimate tokens and cost; nothing is asked.")
    ] = False,
    timing_runs: Annotated[
        int, Field(ge=1, le=10, description="Runs of a passing answer, the best of which counts.")
    ] = 3,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> Annotated[CallToolResult, BENCHMARK.answer] | InputRequiredResult:
    """Measure which model writes code that works: ask models for code, run every answer in isolation, and
    report the share that passes with its 95 % interval, whether the data separate the models, and what failed.

    Use it instead of a model's reputation. dry_run estimates the cost first; asking costs money where the
    provider charges. What was answered is kept, so a run that stopped goes on from there when called again, and
    the same call later asks nothing twice. Intervals are over tasks: few tasks give wide ones, and models
    whose difference is not separated may rank either way. An answer without a verdict counts for nobody.
    The session that comes back holds a page with plots and the full record, for read_artifact. verdict
    `passed` means only that all answers were judged; read `models` for how they did.
    """
    from .plan import BenchRequest
    from .providers.prices import parsed

    given = {name: price.model_dump() for name, price in (prices or {}).items()}
    try:
        request = BenchRequest(
            models=tuple(models),
            tasks=tasks,
            samples=samples,
            first=first,
            parameters=parameters or {},
            budget_usd=budget_usd,
            budget_tokens=budget_tokens,
            prices=parsed(given),
            timing_runs=timing_runs,
            batch=batch,
            fresh=fresh,
            has_limit=True,
        )
        own = _own_models(ctx, request)
        if own and not dry_run and (more := await _ask_client(ctx, request, own)) is not None:
            return more
    except ProofboxError as error:
        raise advice(error) from error
    app, who = app_of(ctx), principal()

    async def work(progress: Progress) -> BenchReport:
        return await _work(app, who, request, own, progress, dry_run=dry_run)

    return _with_picture(app, await BENCHMARK.run(ctx, work, wait_seconds))


async def _work(
    app: App,
    who: str,
    request: "BenchRequest",
    own: Sequence["Sampling"],
    progress: Progress,
    *,
    dry_run: bool,
) -> BenchReport:
    from . import output
    from .plan import estimates
    from .reporting import dry_report
    from .run import planned, run

    async with planned(app, who, request, sampling={one.name: one for one in own}) as plan:
        if dry_run:
            return dry_report(estimates(plan), len(plan.tasks), f"{request.tasks} ({plan.dataset})")
        finished = await run(app, who, plan, progress.report)
        report, summary = output.reported(finished)
        return await output.with_artifacts(app, who, finished, report, summary)


def _own_models(ctx: Context[App], request: "BenchRequest") -> list["Sampling"]:
    """The models of the client that are named.

    Raises:
        InvalidInput: it lets nobody use its model.
    """
    from ...server.sessions import SystemClock
    from .providers.choose import SAMPLING, split, with_defaults
    from .providers.sampling import Sampling

    names = [name for name in request.models if split(name)[0] == SAMPLING]
    if not names:
        return []
    check_offered(ctx, names[0])
    send = None if is_modern(ctx) else during_call(ctx)
    clock = SystemClock()
    parameters = with_defaults(request.parameters)
    return [Sampling(split(name)[1], parameters, clock, send) for name in names]


async def _ask_client(
    ctx: Context[App], request: "BenchRequest", own: Sequence["Sampling"]
) -> InputRequiredResult | None:
    """Ask the client's own model what it has not answered yet, and write its answers down. A result is the
    next round of questions, for a client that takes them so; None: there is nothing left to ask.
    """
    from dataclasses import replace

    from .providers import sampling
    from .replies import to_record
    from .run import ask_only, planned

    models = {one.name: one for one in own}
    # A round must not forget what the one before brought.
    first_round = ctx.request_state is None
    asked = replace(request, models=tuple(models), fresh=request.fresh and first_round, batch=False)
    app, feed = app_of(ctx), Feed()

    async def tell(elapsed: float, line: str) -> None:
        await ctx.report_progress(round(elapsed, 3), message=line)

    def count(done: int, total: int, what: str) -> None:
        feed.started = True
        feed.on_output("stdout", f"{done} of {total} {what}\n")

    async with planned(app, principal(), asked, sampling=models) as plan:
        if not is_modern(ctx):
            async with reporting(feed, tell, lambda: app.news.line):
                await ask_only(plan, count)
            return None
        missing: dict[str, Any] = {}
        came = sampling.answers(ctx.input_responses)
        for contender in plan.contenders:
            for key in contender.missing():
                if key in came:
                    await contender.journal.add("reply", key, to_record(came[key]))
            model = models[contender.name]
            missing |= {key: model.request(one) for key, one in contender.missing().items()}
        return sampling.next_round(missing, ctx.request_state)


def _with_picture(app: App, result: CallToolResult) -> CallToolResult:
    """The result with the main plot beside it, for hosts that show pictures."""
    from .output import PICTURE

    facts: dict[str, Any] = result.structured_content or {}
    session_id = facts.get("session_id")
    if not session_id or PICTURE not in facts.get("artifacts", ()):
        return result
    picture = app.artifacts.shelf(session_id).artifacts.get(PICTURE)
    if picture is None:
        return result
    encoded = base64.b64encode(picture.content).decode("ascii")
    image = ImageContent(data=encoded, mime_type=picture.mime_type)
    return result.model_copy(update={"content": [*result.content, image]})
