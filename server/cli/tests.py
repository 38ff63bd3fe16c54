"""`proofbox tests`: run tests and say which to keep, with progress and an exit code for CI."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click

from ...tools._app import App
from ...tools._verdict import Verdict
from ...tools.run_generated_tests.junit import to_junit
from ...tools.run_generated_tests.report import TestsReport, render
from ...tools.run_generated_tests.request import Mutation, TestsRequest
from ...tools.run_generated_tests.run import run
from ..assembly import open_app
from ..settings import Settings
from .line import Line, write
from .report import page_of

_SIGNS = ("pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", "pytest.toml", "tox.ini", ".git")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The flags, as `tests_flags` has them."""

    paths: tuple[str, ...]
    repeat: int
    coverage_target: float | None
    mutation: str
    mutation_seconds: float | None
    python_versions: tuple[str, ...]
    added: tuple[str, ...]
    env: Mapping[str, str]
    timeout_seconds: float
    generate: bool
    model: str
    max_attempts: int
    max_usd: float
    write: str | None
    junit: str | None
    html: str | None
    as_json: bool


async def judge(settings: Settings, wanted: Wanted) -> Verdict:
    """Run, print the report, and give the verdict that the exit code tells.

    Raises:
        UsageError, InvalidInput: it could not be tried.
        SandboxError: there was no sandbox to try it in.
    """
    _check(wanted)
    request, folder = _request(wanted)
    line = Line()
    async with open_app(settings, on_progress=line.say, warm=False, roots=(folder,)) as app:
        report = await _report(app, request, wanted, line.show)
    line.end()
    if wanted.as_json:
        click.echo(report.model_dump_json(exclude_defaults=True, indent=2))
    else:
        click.echo(render(report))
    if wanted.junit is not None:
        write(Path(wanted.junit), to_junit(report))
    page_of(wanted.html, report.model_dump(mode="json"), "run_generated_tests")
    if wanted.write is not None and report.file:
        write(Path(wanted.write), report.file)
        click.echo(f"written: {wanted.write}", err=True)
    return report.verdict


async def _report(
    app: App, request: TestsRequest, wanted: Wanted, tell: Callable[[str], None]
) -> TestsReport:
    if not wanted.generate:
        return await run(app, "local", request, tell)
    from ...tools.benchmark_model.providers.choose import provider_of
    from ...tools.run_generated_tests.generate import generate, terms_for
    from ...tools.run_generated_tests.tool import MAX_TOKENS
    from ..sessions import SystemClock

    parameters = {"max_tokens": MAX_TOKENS}
    provider = provider_of(wanted.model, parameters, os.environ, SystemClock(), ())
    try:
        terms = terms_for(provider, wanted.max_attempts, wanted.max_usd)
        return await generate(app, "local", request, terms, tell)
    finally:
        await provider.close()


def _check(wanted: Wanted) -> None:
    for path in wanted.paths:
        if not os.path.exists(path):
            raise click.UsageError(f"There is no {path}.")
    for flag, name in (
        ("--junit", wanted.junit),
        ("--html", wanted.html),
        ("--write", wanted.write),
    ):
        if name is not None and not Path(name).absolute().parent.is_dir():
            raise click.UsageError(f"{flag}: there is no folder for {name}.")
    if wanted.write is not None:
        if not wanted.generate:
            raise click.UsageError("--write needs --generate.")
        if os.path.exists(wanted.write):
            raise click.UsageError(f"--write: {wanted.write} exists already, and is left as it is.")


def _request(wanted: Wanted) -> tuple[TestsRequest, Path]:
    """The request for these paths, and the project that they lie in."""
    named = [Path(path).resolve() for path in wanted.paths]
    folder = _project(named)
    only = [path.relative_to(folder).as_posix() for path in named]
    request = TestsRequest(
        project=".",
        only=() if "." in only else tuple(only),
        packages=wanted.added,
        coverage_target=wanted.coverage_target,
        python_versions=wanted.python_versions,
        repeat=wanted.repeat,
        mutation=cast(Mutation, wanted.mutation),
        cpu_seconds=wanted.mutation_seconds,
        env=wanted.env,
        timeout_seconds=wanted.timeout_seconds,
    )
    return request, folder


def _project(paths: list[Path]) -> Path:
    """The nearest folder around all of these that looks like a project; else the one that holds them."""
    common = Path(os.path.commonpath(paths))
    common = common if common.is_dir() else common.parent
    for folder in (common, *common.parents):
        if any((folder / sign).exists() for sign in _SIGNS):
            return folder
    return common
