"""The flags of `proofbox token`."""

from pathlib import Path

import click

from . import together

token_flags = together(
    click.argument("name"),
    click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="First day without it."),
    click.option("--metrics", is_flag=True, help="It reads /metrics, and nothing else."),
    click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                 envvar="PROOFBOX_TOKEN_FILE", help="Add its hash to this file, made if need be."),
    click.option("--json", "as_json", is_flag=True, help="Print token and line as JSON."),
)  # fmt: skip
