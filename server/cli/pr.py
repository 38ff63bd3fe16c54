"""`proofbox pr`: check a pull request, and where it is asked for write to GitHub what came out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from ...tools._verdict import Verdict
from ...tools.check_pr.acting.publish import Ways, publish
from ...tools.check_pr.request import PrRequest
from ...tools.check_pr.review.plain import one_line
from ...tools.check_pr.review.rendering import render
from ...tools.check_pr.review.report import PrReport
from ...tools.check_pr.review.sarif import to_sarif
from ...tools.check_pr.run import run
from ..assembly import open_app
from ..settings import Settings
from .line import Line, write
from .report import page_of

_ON_GITHUB = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+)#([1-9][0-9]{0,9})")
_GOOD = ("pass_to_pass", "fail_to_pass_strong", "fail_to_pass_weak")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The flags, as `pr_flags` has them. `diff` is the text, None where there was none."""

    target: str
    base: str
    head: str
    diff: str | None
    merged: bool
    all_tests: bool
    only: tuple[str, ...]
    performance: bool
    mutation: bool
    python_versions: tuple[str, ...]
    added: tuple[str, ...]
    env: Mapping[str, str]
    timeout_seconds: float
    comment: bool
    check: bool
    markdown: str | None
    sarif: str | None
    html: str | None
    on_errored: str
    as_json: bool


async def check(settings: Settings, wanted: Wanted) -> Verdict:
    """Check, print the report, act on it, and give the verdict that the exit code tells.

    Raises:
        UsageError, InvalidInput: it could not be tried.
        ProofboxError: the pull request could not be had, or what was asked for not be written.
    """
    request, roots = _request(wanted)
    ways = Ways(comment=wanted.comment, check=wanted.check)
    line = Line()
    # A pull request has environments of its own.
    async with open_app(settings, on_progress=line.say, roots=roots, warm=False) as app:
        report = await run(app, "local", request, lambda said: line.show(one_line(said)))
        line.end()
        _print(report, wanted)
        if ways.any:
            for place in await publish(app.github, request.repo, request.pr, report, ways):
                line.say(f"told: {place}")
    verdict = told(report, on_errored=wanted.on_errored)
    if verdict != report.verdict:
        click.echo(f"what counts: {verdict}", err=wanted.as_json)
    return verdict


def told(report: PrReport, *, on_errored: str) -> Verdict:
    """The verdict that counts: what could not be decided is let pass only where that is asked for and tests
    ran and passed all the same.
    """
    if report.verdict != "errored" or on_errored != "pass":
        return report.verdict
    ran = sum(one.counts.get(kind, 0) for one in report.projects for kind in _GOOD)
    return "passed" if ran else report.verdict


def _request(wanted: Wanted) -> tuple[PrRequest, tuple[Path, ...]]:
    """What is to be checked, and the folders that may be read for it."""
    on_github = _ON_GITHUB.fullmatch(wanted.target)
    local = [name for name in ("base", "head", "diff") if getattr(wanted, name) not in ("", None)]
    if on_github is not None and local:
        raise click.UsageError(f"--{local[0]} goes with PATH; GitHub knows it of {wanted.target}.")
    if on_github is None:
        _check_local(wanted)
    for flag, name in (
        ("--markdown", wanted.markdown),
        ("--sarif", wanted.sarif),
        ("--html", wanted.html),
    ):
        if name is not None and not Path(name).absolute().parent.is_dir():
            raise click.UsageError(f"{flag}: there is no folder for {name}.")
    folder = Path(wanted.target).absolute()
    request = PrRequest(
        repo=on_github[1] if on_github else str(folder),
        pr=int(on_github[2]) if on_github else 0,
        base=wanted.base,
        head=wanted.head,
        # No change at all is one, too: there is then nothing to judge.
        diff="" if wanted.diff is None else wanted.diff or "\n",
        merged=wanted.merged,
        all_tests=wanted.all_tests,
        only=wanted.only,
        packages=wanted.added,
        env=wanted.env,
        python_versions=wanted.python_versions,
        performance=wanted.performance,
        mutation=wanted.mutation,
        seconds=wanted.timeout_seconds,
    )
    return request, () if on_github else (_work_tree(folder),)


def _work_tree(folder: Path) -> Path:
    """The folder, or the one above that has the repository which it is in."""
    above = (place for place in (folder, *folder.parents) if (place / ".git").exists())
    return next(above, folder)


def _check_local(wanted: Wanted) -> None:
    if not Path(wanted.target).is_dir():
        raise click.UsageError(
            f"{wanted.target} is neither a folder nor a pull request like octo/app#12."
        )
    if bool(wanted.head) == (wanted.diff is not None):
        raise click.UsageError("With PATH, give either --head or --diff.")
    if wanted.comment or wanted.check:
        raise click.UsageError("--comment and --check need a pull request on GitHub.")


def _print(report: PrReport, wanted: Wanted) -> None:
    if wanted.as_json:
        click.echo(report.model_dump_json(exclude_defaults=True, indent=2))
    else:
        click.echo(render(report, review=False))
    if wanted.markdown is not None:
        write(Path(wanted.markdown), report.review)
    if wanted.sarif is not None:
        write(Path(wanted.sarif), to_sarif(report))
    page_of(wanted.html, report.model_dump(mode="json"), "check_pr")
