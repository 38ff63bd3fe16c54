"""`proofbox snippets`: validate documentation, with a line of progress and an exit code for CI."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import click

from ...tools._verdict import Verdict
from ...tools.validate_snippets.choices import Mode
from ...tools.validate_snippets.report import SnippetsReport, render
from ...tools.validate_snippets.request import SnippetsRequest
from ...tools.validate_snippets.run import run
from ..app import open_app
from ..settings import Settings


async def validate(
    settings: Settings,
    *,
    paths: tuple[str, ...],
    mode: str,
    packages: tuple[str, ...],
    env: Mapping[str, str],
    setup: str,
    skip: tuple[str, ...],
    timeout_seconds: float,
    as_json: bool,
    ignore_errored: bool,
) -> Verdict:
    """Validate and print the report; the verdict that the exit code tells.

    With `ignore_errored`, what errored does not count, but something must still have passed.

    Raises:
        InvalidInput: it could not be tried.
        SandboxError: there was no sandbox to try it in.
    """
    request = SnippetsRequest(
        paths=paths,
        mode=cast(Mode, mode),
        packages=packages,
        env=env,
        setup=setup,
        skip=skip,
        timeout_seconds=timeout_seconds,
    )
    line = _Line()
    async with open_app(settings, on_progress=line.say, roots=_roots(paths)) as app:
        report = await run(app, "local", request, line.count)
    line.end()
    if as_json:
        click.echo(report.model_dump_json(exclude_defaults=True, indent=2))
    else:
        click.echo(render(report))
    return _told(report) if ignore_errored else report.verdict


def _told(report: SnippetsReport) -> Verdict:
    if report.verdict == "errored" and report.valid_snippets:
        return "passed"
    return report.verdict


def _roots(paths: tuple[str, ...]) -> tuple[Path, ...]:
    """Whoever names a path on the command line allows it."""
    named = [Path(os.path.abspath(path)) for path in paths]
    folders = [path if path.is_dir() else path.parent for path in named]
    return tuple(dict.fromkeys([Path.cwd(), *(path for path in folders if path.is_dir())]))


class _Line:
    """One line on stderr that is rewritten; nothing where nobody looks."""

    def __init__(self) -> None:
        self._shown = False

    def say(self, line: str) -> None:
        """A line of its own."""
        self.end()
        click.echo(line, err=True)

    def count(self, done: int, total: int) -> None:
        """How far it is."""
        if sys.stderr.isatty():
            self._shown = True
            click.echo(f"\r{done} of {total} snippets", nl=False, err=True)

    def end(self) -> None:
        """Leave what follows a line of its own."""
        if self._shown:
            click.echo(err=True)
        self._shown = False
