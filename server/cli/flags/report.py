"""The flags of `proofbox report`."""

import click

from . import together

report_flags = together(
    click.argument("report", metavar="JOB_ID|FILE"),
    click.option(
        "-o",
        "--html",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="Write it there instead of to stdout.",
    ),
    click.option(
        "--principal",
        default="local",
        show_default=True,
        help="Whose job it is, as the audit log of the HTTP service names them.",
    ),
    click.option("--json", "as_json", is_flag=True, help="The report as JSON, and no page."),
)
