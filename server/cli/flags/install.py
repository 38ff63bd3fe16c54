"""The flags of `proofbox install` and `proofbox uninstall`."""

import click

from ..hosts.names import HOST_NAMES
from . import together

_HOST = click.argument("host", type=click.Choice(HOST_NAMES))
_COMMON = together(
    click.option("--project", is_flag=True,
                 help="The file of the project in the working folder, not the user's own."),
    click.option("-y", "--yes", is_flag=True, help="Write it without asking."),
    click.option("--dry-run", is_flag=True, help="Show the change, and write nothing."),
    click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON."),
)  # fmt: skip
_OWN = together(
    click.option("-e", "--env", "names", multiple=True, metavar="NAME",
                 help="A variable that the host is to pass on, as E2B_API_KEY; repeatable."),
    click.option("--remove", is_flag=True, help="Do what uninstall does."),
)  # fmt: skip

install_flags = together(_HOST, _OWN, _COMMON)
uninstall_flags = together(_HOST, _COMMON)
