"""The flags of `proofbox install` and `proofbox uninstall`, apart from what they do, which takes longer to import."""

from collections.abc import Callable
from typing import Any

import click

from .hosts.names import HOST_NAMES

Command = Callable[..., Any]

_HOST = click.argument("host", type=click.Choice(HOST_NAMES))
_COMMON = (
    click.option("--project", is_flag=True,
                 help="The file of the project in the working folder, not the user's own."),
    click.option("-y", "--yes", is_flag=True, help="Write it without asking."),
    click.option("--dry-run", is_flag=True, help="Show the change, and write nothing."),
    click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON."),
)  # fmt: skip
_OWN = (
    click.option("-e", "--env", "names", multiple=True, metavar="NAME",
                 help="A variable that the host is to pass on, as E2B_API_KEY; repeatable."),
    click.option("--remove", is_flag=True, help="Do what uninstall does."),
)  # fmt: skip


def install_flags(command: Command) -> Command:
    """Give a command the flags of `install`."""
    return _with(command, _HOST, *_OWN, *_COMMON)


def uninstall_flags(command: Command) -> Command:
    """Give a command the flags of `uninstall`."""
    return _with(command, _HOST, *_COMMON)


def _with(command: Command, *flags: Callable[[Command], Command]) -> Command:
    for flag in reversed(flags):
        command = flag(command)
    return command
