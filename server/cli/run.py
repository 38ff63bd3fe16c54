"""`proofbox run`: one run of code, shown as an interpreter would show it, or as JSON."""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from ...tools import _text
from ...tools._app import App
from ...tools._progress import Feed
from ...tools._request import CodeRequest
from ...tools._verdict import Verdict
from ...tools.execute_code.report import Report
from ...tools.execute_code.run import run
from ..assembly import open_app
from ..sandbox import InvalidInput, SandboxError, Stream
from ..settings import Settings


async def run_once(
    settings: Settings,
    *,
    code: str,
    language: str,
    timeout_seconds: float,
    packages: tuple[str, ...],
    env: Mapping[str, str],
    save: str | None,
    as_json: bool,
) -> Verdict:
    """Run code in a fresh sandbox and print what came of it; the verdict.

    Raises:
        InvalidInput: it could not be tried.
        SandboxError: there was no sandbox to try it in.
    """
    if save:
        _make(Path(save))
    request = CodeRequest(
        code=code, language=language, packages=packages, env=env, timeout_seconds=timeout_seconds
    )
    feed = Feed(None if as_json else _echo)
    async with open_app(settings, on_progress=_tell, warm=False) as app:
        report = (await run(app, "local", request, feed)).report
        saved = await _save(app, report, Path(save)) if save else ()
    # The sandbox ended with this command, so nobody can go on with the session.
    report = report.model_copy(
        update={"session_id": None, "session": None, "expires_in_seconds": None}
    )
    if as_json:
        facts = report.model_dump(mode="json", exclude_defaults=True)
        click.echo(json.dumps(facts | ({"saved": list(saved)} if saved else {})))
    else:
        _show(report, saved)
    return report.verdict


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _echo(stream: Stream, text: str) -> None:
    click.echo(_text.clean(text), nl=False, err=stream == "stderr")
    (sys.stderr if stream == "stderr" else sys.stdout).flush()


def _show(report: Report, saved: tuple[str, ...]) -> None:
    for text in (*report.displayed, *([report.value] if report.value is not None else [])):
        click.echo(text)
    if report.error:
        click.echo((report.error.traceback or report.error.value).rstrip(), err=True)
    took = f" in {report.duration_seconds:.3g} s" if report.duration_seconds is not None else ""
    reason = f": {report.reason}" if report.reason else ""
    click.echo(f"{report.verdict}{took}{reason}", err=True)
    for path in saved:
        click.echo(f"saved {path}", err=True)
    if report.artifacts and not saved:
        names = ", ".join(artifact.name for artifact in report.artifacts)
        click.echo(f"made {names}; --save FOLDER keeps them", err=True)


def _make(folder: Path) -> None:
    """Before anything runs, whose result would then be lost."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InvalidInput(
            f"--save: nothing can be written to {folder} ({error.strerror}); nothing was run."
        ) from error


async def _save(app: App, report: Report, folder: Path) -> tuple[str, ...]:
    """Copy what the run made into a folder of this machine."""
    from ...tools._reading import read_whole

    saved: list[str] = []
    for artifact in report.artifacts:
        try:
            part = await read_whole(app, "local", report.session_id or "", artifact.name)
        except (InvalidInput, SandboxError) as error:
            click.echo(f"not saved: {error}", err=True)
            continue
        # Code chose the name: it must not choose a place outside the folder.
        words = (word for word in artifact.name.split("/") if word not in {"", ".", ".."})
        target = folder.joinpath(*words)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(part.content)
        except OSError as error:
            click.echo(f"not saved: {artifact.name}: {error.strerror}", err=True)
            continue
        saved.append(str(target))
    return tuple(saved)
