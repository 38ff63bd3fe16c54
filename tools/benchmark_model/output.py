"""What comes of a finished benchmark besides its report: the full record, the page and the picture."""

import json
from collections.abc import Iterator

from ...server.sandbox import ProofboxError
from .._app import App
from . import picture, results, run, webpage
from .report import BenchReport
from .reporting import full_record, report_of
from .results import Result
from .run import Finished
from .summary import Summary

PAGE, RECORD, PICTURE = "benchmark.html", "benchmark.jsonl", "benchmark.png"
# What is longer is for the command line, which writes it to a file.
_RECORD_BYTES = 8 * 1024**2


def record(finished: Finished) -> Iterator[str]:
    """The full record, line by line: every sample with its answer, its code and all figures."""
    for contender in finished.plan.contenders:
        asked = finished.asked[contender.name]
        for key, question in contender.questions.items():
            result = run.result_of(finished.plan, contender, asked, key, question)
            reply = run.reply_of(contender, key, question)
            task = finished.plan.tasks[question.task_id]
            program = results.extraction_of(reply, task).strict if reply else ""
            facts = full_record(result, reply.text if reply else "", program)
            yield json.dumps(facts, ensure_ascii=True) + "\n"


def reported(finished: Finished) -> tuple[BenchReport, Summary]:
    """The report of a run, and the figures behind it."""
    all_results: list[Result] = list(finished.results())
    return report_of(finished, all_results)


async def with_artifacts(
    app: App, who: str, finished: Finished, report: BenchReport, summary: Summary
) -> BenchReport:
    """The report with its page, record and picture kept beside it, in a session of `who` that stays open.

    Where there is no sandbox for that, the report comes as it is.
    """
    try:
        async with app.sessions.lease(who, purpose="benchmark") as lease:
            drawn = await lease.run(
                lambda sandbox: picture.draw(sandbox, summary.models, report.tasks)
            )
            shelf = app.artifacts.shelf(lease.session_id)
            shelf.put(PAGE, "text/html", webpage.page(report).encode())
            kept = [PAGE]
            if drawn and shelf.put(PICTURE, "image/png", drawn):
                kept.append(PICTURE)
            if whole := _bounded(record(finished)):
                shelf.put(RECORD, "application/x-ndjson", whole)
                kept.append(RECORD)
            return report.model_copy(update={"session_id": lease.session_id, "artifacts": kept})
    except ProofboxError:
        return report


def _bounded(lines: Iterator[str]) -> bytes:
    """The lines as bytes; empty where they are too many."""
    parts: list[bytes] = []
    size = 0
    for line in lines:
        parts.append(line.encode())
        size += len(parts[-1])
        if size > _RECORD_BYTES:
            return b""
    return b"".join(parts)
