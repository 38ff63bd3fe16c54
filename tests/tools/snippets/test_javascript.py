"""JavaScript blocks, where the sandbox has Node."""

from pathlib import Path

import anyio
import pytest

from proofbox.server.assembly import open_app
from proofbox.server.sandbox import Captured, CellResult, ProgramResult
from proofbox.server.settings import Settings
from proofbox.tools.validate_snippets import javascript
from proofbox.tools.validate_snippets.extract import extract
from proofbox.tools.validate_snippets.oracles import DEFAULT_RULES
from proofbox.tools.validate_snippets.request import Item, SnippetsRequest
from proofbox.tools.validate_snippets.run import run

PAGE = "```js\n{}\n```\n"
TOKEN = "f00d"
THROWN = "/home/user/snippet.cjs:2\ny.nope();\n  ^\n\nTypeError: y.nope is not a function\n    at x"


def ended(stderr: str, exit_code: int = 1, stdout: str = "") -> ProgramResult:
    """How Node ended."""
    cell = CellResult("completed", stdout=Captured(stdout), stderr=Captured(stderr))
    return ProgramResult("p", "raised" if exit_code else "completed", "", (cell,), exit_code)


@pytest.mark.parametrize(
    ("stderr", "kind", "line"),
    [
        (THROWN, "raises", 3),
        ("/home/user/snippet.cjs:1\n^\nSyntaxError: Unexpected token", "syntax", 2),
        ("Error: Cannot find module 'react'\n", "needs_dependency", None),
        ("Error: Cannot find module './local.js'\n", "needs_file", None),
        ("TypeError: fetch failed\n", "needs_network", None),
        ("ReferenceError: document is not defined\n", "needs_dependency", None),
        ("ReferenceError: nothing is not defined\n", "raises", None),
    ],
)
def test_what_node_says_decides_the_kind(stderr: str, kind: str, line: int | None) -> None:
    """And the line of the document where it names one."""
    (snippet,) = extract(PAGE.format("let y = 1;\ny.nope();"), "a.md", "markdown").snippets

    judged = javascript.judge(snippet, ended(stderr), DEFAULT_RULES, TOKEN)

    assert (judged.kind, judged.line) == (kind, line)


@pytest.mark.parametrize(
    ("stderr", "exit_code", "kind"),
    [(THROWN, 1, "expected_error"), ("", 0, "output_mismatch")],
)
def test_a_block_that_should_raise_must(stderr: str, exit_code: int, kind: str) -> None:
    """As its author says."""
    text = "<!-- proofbox: raises=TypeError -->\n" + PAGE.format("y.nope()")
    (snippet,) = extract(text, "a.md", "markdown").snippets

    assert javascript.judge(snippet, ended(stderr, exit_code), DEFAULT_RULES, TOKEN).kind == kind


async def test_blocks_run_or_are_said_not_to(local_cache: Path) -> None:
    """With Node each has a verdict of its own; without, none is taken for checked."""
    shown = PAGE.format("console.log([1, 2].map(x => x * 2));") + "\n```output\n{}\n```\n"
    text = shown.format("[ 2, 4 ]") + shown.format("[ 2, 5 ]")
    text += PAGE.format("import fs from 'node:fs';\nawait 1;\nfs.nope();")
    async with open_app(Settings(backend="local", cache_dir=local_cache), warm=False) as app:
        with anyio.fail_after(60):
            report = await run(app, "local", SnippetsRequest(text=text))
            item = Item("a", "console.log(await 1)", "javascript")
            (stored,) = (
                (await run(app, "local", SnippetsRequest(snippets=(item,)))).files[0].results
            )

    assert stored.standalone is None or stored.standalone.output == "1\n"
    assert (stored.kind, stored.standalone is None) in {("works", False), ("language", True)}
    results = sorted(report.files[0].results, key=lambda result: result.snippet_index)
    kinds = [(result.kind, result.error_line) for result in results]
    ran = [("works", None), ("output_mismatch", 13), ("raises", 18)]
    assert kinds in (ran, [("language", None)] * 3)


ENDS = "console.log(1);\n{}\n"
CASES = [
    ("process.exit(0);\nnope();", "raises"),
    ("process.exit(); nope();", "raises"),
    ("if (true) process.exit(0);\nnope();", "raises"),
    ("function main() { process.exit(0); }\nmain(); nope();", "raises"),
    ("function main() { process.exit(0); }\nmain();\nnope();", "raises"),
    ("import('node:fs');\nprocess.exitCode = 0;\nreturn;\nnope();", "raises"),
    ("import fs from 'node:fs';\nprocess.exit(0);\nfs.nope();", "raises"),
    ("process.reallyExit(0);\nnope();", "raises"),
    ("process.removeAllListeners('exit');\nprocess.exit(0);\nnope();", "raises"),
    ("process.exit(86);", "raises"),
    ("await new Promise(() => {});\nnope();", "raises"),
    ("class E extends Error {}\nthrow new E('so');", "raises"),
    ("process.exit(0);", "works"),
    ("if (true) {\n  process.exit(0); // well\n}\n/* that\nis all */", "works"),
    ("function main() { process.exit(0); }\nmain();", "works"),
    ("setTimeout(() => process.exit(0), 1);\nconsole.log(2);", "works"),
    ("import fs from 'node:fs';\nprocess.exit(0);", "works"),
    ("return;", "works"),
    ("const last = () => 1", "works"),
    ("console.log(await Promise.resolve(1));", "works"),
    ("for await (const x of [1]) { x }", "works"),
    ("const one = 1; export default one", "works"),
]


async def test_a_block_that_ends_itself_works_only_where_nothing_follows(local_cache: Path) -> None:
    """Node ends with success, whatever was not run."""
    text = "".join(PAGE.format(ENDS.format(code)) for code, _ in CASES)
    text += PAGE.format("// nothing") + "<!-- proofbox: exit=3 -->\n" + PAGE.format("1")
    async with open_app(Settings(backend="local", cache_dir=local_cache), warm=False) as app:
        with anyio.fail_after(60):
            report = await run(app, "local", SnippetsRequest(text=text))

    results = sorted(report.files[0].results, key=lambda result: result.snippet_index)
    kinds = [result.kind for result in results]
    assert kinds in (
        [*(kind for _, kind in CASES), "not_code", "output_mismatch"],
        ["language"] * (len(CASES) + 2),
    )
    starts = ("process.", "if", "main", "return", "throw", "await")
    for result in results:
        if result.kind == "raises":
            assert text.split("\n")[(result.error_line or 1) - 1].startswith(starts)
    assert {"E [Error]: so"} >= {result.error for result in results if "new E" in result.snippet}
