"""The context for an answer from documents, in which every example works.

    pip install proofbox
    python rag_filter.py "how do I count words" docs

Retrieval here is counting words in common; put your own in the place of `retrieve`. What counts comes after
it: each code example of the passages is run in isolation, those that work are shown as a form that runs by itself with
its real output, and the others are left out before a model can repeat them.

The exit code is 0 with the context on stdout, and 1 if it has no working example. The command `proofbox`
has to be on PATH.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

MOST = 5
HEADING = re.compile(r"^(?=#{1,6} )", re.MULTILINE)
LEFT_OUT = "(Here was an example that could not be proved to work.)"
EXAMPLE = re.compile(r"^```(python|py|bash|sh)\b[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Undecided(Exception):
    """There is no verdict on the examples: the message says why."""


@dataclass(frozen=True)
class Passage:
    """A part of a document, from one heading to the next."""

    source: str
    text: str

    def examples(self) -> Iterator[dict[str, str]]:
        """Its code examples, as validate_snippets takes them."""
        for match in EXAMPLE.finditer(self.text):
            yield {"id": self.name(match), "language": match[1], "code": match[2]}

    def name(self, example: re.Match[str]) -> str:
        """By which an example is found again."""
        return f"{self.source}:{example.start()}"


def retrieve(question: str, folder: Path) -> list[Passage]:
    """The passages that have most words of the question."""
    wanted = set(re.findall(r"\w+", question.lower()))
    passages = [
        Passage(f"{path.relative_to(folder)}#{number}", text)
        for path in sorted(folder.rglob("*.md"))
        for number, text in enumerate(HEADING.split(path.read_text(encoding="utf-8")))
    ]
    scored = [(len(wanted & set(re.findall(r"\w+", one.text.lower()))), one) for one in passages]
    best = sorted(scored, key=lambda pair: pair[0], reverse=True)[:MOST]
    return [passage for score, passage in best if score]


async def proved(proofbox: Client, passages: list[Passage]) -> dict[str, str]:
    """The examples that work, by id, in a form that runs by itself.

    Raises:
        Undecided: they could not be run.
    """
    snippets = [example for passage in passages for example in passage.examples()]
    if not snippets:
        return {}
    given = {"snippets": snippets, "only_working": True, "wait_seconds": 300}
    page = report_of(await proofbox.call_tool("validate_snippets", given))
    forms = forms_of(page)
    while offset := page.get("rest", {}).get("offset"):
        asked = {"job_id": page["job"]["job_id"], "offset": offset}
        job = await proofbox.call_tool("get_job", asked)
        page = {**report_of(job)["report"], "job": page["job"]}
        forms |= forms_of(page)
    return forms


def report_of(result: CallToolResult) -> dict[str, Any]:
    """What a tool reports, once it has decided. `failed` is a decision: some examples are broken."""
    facts: dict[str, Any] = result.structured_content or {}
    verdict = facts.get("verdict") or facts.get("report", {}).get("verdict")
    if verdict not in {"passed", "failed", "skipped"}:
        said = [block.text for block in result.content if isinstance(block, TextContent)]
        raise Undecided("\n".join(said))
    return facts


def forms_of(report: Mapping[str, Any]) -> dict[str, str]:
    """The examples on a page of the report. None is there that did not pass."""
    results = [one for file in report.get("files", ()) for one in file["results"]]
    return {one["id"]: shown(one["standalone"]) for one in results if "standalone" in one}


def shown(form: Mapping[str, Any]) -> str:
    """An example with what it prints, as Markdown."""
    code = f"```{form['language']}\n{form['code'].rstrip()}\n```"
    output = form.get("output", "").rstrip()
    return f"{code}\n\nprints\n\n```text\n{output}\n```" if output else code


def context(passages: list[Passage], forms: Mapping[str, str]) -> str:
    """The passages as a model may be given them."""
    return "\n\n".join(
        f"<!-- {one.source} -->\n"
        + EXAMPLE.sub(lambda match, one=one: forms.get(one.name(match), LEFT_OUT), one.text).strip()
        for one in passages
    )


async def main(question: str, folder: Path) -> int:
    """Print the context; the exit code."""
    passages = retrieve(question, folder)
    server = StdioServerParameters(command="proofbox", env=dict(os.environ))
    async with Client(server) as proofbox:
        try:
            forms = await proved(proofbox, passages)
        except Undecided as error:
            print(f"Nothing is known of the examples: {error}", file=sys.stderr)
            return 1
    print(context(passages, forms))
    found = sum(len(list(passage.examples())) for passage in passages)
    print(f"{len(forms)} of {found} examples work.", file=sys.stderr)
    return 0 if forms else 1


if __name__ == "__main__":
    if len(sys.argv) != 3 or not shutil.which("proofbox"):
        sys.exit(__doc__)
    sys.exit(anyio.run(main, sys.argv[1], Path(sys.argv[2])))
