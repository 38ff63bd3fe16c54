"""The flags of `proofbox run`."""

import click

from . import ENV, together

run_flags = together(
    click.argument("file", required=False, type=click.File("r", encoding="utf-8-sig")),
    click.option("-c", "--code", help="Code to run instead of a file."),
    click.option("-l", "--language", help="Default: by the name of the file, else python."),
    click.option("-t", "--timeout", "timeout", default=30.0, show_default=True, help="Seconds.",
                 type=click.FloatRange(0, 600, min_open=True)),
    click.option("-p", "--package", "added", multiple=True, help="A requirement to add; repeatable."),
    ENV,
    click.option("--save", type=click.Path(file_okay=False), help="Folder for the plots that it made."),
    click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
)  # fmt: skip
