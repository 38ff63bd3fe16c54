"""The flags of `proofbox bench`."""

import click

from . import JSON, together

bench_flags = together(
    click.option("--model", "-m", "models", multiple=True, required=True, metavar="PROVIDER:MODEL",
                 help="As anthropic:claude-sonnet-5-5, ollama:llama3, file:answers.jsonl; repeatable."),
    click.option("--tasks", default="builtin", show_default=True, metavar="builtin|PATH",
                 help="HumanEval(+), MBPP(+), MultiPL-E or JSON lines of your own."),
    click.option("--samples", type=click.IntRange(1, 1000), help="Answers to each task; default 1."),
    click.option("--first", type=click.IntRange(1), help="Only the first so many tasks."),
    click.option("--param", "params", multiple=True, metavar="NAME=VALUE",
                 help="Sent with every prompt, as max_tokens=4096; repeatable."),
    click.option("--budget", metavar="USD|TOKENS",
                 help="Never spend more on new answers: 2.50 (USD) or 500000tokens."),
    click.option("--price", "prices", multiple=True, metavar="MODEL=IN/OUT",
                 help="USD for a million tokens, in place of the table's; repeatable."),
    click.option("--batch", is_flag=True, help="Anthropic's batch API: half the price, up to a day."),
    click.option("--fresh", is_flag=True, help="Ask again what was answered before."),
    click.option("--timing-runs", type=click.IntRange(1, 10), default=3, show_default=True,
                 help="Runs of a passing answer, the best of which counts."),
    click.option("--dry-run", is_flag=True, help="Only estimate tokens and cost."),
    click.option("--html", type=click.Path(dir_okay=False), metavar="FILE",
                 help="Write a page with plots."),
    click.option("--out", type=click.Path(dir_okay=False), metavar="FILE",
                 help="Write the full record: answers, code, figures, as JSON lines."),
    JSON,
)  # fmt: skip
