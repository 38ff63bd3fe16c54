"""The flags of the commands, apart from what those do, which takes long to import."""

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]
Flag = Callable[[Command], Command]


def together(*flags: Flag) -> Flag:
    """All of these as one decorator, in this order in the help."""

    def give(command: Command) -> Command:
        for flag in reversed(flags):
            command = flag(command)
        return command

    return give


# Those that are the same for several commands.
ENV = click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="Repeatable.")
JUNIT = click.option(
    "--junit",
    type=click.Path(dir_okay=False, writable=True),
    metavar="FILE",
    help="Write the report as JUnit XML too.",
)
HTML = click.option(
    "--html",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write the report as a page too.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
