"""The flags of `proofbox tests`."""

import click

from . import ENV, HTML, JSON, JUNIT, together

tests_flags = together(
    click.argument("paths", nargs=-1, required=True),
    click.option("--repeat", default=3, show_default=True, type=click.IntRange(1, 10),
                 help="Runs of all tests, each in another order and a fresh process; 1 says nothing of order and "
                 "chance."),
    click.option("--coverage-target", type=click.FloatRange(0, 100), metavar="PERCENT",
                 help="What the tests must run of the source."),
    click.option("--mutation", default="quick", show_default=True,
                 type=click.Choice(["off", "quick", "thorough"]),
                 help="How many small faults to put into the source."),
    click.option("--mutation-seconds", type=click.FloatRange(0, 3600, min_open=True),
                 help="CPU time for --mutation."),
    click.option("--python", "python_versions", multiple=True, metavar="VERSION",
                 help="Like 3.12; repeatable. Default: the one of proofbox."),
    click.option("-p", "--package", "added", multiple=True,
                 help="A requirement to install; repeatable. Default: what the project's manifest says."),
    ENV,
    click.option("-t", "--timeout", "timeout_seconds", default=30.0, show_default=True,
                 help="Seconds a phase of a test.", type=click.FloatRange(0, 300, min_open=True)),
    click.option("--generate", is_flag=True, help="Have a model write the tests; PATHS are sources."),
    click.option("--model", default="anthropic:claude-sonnet-5-5", show_default=True,
                 help="For --generate: provider:model."),
    click.option("--max-attempts", default=3, show_default=True, type=click.IntRange(1, 5),
                 help="For --generate."),
    click.option("--max-usd", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True),
                 help="For --generate: never spend more."),
    click.option("--write", type=click.Path(dir_okay=False), metavar="FILE",
                 help="For --generate: write the tests to keep to this file, which must not exist."),
    JUNIT,
    HTML,
    JSON,
)  # fmt: skip
