"""The flags of `proofbox snippets`."""

import click

from . import ENV, HTML, JSON, JUNIT, together

snippets_flags = together(
    click.argument("paths", nargs=-1),
    click.option("--mode", default="auto", show_default=True,
                 type=click.Choice(["auto", "isolated", "page"]),
                 help="What may run before a snippet: what it needs, what its author says, all."),
    click.option("-t", "--timeout", "timeout_seconds", default=30.0, show_default=True,
                 help="Seconds a snippet.", type=click.FloatRange(0, 600, min_open=True)),
    click.option("-p", "--package", "added", multiple=True,
                 help="A requirement to add; repeatable."),
    ENV,
    click.option("--setup", type=click.File("r", encoding="utf-8"),
                 help="File with Python to run before every Python snippet."),
    click.option("--skip", multiple=True, metavar="PATTERN", help="FILES or FILE:LINE; repeatable."),
    click.option("--normalise", multiple=True, nargs=2, metavar="PATTERN TEXT",
                 help="What to replace in shown and real output before they are compared; repeatable."),
    click.option("--diff", "show_diff", is_flag=True,
                 help="Print a patch that writes the real outputs over wrong ones, and nothing else."),
    click.option("--update", is_flag=True, help="Write the real outputs into the files."),
    click.option("--baseline", type=click.Path(dir_okay=False), metavar="FILE",
                 help="Known failures, which do not count. One that fails no longer does."),
    click.option("--write-baseline", is_flag=True, help="Take the failures of this run into --baseline."),
    click.option("--items", type=click.File("rb"), metavar="FILE",
                 help="Raw examples instead of PATHS: JSON lines with id, code and perhaps language."),
    click.option("--only-working", is_flag=True, help="List only what passed."),
    click.option("--on-errored", type=click.Choice(["fail", "pass"]), default="fail",
                 show_default=True, help="What it means if a sandbox fails; it is printed always."),
    JUNIT,
    HTML,
    JSON,
)  # fmt: skip
