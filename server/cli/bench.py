"""`proofbox bench`: benchmark models, with a line of progress, and files with the page and the record."""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ...tools._verdict import Verdict
from ...tools.benchmark_model import output, webpage
from ...tools.benchmark_model.plan import BenchRequest, estimates
from ...tools.benchmark_model.providers.prices import parsed
from ...tools.benchmark_model.rendering import render
from ...tools.benchmark_model.report import BenchReport, page
from ...tools.benchmark_model.reporting import dry_report
from ...tools.benchmark_model.run import Finished, planned, run
from ..assembly import open_app
from ..sandbox import InvalidInput
from ..settings import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """The flags as they were given."""

    models: tuple[str, ...]
    tasks: str
    samples: int | None
    first: int | None
    params: tuple[str, ...]
    budget: str | None
    prices: tuple[str, ...]
    batch: bool
    fresh: bool
    timing_runs: int
    dry_run: bool
    html: str | None
    out: str | None
    as_json: bool

    def request(self) -> BenchRequest:
        """The request that they come to.

        Raises:
            InvalidInput, UsageError: one of them is not as it should be.
        """
        usd, tokens = _budget(self.budget)
        return BenchRequest(
            models=self.models,
            tasks=self.tasks,
            samples=self.samples,
            first=self.first,
            parameters=dict(_parameter(item) for item in self.params),
            budget_usd=usd,
            budget_tokens=tokens,
            prices=parsed(dict(_price(item) for item in self.prices)),
            timing_runs=self.timing_runs,
            batch=self.batch,
            fresh=self.fresh,
        )


async def benchmark(settings: Settings, wanted: Wanted) -> Verdict:
    """Run the benchmark and print its report; the verdict that the exit code tells.

    Raises:
        InvalidInput: it could not be tried, or a file cannot be written.
        SandboxError: there was no sandbox to judge anything in.
    """
    request, line = wanted.request(), _Line()
    async with (
        open_app(settings, on_progress=line.say, warm=False, roots=_roots(request)) as app,
        planned(app, "local", request) as plan,
    ):
        if wanted.dry_run:
            dataset = f"{request.tasks} ({plan.dataset})"
            report = dry_report(estimates(plan), len(plan.tasks), dataset)
        else:
            finished = await run(app, "local", plan, line.count)
            line.end()
            _tell_cost(finished)
            report, _ = output.reported(finished)
            if wanted.html:
                _write(wanted.html, [webpage.page(report)])
            if wanted.out:
                _write(wanted.out, output.record(finished))
    _print(report, as_json=wanted.as_json)
    return report.verdict


def _budget(text: str | None) -> tuple[float | None, int | None]:
    if text is None:
        return None, None
    number, tokens, _ = text.replace(",", "").lstrip("$").partition("tokens")
    try:
        amount = float(number)
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise click.UsageError(f"--budget takes USD as 2.50, or 500000tokens, not {text!r}.")
    return (None, int(amount)) if tokens else (amount, None)


def _parameter(item: str) -> tuple[str, Any]:
    """A parameter; what is no JSON is text."""
    name, equals, text = item.partition("=")
    if not equals:
        raise click.UsageError(f"--param takes NAME=VALUE, not {item!r}.")
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text


def _price(item: str) -> tuple[str, dict[str, float]]:
    model, _, text = item.rpartition("=")
    try:
        asked, answered = (float(number) for number in text.split("/"))
    except ValueError as error:
        raise click.UsageError(f"--price takes MODEL=IN/OUT, not {item!r}.") from error
    return model, {"input": asked, "output": answered}


def _print(report: BenchReport, *, as_json: bool) -> None:
    if as_json:
        click.echo(report.model_dump_json(exclude_defaults=True, indent=2))
        return
    short = page(report)
    click.echo(render(short))
    if short.rest:
        click.echo(f"{short.rest.results:,} more answers; --out FILE has all of them, --json too")


def _tell_cost(finished: Finished) -> None:
    """What this run took, which is not of the report: the same answers give the same report."""
    spent = finished.budget.spent
    if finished.new_answers:
        click.echo(
            f"{finished.new_answers:,} new answers: ${spent.usd:,.4f}, {spent.tokens:,} tokens",
            err=True,
        )


def _write(path: str, parts: Iterable[str]) -> None:
    try:
        with Path(path).open("w", encoding="utf-8") as file:
            file.writelines(parts)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.") from error


def _roots(request: BenchRequest) -> tuple[Path, ...]:
    """Whoever names a file on the command line allows it."""
    named = [model.removeprefix("file:") for model in request.models if model.startswith("file:")]
    folders = [Path(os.path.abspath(path)).parent for path in (*named, request.tasks)]
    return tuple(dict.fromkeys([Path.cwd(), *(path for path in folders if path.is_dir())]))


class _Line:
    """A bar on stderr that is rewritten; nothing where nobody looks."""

    def __init__(self) -> None:
        self._shown = False

    def say(self, line: str) -> None:
        """A line of its own."""
        self.end()
        click.echo(line, err=True)

    def count(self, done: int, total: int, what: str) -> None:
        """How far it is."""
        if sys.stderr.isatty() and total:
            self._shown = True
            full = 30 * done // total
            bar = "#" * full + "." * (30 - full)
            click.echo(f"\r[{bar}] {done:,} of {total:,} {what}  ", nl=False, err=True)

    def end(self) -> None:
        """Leave what follows a line of its own."""
        if self._shown:
            click.echo(err=True)
        self._shown = False
