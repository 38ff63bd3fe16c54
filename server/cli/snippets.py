"""`proofbox snippets`: validate documentation, with a progress bar and an exit code for CI."""

import functools
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import click
from pydantic import BaseModel, ValidationError

from ...tools._verdict import Verdict
from ...tools.validate_snippets import baseline
from ...tools.validate_snippets.choices import Mode, Updating
from ...tools.validate_snippets.junit import to_junit
from ...tools.validate_snippets.report import SnippetsReport, render, verdict_of
from ...tools.validate_snippets.reporting import only_passed
from ...tools.validate_snippets.request import Item, SnippetsRequest
from ...tools.validate_snippets.run import run
from ..assembly import open_app
from ..sandbox import InvalidInput
from ..settings import Settings
from .line import write
from .report import page_of

# They are judged without a sandbox, so one that passes says nothing of the sandboxes.
_ONLY_READ = frozenset({"json", "toml"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """The flags, as `snippets_flags` has them. `setup` is the code, `items` are what the file holds."""

    paths: tuple[str, ...]
    mode: str
    timeout_seconds: float
    added: tuple[str, ...]
    env: Mapping[str, str]
    setup: str
    items: tuple[Item, ...]
    skip: tuple[str, ...]
    normalise: tuple[tuple[str, str], ...]
    show_diff: bool
    update: bool
    baseline: str | None
    write_baseline: bool
    only_working: bool
    on_errored: str
    junit: str | None
    html: str | None
    as_json: bool

    @property
    def request(self) -> SnippetsRequest:
        """What is to be validated."""
        updating: Updating = "write" if self.update else "patch" if self.show_diff else "no"
        return SnippetsRequest(
            paths=self.paths,
            snippets=self.items,
            mode=cast(Mode, self.mode),
            packages=self.added,
            env=self.env,
            setup=self.setup,
            skip=self.skip,
            normalise=dict(self.normalise),
            update=updating,
            timeout_seconds=self.timeout_seconds,
        )


async def validate(settings: Settings, wanted: Wanted) -> Verdict:
    """Validate and print the report; the verdict that the exit code tells.

    Raises:
        UsageError, InvalidInput: it could not be tried.
        SandboxError: there was no sandbox to try it in.
    """
    _check(wanted)
    known = _known(wanted)
    bar = _Bar()
    async with open_app(
        settings, on_progress=bar.say, warm=False, roots=_roots(wanted.paths)
    ) as app:
        report = await run(app, "local", wanted.request, bar.count)
    bar.end()
    compared = baseline.Compared()
    is_gone = functools.partial(_is_gone, wanted.paths)
    if wanted.baseline is not None:
        if wanted.write_baseline:
            known = baseline.of(report, known, is_gone)
            baseline.write(Path(wanted.baseline), known)
        compared = baseline.compare(known, report, is_gone)
    _print(only_passed(report) if wanted.only_working else report, wanted, compared)
    # What is not listed counts all the same.
    for line in _remarks(report, wanted, compared):
        click.echo(line, err=wanted.as_json or wanted.show_diff)
    verdict = told(report, compared, on_errored=wanted.on_errored)
    if verdict != report.verdict:
        click.echo(f"what counts: {verdict}", err=wanted.as_json or wanted.show_diff)
    if wanted.junit is not None:
        write(Path(wanted.junit), to_junit(report, compared.known, compared.stale))
    page_of(wanted.html, report.model_dump(mode="json"), "validate_snippets")
    return verdict


def told(report: SnippetsReport, compared: baseline.Compared, *, on_errored: str) -> Verdict:
    """The verdict on what counts: not known failures, and errors of sandboxes only if they are to. A page that
    could not be read is none of these.
    """
    counting: list[Verdict] = []
    has_run = False
    for file in report.files:
        if not file.results:
            counting.append(file.verdict)
        for result in file.results:
            if (file.file, result.snippet_index) not in compared.known:
                counting.append(result.verdict)
                has_run |= result.verdict == "passed" and result.language not in _ONLY_READ
    verdict = verdict_of(counting)
    unread = any(file.verdict == "errored" and not file.results for file in report.files)
    if verdict == "errored" and on_errored == "pass" and has_run and not unread:
        verdict = "passed"
    return "failed" if compared.stale and verdict in {"passed", "skipped"} else verdict


def items(file: BinaryIO) -> tuple[Item, ...]:
    """The raw examples of a file of JSON lines.

    Raises:
        InvalidInput: a line is none.
    """
    found: list[Item] = []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = _Row.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise InvalidInput(
                f"Line {number} of {file.name} is no example: {where}: {first['msg'].lower()}."
            ) from error
        found.append(Item(row.id, row.code, row.language))
    if not found:
        raise InvalidInput(f"{file.name} has no examples.")
    return tuple(found)


class _Row(BaseModel):
    id: str
    code: str
    language: str = "python"


def _check(wanted: Wanted) -> None:
    if bool(wanted.paths) == bool(wanted.items):
        raise click.UsageError("Give either PATHS or --items.")
    if wanted.items and wanted.update:
        raise click.UsageError("--update writes into documents; for --items there is --diff.")
    if wanted.write_baseline and wanted.baseline is None:
        raise click.UsageError("--write-baseline needs --baseline, the file to write.")
    if wanted.show_diff and wanted.as_json:
        raise click.UsageError("Give --diff or --json; the JSON of --update has the patches.")
    for flag, name in (("--junit", wanted.junit), ("--html", wanted.html)):
        if name is not None and not Path(name).absolute().parent.is_dir():
            raise click.UsageError(f"{flag}: there is no folder for {name}.")


def _known(wanted: Wanted) -> baseline.Baseline:
    if wanted.baseline is None:
        return baseline.Baseline()
    file = Path(wanted.baseline)
    if wanted.write_baseline and not file.exists():
        return baseline.Baseline()
    return baseline.read(file)


def _is_gone(paths: Sequence[str], file: str) -> bool:
    """Whether a file would have been found in the folders that were named, if it was there."""
    place = Path.cwd() / file
    folders = [Path(os.path.abspath(path)) for path in paths if os.path.isdir(path)]
    return not place.exists() and any(place.is_relative_to(folder) for folder in folders)


def _print(report: SnippetsReport, wanted: Wanted, compared: baseline.Compared) -> None:
    if wanted.as_json:
        facts: dict[str, Any] = report.model_dump(mode="json", exclude_defaults=True)
        if wanted.baseline is not None:
            known = [{"file": file, "snippet_index": n} for file, n in sorted(compared.known)]
            facts["baseline"] = {"known": known, "stale": list(compared.stale)}
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    elif wanted.show_diff:
        patches = [file.patch + "".join(one.patch for one in file.results) for file in report.files]
        click.echo("".join(patches), nl=False)
        click.echo(render(_without_patches(report), passed=False), err=True)
    else:
        # Of raw items, what passed is what is wanted.
        click.echo(render(report, passed=bool(wanted.items)))


def _remarks(report: SnippetsReport, wanted: Wanted, compared: baseline.Compared) -> list[str]:
    lines = list(compared.stale)
    if compared.known:
        count = len(compared.known)
        lines.append(
            f"{count} of the failures {'are' if count > 1 else 'is'} known by the baseline"
        )
    if wanted.write_baseline:
        lines.append(f"the failures of this run are in {wanted.baseline} now")
    verdicts = [result.verdict for file in report.files for result in file.results]
    verdicts += [file.verdict for file in report.files if not file.results]
    if errored := verdicts.count("errored"):
        counts = "do not count" if wanted.on_errored == "pass" else "count as failures"
        lines.append(f"{errored} errored: they {counts} (--on-errored={wanted.on_errored})")
    if wanted.update and (written := sum(file.written for file in report.files)):
        files = "1 file" if written == 1 else f"{written} files"
        lines.append(f"outputs were updated in {files}; run again to check them")
    return lines


def _without_patches(report: SnippetsReport) -> SnippetsReport:
    files = [
        file.model_copy(
            update={
                "patch": "",
                "results": [one.model_copy(update={"patch": ""}) for one in file.results],
            }
        )
        for file in report.files
    ]
    return report.model_copy(update={"files": files})


def _roots(paths: tuple[str, ...]) -> tuple[Path, ...]:
    """Whoever names a path on the command line allows it, and the project that it lies in."""
    named = [Path(os.path.abspath(path)) for path in paths]
    folders = [path if os.path.isdir(path) else path.parent for path in named]
    folders = [Path.cwd(), *(path for path in folders if os.path.isdir(path))]
    return tuple(dict.fromkeys([*folders, *filter(None, map(_project, folders))]))


def _project(folder: Path) -> Path | None:
    """The folder of the nearest pyproject.toml, within the repository; whoever keeps one at home means no project."""
    for place in (folder, *folder.parents):
        if place in {Path.home(), Path(place.anchor)}:
            return None
        if os.path.isfile(place / "pyproject.toml"):
            return place
        if os.path.exists(place / ".git"):
            return None
    return None


class _Bar:
    """A progress bar on stderr; nothing where nobody looks."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._done = 0

    def say(self, line: str) -> None:
        """A line of its own."""
        self.end()
        click.echo(line, err=True)

    def count(self, done: int, total: int) -> None:
        """How far it is."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = click.progressbar(length=total, label="snippets", file=sys.stderr)
            self._bar.__enter__()
            self._bar.update(self._done)
        self._bar.update(done - self._done)
        self._done = done

    def end(self) -> None:
        """Leave what follows a line of its own."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
        self._bar = None
