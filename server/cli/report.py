"""`proofbox report`: a report as a page in one file."""

import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click

from ..assembly import data_folder
from ..http.settings import read_store
from ..jobs import JobNotFound, Jobs
from ..replicas.joining import looking_on
from ..sandbox import InvalidInput
from ..settings import Settings
from .line import write


@dataclass(frozen=True, slots=True)
class Wanted:
    """The flags. `report` is the id of a job, or a file with JSON."""

    report: str
    html: str | None
    principal: str
    as_json: bool


async def show(settings: Settings, wanted: Wanted) -> None:
    """Write the page, or print it.

    Raises:
        InvalidInput: there is no such report, or the file cannot be written.
        SettingsError: the store of PROOFBOX_STORE cannot be had.
    """
    named = Path(wanted.report)
    if wanted.report == "-":
        facts, kind = _parsed(sys.stdin.read(), "stdin")
    elif named.is_file():
        facts, kind = _parsed(_text_of(named), wanted.report)
    else:
        facts, kind = await _of_job(settings, wanted)
    if wanted.as_json:
        text = json.dumps(facts, indent=2)
    else:
        text = _page(facts, kind)
    if wanted.html is None:
        click.echo(text, nl=wanted.as_json)
    else:
        write(Path(wanted.html), text)


async def _of_job(settings: Settings, wanted: Wanted) -> tuple[dict[str, Any], str]:
    async with _jobs(settings) as (jobs, place):
        try:
            state = await jobs.wait(wanted.principal, wanted.report)
        except JobNotFound as error:
            raise InvalidInput(
                f"{error} It was looked for among the jobs of {wanted.principal!r} (--principal) in {place}."
            ) from error
    if state.report is None:
        why = state.reason or "Its report comes when it has finished."
        raise InvalidInput(f"The job is {state.state} and has no report. {why}")
    return state.report, state.kind


@asynccontextmanager
async def _jobs(settings: Settings) -> AsyncGenerator[tuple[Jobs, str]]:
    """Those of the service that is set up here, and where they are."""
    path, store = data_folder(settings) / "jobs.sqlite3", read_store(os.environ)
    if store is None:
        async with Jobs(path) as jobs:
            yield jobs, f"{path}; what replicas share is read where PROOFBOX_STORE names it"
        return
    async with looking_on(store) as team, Jobs(path, team=team) as jobs:
        yield jobs, f"{store}, which PROOFBOX_STORE names"


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read as text: {error}.") from error


def _parsed(text: str, name: str) -> tuple[dict[str, Any], str]:
    """The report in a text, and the tool that made it if that is said."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name} has no JSON: {error}.") from error
    if isinstance(data, dict):
        facts = cast(dict[str, Any], data)
        inner = facts.get("report")
        # As get_job gives it.
        if isinstance(inner, dict):
            return cast(dict[str, Any], inner), str(facts.get("kind", ""))
        if "verdict" in facts:
            return facts, ""
    raise InvalidInput(
        f"{name} is no report. The --json of a command prints one, and so does the page of a job."
    )


def page_of(file: str | None, facts: dict[str, Any], kind: str) -> None:
    """Write a report that a command has just made, where --html asks for it.

    Raises:
        InvalidInput: the file cannot be written.
    """
    if file is not None:
        write(Path(file), _page(facts, kind))


def _page(facts: dict[str, Any], kind: str) -> str:
    # Every workflow of the command line imports this module, and few of them make a page.
    from ...tools._html import kinds

    return kinds.file_of(facts, kind if kind in kinds.KINDS else "")
