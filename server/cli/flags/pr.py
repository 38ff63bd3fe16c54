"""The flags of `proofbox pr`."""

import click

from . import ENV, HTML, JSON, together

pr_flags = together(
    click.argument("target", metavar="OWNER/REPO#N|PATH"),
    click.option("--base", default="", help="With PATH: branch, tag or commit to compare with. Default: what "
                 "its HEAD is."),
    click.option("--head", default="", help="With PATH: branch, tag or commit to check."),
    click.option("--diff", type=click.File("r", encoding="utf-8"), metavar="FILE",
                 help="With PATH: a unified diff on top of --base, instead of --head; `-` is stdin."),
    click.option("--merged", is_flag=True, help="Check it merged into where its base is now."),
    click.option("--all-tests", is_flag=True,
                 help="Run all tests rather than those that the changed files concern."),
    click.option("--only", multiple=True, metavar="PATH",
                 help="A file or folder of tests to run instead; repeatable."),
    click.option("--performance", is_flag=True,
                 help="Measure the project's pytest-benchmark tests, base against head."),
    click.option("--mutation/--no-mutation", default=True, show_default=True,
                 help="Put small faults into changed lines to see which of them tests notice."),
    click.option("--python", "python_versions", multiple=True, metavar="VERSION",
                 help="Like 3.12; repeatable, and everything is told of the first."),
    click.option("-p", "--package", "added", multiple=True,
                 help="A requirement to install; repeatable. Default: what the project says of itself."),
    ENV,
    click.option("-t", "--timeout", "timeout_seconds", default=900.0, show_default=True,
                 help="Seconds for one run of the tests.",
                 type=click.FloatRange(0, 7200, min_open=True)),
    click.option("--comment", is_flag=True,
                 help="Write the review as a comment to the pull request, or over the one written before."),
    click.option("--check", is_flag=True,
                 help="Make a check run of it, with annotations; needs the token of a GitHub App or Action."),
    click.option("--markdown", type=click.Path(dir_okay=False), metavar="FILE",
                 help="Write the review as Markdown."),
    click.option("--sarif", type=click.Path(dir_okay=False), metavar="FILE",
                 help="Write the findings as SARIF 2.1.0."),
    click.option("--on-errored", type=click.Choice(["fail", "pass"]), default="fail",
                 show_default=True,
                 help="What it means if something could not be decided and all that was decided is good."),
    HTML,
    JSON,
)  # fmt: skip
