"""Raw items for a store: what is said of each, and forms that run by themselves."""

import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from proofbox.server.assembly import open_app
from proofbox.server.sandbox import Captured, CellResult, CodeError, CommandResult
from proofbox.server.settings import Settings
from proofbox.tools._app import App
from proofbox.tools.validate_snippets import forms, paging
from proofbox.tools.validate_snippets.report import (
    SnippetReport,
    StandaloneReport,
    file_report,
    render,
    run_report,
)
from proofbox.tools.validate_snippets.request import Item, SnippetsRequest
from proofbox.tools.validate_snippets.run import run
from proofbox.tools.validate_snippets.snippet import Example

EXAMPLES = """\
>>> x = [1,
...      2]
>>> for i in x:
...     print(i)
...
1
2
>>> {}['k']
Traceback (most recent call last):
  ...
KeyError: 'k'
>>> print()
<BLANKLINE>
>>> 'not shown'
>>> np.int64(1) + 1 == 2
np.True_
"""
# Whether there is a form, and what its output is.
ITEMS = {
    "prints": ("print(6 * 7)\n", "python", "42\n"),
    "says nothing": ("x = 1", "python", ""),
    "needs an import": ("print(np.arange(3).sum())\n#> 3\n", "python", "3\n"),
    "comes from the future": (
        "from __future__ import annotations\n\ndef f(x: Nope): return x\n\nprint(f(math.pi > 3))",
        "python",
        "True\n",
    ),
    "awaits": ("import asyncio\nawait asyncio.sleep(0)\nprint('done')", "python", "done\n"),
    "is a main": ("if __name__ == '__main__':\n    print('main')", "python", "main\n"),
    "reads itself": (
        "import inspect\ndef f(): pass\nprint(inspect.getsource(f), end='')",
        "python",
        "def f(): pass\n",
    ),
    "pickles": (
        "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))).__name__)",
        "python",
        "A\n",
    ),
    "has examples": (EXAMPLES, "pycon", "1\n2\n\n'not shown'\nnp.True_\n"),
    "is a script": ("echo a; echo b >&2\nls\n", "bash", "a\n"),
    "is a console": ("$ echo hi\nhi\n", "console", "hi\n"),
    "is data": ('{"a": 1}', "json", ""),
    "tells the time": ("import time\nprint(time.perf_counter_ns())", "python", None),
    "has no order": ("print({str(n) for n in range(50)})", "python", None),
    "tells an address": ("print(object())", "python", None),
    "is colourful": ("print('\\x1b[1mx\\x1b[0m')", "python", None),
    "prints too much": ("print('x' * 30_000)", "python", None),
    "looks around": ("import os\nprint(os.listdir())", "python", None),
}
BAD = {
    "is broken": ("1 / 0", "python", "raises"),
    "is empty": ("", "python", "not_code"),
    "is something else": ("x", "c sharp!", "language"),
    "is output": ("x", "output", "language"),
    "needs a file": ("open('data.csv')", "python", "needs_file"),
}


@pytest.fixture
async def app(local_cache: Path) -> AsyncGenerator[App]:
    """An App over the local backend."""
    async with open_app(Settings(backend="local", cache_dir=local_cache), warm=False) as app:
        yield app


async def rerun(app: App, form: StandaloneReport, env: dict[str, str]) -> CommandResult:
    """Run a form in a sandbox of its own, as its reader would."""
    async with app.sessions.lease("reader") as lease:
        files = forms.files(form.code, form.language)
        await lease.run(lambda sandbox: sandbox.write_files(files))
        command = forms.command(form.code, form.language)
        return await lease.run(lambda sandbox: sandbox.run_command(command, env=env))


@pytest.mark.slow
async def test_every_form_runs_to_its_output_in_a_fresh_sandbox(
    app: App, local_cache: Path
) -> None:
    """Those that would not have no form, with the reason; and every item is reported by its id."""
    items = [Item(name, *rest[:2]) for name, rest in (ITEMS | BAD).items()]
    items.append(Item("needs a variable", "import os\nprint(os.environ['COLOUR'] + planet)"))
    request = SnippetsRequest(
        snippets=tuple(items), env={"COLOUR": "red"}, setup="planet = 'mars'\n"
    )
    with anyio.fail_after(180):
        report = await run(app, "local", request)
    (file,) = report.files
    found = {str(result.id): result for result in file.results}

    assert set(found) == {item.id for item in items}
    for item in items:
        assert found[item.id].content_hash == hashlib.sha256(item.code.encode()).hexdigest()
    assert {name: found[name].kind for name in BAD} == {n: kind for n, (_, _, kind) in BAD.items()}
    outputs = {name: form.output if (form := found[name].standalone) else None for name in ITEMS}
    assert outputs == {name: output for name, (_, _, output) in ITEMS.items()}
    assert found["needs an import"].packages.keys() == {"numpy"}
    assert found["needs a variable"].standalone == StandaloneReport(
        code="planet = 'mars'\n\nimport os\nprint(os.environ['COLOUR'] + planet)\n",
        language="python",
        output="redmars\n",
        env=["COLOUR"],
    )
    assert all(found[n].no_standalone for n, (_, _, output) in ITEMS.items() if output is None)
    settings = Settings(backend="local", cache_dir=local_cache)
    async with open_app(settings, warm=False) as fresh:
        for result in file.results:
            form = result.standalone
            if form is None or form.language not in forms.RUNNABLE:
                continue
            ended = await rerun(fresh, form, {"COLOUR": "red"})
            assert (result.id, ended.exit_code) == (result.id, 0)
            if form.language != "pycon":
                assert (result.id, ended.stdout.text) == (result.id, form.output)


@pytest.mark.slow
async def test_only_what_works_is_listed_and_the_rest_is_counted(app: App) -> None:
    """The verdict is still that of all."""
    items = (Item("good", "print(1)"), Item("bad", "1 / 0"), Item("empty", ""))

    report = await run(app, "local", SnippetsRequest(snippets=items, only_working=True))

    (file,) = report.files
    assert [result.id for result in file.results] == ["good"]
    assert (report.verdict, report.total_snippets, report.not_listed) == ("failed", 3, 2)
    assert (file.total_snippets, file.valid_snippets) == (3, 1)
    assert "2 that did not pass are not listed" in render(paging.page(report))


def test_a_form_is_shown_whole_or_not_at_all() -> None:
    """Half an example is none; full shows it."""
    results = [
        SnippetReport(
            snippet_index=n,
            id=str(n),
            line=1,
            verdict="passed",
            kind="works",
            valid=True,
            error=None,
            standalone=StandaloneReport(code="x" * size, language="python"),
        )
        for n, size in enumerate((10, 30_000))
    ]
    report = run_report([file_report("<snippets>", results, [])])

    page = paging.page(report)
    whole = paging.page(report, 0, True)

    shown = {result.id: result.standalone is not None for result in page.files[0].results}
    assert shown == {"0": True, "1": False}
    assert page.rest is not None
    assert page.rest.characters == 30_000
    assert "30,000 characters, which did not fit" in render(page)
    assert all(result.standalone for result in whole.files[0].results)


def test_examples_are_written_as_doctest_reads_them() -> None:
    """Prompts, continuation lines, blank lines and exceptions."""
    raised = CodeError("KeyError", "'k'", 1, "")
    examples = [Example("for i in x:\n    print(i)\n", 1), Example("f()\n", 2), Example("g()\n", 3)]
    cells = [
        CellResult("completed", stdout=Captured("1\n\n2\n")),
        CellResult("raised", error=raised, stdout=Captured("")),
        CellResult("completed"),
    ]

    assert forms.shown(examples, cells) == (
        ">>> for i in x:\n...     print(i)\n...\n1\n<BLANKLINE>\n2\n"
        ">>> f()\nTraceback (most recent call last):\n  ...\nKeyError: 'k'\n>>> g()\n"
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import a\nimport b\n", ">>> import a\n>>> import b\n"),
        ("@d\ndef f():\n    pass\n", ">>> @d\n... def f():\n...     pass\n...\n"),
        ("x = (1,\n  2)\n", ">>> x = (1,\n...   2)\n"),
        ("no python", ""),
    ],
)
def test_setup_becomes_examples_that_print_nothing(source: str, text: str) -> None:
    """One for each statement."""
    assert forms.prompted(source) == text


def test_the_future_comes_first() -> None:
    """However many parts want it."""
    one = "from __future__ import annotations\nimport a\n"
    two = "import b\nfrom c import d\n"

    assert forms.joined([two, one, one]) == (
        "from __future__ import annotations\n\nimport b\nfrom c import d\n\nimport a\n\nimport a\n"
    )
