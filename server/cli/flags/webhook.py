"""The flags of `proofbox webhook`."""

import click

from . import together

webhook_flags = together(
    click.option("--repo", "repositories", multiple=True, metavar="OWNER/REPO",
                 help="A repository whose pull requests are checked; repeatable. No other is."),
    click.option("--secret-file", type=click.Path(dir_okay=False, exists=True), metavar="FILE",
                 help="File with the webhook's secret. Default: what GITHUB_WEBHOOK_SECRET holds."),
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option("--port", default=8100, show_default=True, type=click.IntRange(0, 65535),
                 help="0: any."),
    click.option("--at-once", default=2, show_default=True, type=click.IntRange(1, 16),
                 help="Pull requests that are checked at one time; others wait."),
    click.option("--comment", is_flag=True, help="Write each review as a comment."),
    click.option("--check", is_flag=True, help="Make a check run of each, with annotations."),
    click.option("--reports", type=click.Path(file_okay=False), metavar="FOLDER",
                 help="Write each report into this folder, as JSON and as Markdown."),
    click.option("--merged", is_flag=True, help="Check each merged into where its base is now."),
    click.option("--all-tests", is_flag=True,
                 help="Run all tests rather than those that the changed files concern."),
    click.option("--performance", is_flag=True, help="Measure benchmarks, base against head."),
    click.option("--mutation/--no-mutation", default=True, show_default=True,
                 help="Put small faults into changed lines."),
    click.option("--python", "python_versions", multiple=True, metavar="VERSION",
                 help="Like 3.12; repeatable."),
    click.option("--json", "as_json", is_flag=True, help="Announce the address as JSON."),
)  # fmt: skip
