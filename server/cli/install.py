"""`proofbox install HOST` and `proofbox uninstall HOST`: shown before it is written, and taken back to the byte."""

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import click

from .ending import FAILED, PASSED
from .hosts.change import Change, installing, uninstalling
from .hosts.files import ConfigFile, open_file
from .hosts.formats import HIDDEN, is_reference
from .hosts.starting import how_to_start
from .hosts.table import HOSTS, Host, Machine, variable_names

_KEYS = ("E2B_API_KEY", "E2B_KEY")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for. `arguments` are settings that the host gives to proofbox."""

    host: str
    names: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    project: bool = False
    remove: bool = False
    yes: bool = False
    dry_run: bool = False
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it. `backup` is the copy of what was there before, if one is left."""

    host: str
    file: str
    outcome: Literal["nothing to change", "shown", "declined", "written"]
    diff: str
    backup: str | None = None
    remarks: tuple[str, ...] = field(default=())


def install(wanted: Wanted) -> int:
    """Show what changes in a host's configuration, ask, and write it; the status to end with.

    Raises:
        InvalidInput: the file cannot be edited or written, or a variable cannot be passed on.
        click.UsageError: nobody can be asked, or the host has no configuration of projects.
    """
    host = HOSTS[wanted.host]
    machine = Machine(sys.platform, Path.home(), Path.cwd(), os.environ)
    file = open_file(_path(host, machine, project=wanted.project))
    change, remarks = _change(wanted, host, machine, file)
    outcome = _carried_out(wanted, host, change, remarks)
    if wanted.as_json:
        click.echo(json.dumps(asdict(outcome), indent=2))
    return FAILED if outcome.outcome == "declined" else PASSED


def _path(host: Host, machine: Machine, *, project: bool) -> Path:
    if not project:
        return host.of_user(machine)
    if host.of_project is None:
        raise click.UsageError(
            f"{host.title} has no configuration of projects; leave out --project."
        )
    return machine.project / host.of_project


def _change(
    wanted: Wanted, host: Host, machine: Machine, file: ConfigFile
) -> tuple[Change, tuple[str, ...]]:
    if wanted.remove:
        return uninstalling(file, host.format), ()
    names = variable_names(wanted.names)
    command, arguments = how_to_start(machine.environment)
    entry = host.entry(command, (*arguments, *wanted.arguments), names, machine.environment)
    change = installing(file, host.format, entry)
    remarks = _remarks_on_host(wanted, host, machine, file)
    secret = any(not is_reference(value) for value in entry.values.get("env", {}).values())
    if secret and _others_read(file):
        remarks.append(f"Others on this machine may read {file.path}, which has the value then.")
    return change, tuple(remarks)


def _remarks_on_host(wanted: Wanted, host: Host, machine: Machine, file: ConfigFile) -> list[str]:
    remarks: list[str] = []
    if not file.path.parent.exists() and not wanted.project:
        remarks.append(f"{host.title} has not been here yet: there is no {file.path.parent}.")
    if host.format.strict and not _is_plain_json(file):
        remarks.append(
            f"{host.title} may not read this file: JSON has no comments and no last comma."
        )
    if machine.system != "linux" and not {*wanted.names} & {*_KEYS}:
        remarks.append("Here code runs in E2B only, which needs a key: --env E2B_API_KEY.")
    if wanted.project:
        remarks.append("The path of proofbox in it is that of this machine.")
    return remarks


def _others_read(file: ConfigFile) -> bool:
    return file.content is not None and bool(file.path.stat().st_mode & 0o044)


def _is_plain_json(file: ConfigFile) -> bool:
    try:
        return file.content is None or not file.text.strip() or json.loads(file.text) is not None
    except ValueError:
        return False


def _carried_out(wanted: Wanted, host: Host, change: Change, remarks: tuple[str, ...]) -> Outcome:
    place = str(change.file.path)
    if not change.needed:
        _say(wanted, f"Nothing to change in {place}.")
        return Outcome(wanted.host, place, "nothing to change", "")
    _say(wanted, change.diff, err=False)
    if HIDDEN in change.diff:
        _say(wanted, f"{HIDDEN} is a value that is not shown, since it may be a secret.")
    for remark in remarks:
        _say(wanted, remark)
    if wanted.dry_run:
        return Outcome(wanted.host, place, "shown", change.diff, None, remarks)
    if not wanted.yes and not _agreed(wanted, place):
        _say(wanted, f"{place} was left as it is.")
        return Outcome(wanted.host, place, "declined", change.diff, None, remarks)
    backup = change.write(private=not wanted.project)
    kept = "" if backup is None else f" What was there before is in {backup}."
    then = "" if wanted.remove else f" {host.then}"
    _say(wanted, f"{place} is {'gone' if change.after is None else 'written'}.{kept}{then}")
    return Outcome(wanted.host, place, "written", change.diff, backup and str(backup), remarks)


def _agreed(wanted: Wanted, place: str) -> bool:
    if wanted.as_json or not sys.stdin.isatty():
        raise click.UsageError(
            "Nobody can be asked here, so nothing was written: --yes writes it, --dry-run only shows it."
        )
    return click.confirm(f"Change {place}?", err=True)


def _say(wanted: Wanted, line: str, *, err: bool = True) -> None:
    if not wanted.as_json:
        click.echo(line, err=err)
