"""Every kind of snippet over the real local backend, with its verdict and its line."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from proofbox.server.assembly import open_app
from proofbox.server.sandbox import InvalidInput
from proofbox.server.settings import Settings
from proofbox.tools._app import App
from proofbox.tools.validate_snippets import filters, paging
from proofbox.tools.validate_snippets.report import SnippetReport, SnippetsReport, render
from proofbox.tools.validate_snippets.request import Item, SnippetsRequest
from proofbox.tools.validate_snippets.run import run

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for all, so that they share a jail."""
    return "asyncio"


@pytest.fixture(scope="module")
async def jailed(local_cache: Path) -> AsyncGenerator[App]:
    """An App over the local backend."""
    settings = Settings(backend="local", cache_dir=local_cache)
    async with open_app(settings, warm=False) as app:
        yield app


@pytest.fixture
def app(jailed: App, tmp_path: Path) -> App:
    """The same; paths may name the temporary folder."""
    return replace(jailed, roots=(tmp_path,))


def python(code: str, before: str = "") -> str:
    """A Python block."""
    return f"{before}\n```python\n{code}\n```\n"


CASES = {
    "prints what is shown": ("works", python("print(1 + 1)\n#> 2"), 0),
    "prints something else": ("output_mismatch", python("x = 1\nprint(x)\n#> 2"), 3),
    "prints something else in another way": (
        "output_mismatch",
        python("import sys\nx = sys.stdout.write('1\\n')\n#> 2"),
        3,
    ),
    "shows it without a blank": ("output_mismatch", python("print(1)\n#>2"), 2),
    "shows what goes to standard error too": (
        "works",
        python("import warnings, sys\nprint(1)\nprint(2, file=sys.stderr)")
        + "\n```output\n1\n2\n```\n",
        0,
    ),
    "asserts what is wrong": ("raises", python("x = 1\n\nassert False"), 3),
    "leaves by os._exit": ("raises", python("import os\nos._exit(0)"), 0),
    "leaves by sys.exit": ("raises", python("import sys\nsys.exit(0)\nassert False"), 2),
    "closes all descriptors": ("raises", python("import os\nos.closerange(0, 99)\nassert 0"), 0),
    "is no Python": ("syntax", python("x = 1\ndef f(:\n    pass"), 2),
    "returns outside a function": ("syntax", python("x = 1\nreturn x"), 2),
    "holds a byte that is not UTF-8": ("syntax", python("x = 1\n# caf\udce9"), 2),
    "holds a NUL": ("syntax", "```bash\necho a\necho \0\n```\n", 2),
    "runs what is no Python": ("raises", python("x = 1\nexec('def f(:')"), 2),
    "misses a name": ("raises", python("y = 1\nprint(nobody_defines_this)"), 2),
    "defines for the next": ("works", python("zebra = 41"), 0),
    "needs the one before": ("works_with_setup", python("print(zebra + 1)\n#> 42"), 0),
    "uses a conventional name": ("works_with_setup", python("math.sqrt(4)"), 0),
    "shows examples": ("works", "```pycon\n>>> 1 + 1\n2\n```\n", 0),
    "shows a wrong example": ("output_mismatch", "```pycon\n>>> 1 + 1\n2\n>>> 2 + 2\n5\n```\n", 3),
    "shows an exception": (
        "expected_error",
        "```pycon\n>>> {}['x']\nTraceback (most recent call last):\n  ...\nKeyError: 'x'\n>>> 2\n2\n```\n",
        0,
    ),
    "shows an exception that is not": (
        "output_mismatch",
        "```pycon\n>>> int('1')\nTraceback (most recent call last):\n  ...\nValueError: no\n```\n",
        1,
    ),
    "raises in an example": ("raises", "```pycon\n>>> x = 1\n>>> x.nope\n1\n```\n", 2),
    "raises as it should": (
        "expected_error",
        python("int('x')", "<!-- proofbox: raises=ValueError -->"),
        0,
    ),
    "does not raise as it should": (
        "output_mismatch",
        python("int('1')", "<!-- proofbox: raises=ValueError -->"),
        0,
    ),
    "raises as it should, behind a wrong output": (
        "output_mismatch",
        python("print(1)\n#> 2\nint('x')", "<!-- proofbox: raises=ValueError -->"),
        2,
    ),
    "raises as it should, behind a wrong example": (
        "output_mismatch",
        python(">>> 1\n2\n>>> int('x')", "<!-- proofbox: raises=ValueError -->"),
        1,
    ),
    "exits as it should": (
        "expected_error",
        python("import sys\nsys.exit(3)", "<!-- proofbox: exit=3 -->"),
        0,
    ),
    "does not exit as it should": (
        "output_mismatch",
        python("x = 1", "<!-- proofbox: exit=3 -->"),
        0,
    ),
    "leaves where it should raise": (
        "raises",
        python("import os\nos._exit(0)", "<!-- proofbox: raises=* -->"),
        0,
    ),
    "does not end": ("timeout", python("while True:\n    pass", "<!-- proofbox: timeout=1 -->"), 0),
    "is killed": ("unsafe", python("import os\nos.kill(os.getpid(), 9)"), 0),
    "awaits a task that it made above": (
        "works",
        python(
            "import asyncio\nt = asyncio.create_task(asyncio.sleep(0, 5))\nprint(await t)\n#> 5"
        ),
        0,
    ),
    "forgets to await": ("raises", python("async def f():\n    1 / 0\n\nf()"), 4),
    "awaits nothing, and shows so": (
        "works",
        "```pycon\n>>> async def g(): pass\n>>> g()\n<coroutine object g at 0x7f>\n>>> 1\n1\n```\n",
        0,
    ),
    "fails in a thread": (
        "raises",
        python("import threading\ndef f():\n    1 / 0\nthreading.Timer(0.05, f).start()"),
        3,
    ),
    "defines what fails": ("works", python("def breaks():\n    1 / 0"), 0),
    "fails in a thread with what another defines": (
        "raises",
        python("from threading import Thread\nThread(target=breaks).start()"),
        2,
    ),
    "prints in a thread that outlives it": (
        "works",
        python("import threading\nthreading.Timer(0.05, print, 'x').start()")
        + "\n```output\nx\n```\n",
        0,
    ),
    "leaves at its end, as a script does": (
        "works",
        python(
            "import sys\ndef main():\n    return 0\nif __name__ == '__main__':\n    sys.exit(main())"
        ),
        0,
    ),
    "leaves at its end, and what is shown is wrong": (
        "output_mismatch",
        python("import sys\nif __name__ == '__main__':\n    print(1)\n    #> 2\n    sys.exit()"),
        4,
    ),
    "leaves at its end with another code": (
        "raises",
        python("import sys\nif __name__ == '__main__':\n    sys.exit(2)"),
        3,
    ),
    "leaves before its end": (
        "raises",
        python("import sys\nif __name__ == '__main__':\n    sys.exit(0)\n    assert False"),
        3,
    ),
    "shows the traceback behind it": (
        "expected_error",
        python("1 / 0")
        + "```\nTraceback (most recent call last):\n  ...\nZeroDivisionError: division by zero\n```\n",
        0,
    ),
    "shows another traceback behind it": (
        "raises",
        python("1 / 0") + "```pytb\nTraceback (most recent call last):\n  ...\nKeyError: 1\n```\n",
        1,
    ),
    "imports from its package": ("needs_file", python("from .models import User"), 1),
    "opens a window": ("interactive", python("raise OSError('Cannot open display :0')"), 1),
    "wants the network": (
        "needs_network",
        python("import urllib.request\nurllib.request.urlopen('https://example.com')"),
        2,
    ),
    "speaks of a token": (
        "raises",
        python("url = 'https://x.org'\nraise ValueError('bad token at 3')"),
        2,
    ),
    "wants a key": ("needs_credentials", python("import os\nos.environ['MY_API_KEY']"), 2),
    "wants a file": ("needs_file", python("open('data.csv').read()"), 1),
    "wants a module": ("needs_dependency", python("import no_such_module_here"), 1),
    "has a wrong submodule": ("raises", python("import json.nope"), 1),
    "asks somebody": ("interactive", python("name = input('? ')"), 1),
    "is left out by its author": (
        "skipped_by_author",
        python("1 / 0", '<!-- proofbox: skip reason="later" -->'),
        0,
    ),
    "is no code": ("not_code", python("..."), 0),
    "is of another language": ("language", "```rust\nfn main() {}\n```\n", 0),
    "is only magics": ("language", python("%timeit 1 / 0\n# and\nfiles = !ls"), 0),
    "is a cell of another language": ("language", python("%%bash\nexit 3"), 0),
    "has a magic": ("works", python("%matplotlib inline\nx = 1"), 0),
    "is timed": ("raises", python("%%time\n1 / 0"), 2),
    "is valid JSON": ("works", '```json\n{"a": 1}\n```\n', 0),
    "is JSON with comments": ("language", '```json\n{"a": "//", // it\n "b": 1}\n```\n', 0),
    "is broken JSON with a link": ("syntax", '```json\n{"a": "https://x.org"\n "b": 1}\n```\n', 2),
    "is empty JSON": ("not_code", "```json\n\n```\n", 0),
    "is only comments in YAML": ("not_code", "```yaml\n# a: 1\n```\n", 0),
    "is broken JSON": ("syntax", '```json\n{"a": 1,\n "b": }\n```\n', 2),
    "runs in a shell": ("works", "```bash\nfor i in 1 2; do\n  echo $i\ndone\n```\n", 0),
    "shows a session": ("works", "```console\n$ echo hello\nhello\n```\n", 0),
    "shows a wrong session": ("output_mismatch", "```console\n$ echo a\nb\n```\n", 2),
    "shows a session's errors": ("works", "```console\n$ echo a; echo b >&2\na\nb\n```\n", 0),
    "should fail in a shell": (
        "output_mismatch",
        "<!-- proofbox: exit=3 -->\n```bash\ntrue\n```\n",
        1,
    ),
    "fails in a shell as it should, too early": (
        "raises",
        "<!-- proofbox: exit=1 -->\n```bash\nfalse\necho a\n```\n",
        1,
    ),
    "fails in a shell as it should": (
        "expected_error",
        "<!-- proofbox: raises=* -->\n```bash\necho a\nfalse\n```\n",
        0,
    ),
    "fails in a shell unseen": ("raises", "```bash\nfalse && true\necho done\n```\n", 1),
    "fails in a pipe": ("raises", "```bash\nfalse | cat\necho done\n```\n", 1),
    "fails before it would install": ("raises", "```bash\nfalse\npip install x\n```\n", 1),
    "would install in lines": ("needs_network", "```bash\npip install \\\n  x\nfalse\n```\n", 1),
    "has a function where the shell has a command": (
        "raises",
        "```bash\nexit() { :; }; eval() { :; }; printf() { :; }\nfalse\necho a\n```\n",
        2,
    ),
    "leaves a shell early": ("raises", "```bash\necho a\nexit 0\nfalse\n```\n", 2),
    "leaves a shell at its end": ("works", "```bash\necho a\nexit 0  # done\n\n```\n", 0),
    "wants a repository": ("needs_file", "```bash\ngit add .\n```\n", 1),
    "wants a Makefile": ("needs_file", "```bash\nmake docs\n```\n", 1),
    "reads an answer": ("interactive", "```bash\necho '?'\nread -r answer\n```\n", 2),
    "wants a terminal": ("interactive", "```bash\necho 'input is not a TTY' >&2; false\n```\n", 1),
    "starts an interpreter": ("interactive", "```console\n$ cat\n>>> 1 + 1\n2\n```\n", 1),
    "starts an interpreter after a wrong line": (
        "output_mismatch",
        "```console\n$ cat\n>>> 1 + 1\n$ echo a\nb\n```\n",
        4,
    ),
    "calls what is not there": (
        "needs_dependency",
        '```bash\necho a\neval "$(no-such-command)"\n```\n',
        2,
    ),
    "is no shell": ("syntax", "```bash\necho a\nif true; then\n```\n", 2),
}


def page() -> tuple[str, dict[str, int]]:
    """All cases on one page, and the line before each one's code."""
    text = ""
    lines: dict[str, int] = {}
    for name, (_, block, _) in CASES.items():
        text += f"\n## It {name}\n\n"
        lines[name] = text.count("\n") + block[: block.index("```")].count("\n") + 1
        text += block
    return text, lines


async def check(app: App, request: SnippetsRequest) -> tuple[SnippetsReport, list[SnippetReport]]:
    """Validate; the report, and the results of its only file in the order of the page."""
    with anyio.fail_after(120):
        report = await run(app, "local", request)
    (file,) = report.files
    return report, sorted(file.results, key=lambda result: result.snippet_index)


@pytest.mark.slow
async def test_every_kind_is_told_from_the_others(app: App) -> None:
    """Each with its verdict, and where something failed, the line of the document that did."""
    text, lines = page()

    report, results = await check(app, SnippetsRequest(text=text, timeout_seconds=20))

    kinds = {name: result.kind for name, result in zip(CASES, results, strict=True)}
    assert kinds == {name: kind for name, (kind, _, _) in CASES.items()}
    for (name, (_, _, line)), result in zip(CASES.items(), results, strict=True):
        if line:
            assert (name, result.error_line) == (name, lines[name] + line)
        assert result.line == lines[name] + 1
        assert result.valid == (result.verdict == "passed")
    assert report.verdict == "failed"
    assert report.total_snippets == len(CASES)
    assert report.valid_snippets == sum(result.valid for result in results)
    ranks = [result.verdict for result in report.files[0].results]
    assert ranks == sorted(ranks, key=["failed", "errored", "skipped", "passed"].index)
    assert "<text>" in render(paging.page(report))


async def test_setup_is_named_and_an_oracle_too(app: App) -> None:
    """Who reads a pass can see how much it says."""
    text = python("zebra = 1") + python("other = 2") + python("print(zebra)\n#> 1")

    report, results = await check(app, SnippetsRequest(text=text))

    assert report.verdict == "passed"
    assert [result.had_oracle for result in results] == [False, False, True]
    assert results[2].setup == ["snippet 0 (lines 3-3)"]
    assert report.without_oracle == 2


async def test_a_shown_output_that_nothing_printed_is_told(app: App) -> None:
    """It could be anything, so the pass does not speak for it; whoever reads the text sees that, too."""
    code = "import os\n\nprint(1)\n#> 1\nos.write(1, b'x')\n#> 3"

    report, (result,) = await check(app, SnippetsRequest(text=python(code)))

    assert (result.verdict, result.had_oracle) == ("passed", True)
    assert result.reason == "What is shown in line 8 was compared with nothing that was printed."
    assert f"<text>:3: passed, but: {result.reason}" in render(report, passed=False)


async def test_what_a_function_prints_is_compared_behind_its_call(app: App) -> None:
    """Also through a loop of events, and if the function is in another block."""
    greet = "import asyncio\nasync def greet():\n    print('Hello')"
    text = python(f"{greet}\nasyncio.run(greet())\n#> Goodbye")
    text += python("await greet()\n#> Hello") + python("await greet()\n#> Hi")

    _, results = await check(app, SnippetsRequest(text=text))

    found = [(one.kind, one.had_oracle, one.error_line) for one in results]
    assert found == [
        ("output_mismatch", True, 7),
        ("works_with_setup", True, None),
        ("output_mismatch", True, 17),
    ]


async def test_what_is_left_out_is_not_run_before_others(app: App) -> None:
    """A condition that holds, a Python that is not here, and `skip` of the caller are as good as a skip mark."""
    text = (
        ".. testsetup::\n   :skipif: True\n\n   1 / 0\n\n"
        ".. doctest::\n   :skipif: True\n\n   >>> 1 / 0\n\n"
        ".. doctest::\n   :pyversion: > 3.99\n\n   >>> 1 / 0\n\n"
        ".. testcode::\n\n   1 / 0\n\n"
        ".. proofbox: needs=no_such_module\n\n.. testcode::\n\n   1 / 0\n\n"
        ".. doctest::\n\n   >>> 1 + 1\n   2\n"
    )

    for mode in ("auto", "page"):
        request = SnippetsRequest(text=text, format="rst", mode=mode, skip=("<text>:18",))
        _, results = await check(app, request)

        assert [one.kind for one in results] == [
            *["skipped_by_author"] * 3,
            "needs_dependency",
            "works",
        ]


async def test_a_failure_in_an_included_file_is_told_where_the_page_includes_it(
    app: App, tmp_path: Path
) -> None:
    """The line of the other file is no line of the page; it is named with its file."""
    (tmp_path / "src.py").write_text("x = 1\n\n\n\nprint(x.nope)\n")
    (tmp_path / "a.md").write_text('```python\n--8<-- "src.py"\n```\n')

    _, (one,) = await check(app, SnippetsRequest(paths=("a.md",)))

    assert (one.kind, one.error_line, one.error_text) == ("raises", 2, "print(x.nope)")
    assert one.reason == "It raises. It includes src.py, where line 5 failed."


async def test_examples_in_a_module_by_itself_see_its_names(app: App, tmp_path: Path) -> None:
    """As doctest has it: the file is in no package, so it comes along."""
    (tmp_path / "doubling.py").write_text(
        'import math\n\ndef double(x):\n    """\n    >>> double(3)\n    6\n    >>> double(4)\n    9\n    """\n'
        '    return 2 * x\n\ndef root(x):\n    """\n    >>> root(4)\n    2.0\n    """\n    return math.sqrt(x)\n'
    )

    for mode in ("auto", "page"):
        _, results = await check(app, SnippetsRequest(paths=("doubling.py",), mode=mode))

        found = [(one.kind, one.error_line) for one in results]
        assert found == [("output_mismatch", 7), ("works_with_setup", None)]


async def test_nothing_found_is_skipped_loudly(app: App) -> None:
    """Zero snippets are no pass, and neither are snippets that were all skipped."""
    none = await run(app, "local", SnippetsRequest(text="Only prose."))
    skipped = await run(app, "local", SnippetsRequest(text=python("...")))

    assert (none.verdict, skipped.verdict) == ("skipped", "skipped")
    assert "NO SNIPPETS" in none.reason
    assert "NOTHING was checked" in skipped.reason


async def test_isolated_gives_a_snippet_nothing_of_its_page(app: App) -> None:
    """The same page that passes by the ladder fails."""
    text = python("zebra = 1") + python("print(zebra)")

    _, isolated = await check(app, SnippetsRequest(text=text, mode="isolated"))
    _, whole = await check(app, SnippetsRequest(text=text, mode="page"))

    assert [result.kind for result in isolated] == ["works", "raises"]
    assert [result.kind for result in whole] == ["works", "works_with_setup"]


async def test_setup_and_env_of_the_project_reach_every_snippet(app: App, tmp_path: Path) -> None:
    """From its pyproject.toml, with arguments on top; what `skip` names is left out."""
    (tmp_path / "pyproject.toml").write_text(
        "[tool.proofbox.snippets]\nenv = { A = '1', B = '1' }\nsetup = 'zebra = 1'\nskip = ['old/*']\n"
    )
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.md").write_text(python("1 / 0"))
    code = "import os\nprint(zebra, os.environ['A'], os.environ['B'])\n#> 1 1 2"
    (tmp_path / "b.md").write_text(python(code))

    report = await run(app, "local", SnippetsRequest(paths=(".",), env={"B": "2"}))

    kinds = {file.file: file.results[0].kind for file in report.files}
    assert kinds == {"b.md": "works", "old/a.md": "skipped_by_author"}
    assert report.verdict == "passed"


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("[tool.proofbox.snippets]\nenv = { 'A-B' = '1' }", "A-B"),
        ("[tool.proofbox.snippets]\nenv = { A = 1 }", "env.A"),
        ("[tool.proofbox.snippets]\npakages = []", "pakages"),
        ("[tool.proofbox.snipets]\nenv = { A = '1' }", "snipets"),
        ("[tool]\nproofbox = 'x'", "tool.proofbox"),
    ],
)
async def test_a_slip_in_what_the_project_says_is_told_before_anything_runs(
    app: App, tmp_path: Path, table: str, name: str
) -> None:
    """None is passed over, and no snippet is blamed for one."""
    (tmp_path / "pyproject.toml").write_text(table)
    (tmp_path / "a.md").write_text(python("1"))

    with pytest.raises(InvalidInput, match=name):
        await run(app, "local", SnippetsRequest(paths=("a.md",)))


async def test_a_setup_that_fails_is_the_callers_mistake(app: App) -> None:
    """No snippet is blamed for it."""
    with pytest.raises(InvalidInput, match="ZeroDivisionError"):
        await run(app, "local", SnippetsRequest(text=python("1"), setup="1 / 0"))


async def test_packages_that_do_not_exist_are_the_callers_mistake(app: App) -> None:
    """Said once, instead of a sandbox that fails under every snippet."""
    request = SnippetsRequest(text=python("1"), packages=("../no-requirement",))

    with pytest.raises(InvalidInput, match="no-requirement"):
        await run(app, "local", request)


async def test_raw_items_are_alone_and_keep_their_ids(app: App) -> None:
    """What one defines, the next does not have; a fence in the code does not end it."""
    items = (
        Item("a", "zebra = 1"),
        Item("b", "x = 1\nprint(zebra)"),
        Item("c", 'text = """\n~~~\n```\n"""\nassert False'),
    )

    _, results = await check(app, SnippetsRequest(snippets=items))

    assert [(one.id, one.kind, one.error_line) for one in results] == [
        ("a", "works", None),
        ("b", "raises", 2),
        ("c", "raises", 5),
    ]


@pytest.mark.parametrize("path", ["../x.md", "/etc/passwd", "link.md", "link/x.md", "../*.md"])
async def test_a_path_that_leads_out_is_refused(app: App, tmp_path: Path, path: str) -> None:
    """By dots, from the root, or through links."""
    (tmp_path / "link.md").symlink_to("/etc/hostname")
    (tmp_path / "link").symlink_to("/etc")

    with pytest.raises(InvalidInput, match="outside|upwards"):
        await run(app, "local", SnippetsRequest(paths=(path,)))


async def test_a_folder_is_read_without_what_its_links_lead_out_to(
    app: App, tmp_path: Path
) -> None:
    """Only pages in it count, each once."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(python("1"))
    (tmp_path / "docs" / "b.md").symlink_to(ROOT / "README.md")

    report = await run(app, "local", SnippetsRequest(paths=("docs", "docs/*.md")))

    assert [file.file for file in report.files] == ["docs/a.md"]


async def test_files_without_snippets_are_named_together(app: App, tmp_path: Path) -> None:
    """They are no failure, and nobody can take them for checked."""
    (tmp_path / "a.md").write_text(python("1"))
    for name in ("b.md", "c.md"):
        (tmp_path / name).write_text("Only prose.")

    report = await run(app, "local", SnippetsRequest(paths=(".",)))

    assert report.verdict == "passed"
    assert "no snippet was found in 2 of the files: b.md, c.md" in render(report)


async def test_a_server_without_roots_reads_no_file(local_cache: Path) -> None:
    """And says what to do."""
    async with open_app(Settings(backend="local", cache_dir=local_cache), warm=False) as app:
        with pytest.raises(InvalidInput, match="PROOFBOX_ROOTS"):
            await run(app, "local", SnippetsRequest(paths=("README.md",)))


async def test_one_kind_of_input_is_given(app: App) -> None:
    """None and two are mistakes."""
    for request in (SnippetsRequest(), SnippetsRequest(text="", paths=("a.md",))):
        with pytest.raises(InvalidInput, match="exactly one"):
            await run(app, "local", request)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        pytest.param("rm -rf {folder} ~/* /work /home /tmp/*", id="delete"),
        pytest.param("echo broken > {folder}/kept\necho x > {folder}/new", id="write"),
        pytest.param("pip install -U --no-input nothing-like-this", id="install"),
        pytest.param("mkdir -p ~/.config\necho x >> ~/.bashrc\nkill -9 -1", id="home"),
        pytest.param(
            "curl -s http://127.0.0.1:{port}/ || wget http://127.0.0.1:{port}/", id="call"
        ),
    ],
)
async def test_shell_blocks_cannot_touch_this_machine(
    app: App, tmp_path: Path, command: str
) -> None:
    """What a block would delete, write, install or call is not there for it."""
    kept = tmp_path / "kept"
    kept.write_text("whole")
    called: list[object] = []

    async def answer(stream: anyio.abc.SocketStream) -> None:
        called.append(stream)
        await stream.aclose()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, answer)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        text = f"```bash\n{command.format(folder=tmp_path, port=port)}\n```\n"
        _, results = await check(app, SnippetsRequest(text=text))
        assert len(results) == 1
        tasks.cancel_scope.cancel()

    assert not called
    assert kept.read_text() == "whole"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]


@pytest.mark.slow
async def test_the_documents_of_this_repository_hold(local_cache: Path) -> None:
    """Nothing in them is broken, and something was checked."""
    settings = Settings(backend="local", cache_dir=local_cache)
    async with open_app(settings, roots=(ROOT,), warm=False) as app:
        with anyio.fail_after(240):
            names = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs")
            request = SnippetsRequest(paths=(*names, "examples/README.md"))
            report = await run(app, "local", request)

    assert report.verdict == "passed", render(report)
    results = [(file.file, result) for file in report.files for result in file.results]
    skipped = {(name, one.language) for name, one in results if one.verdict == "skipped"}
    # What needs proofbox itself is run by test_documents and test_http_docs; commands are looked at there.
    ours = {(name, "python") for name in ("README.md", "docs/http.md", "docs/testing.md")}
    assert {one for one in skipped if one[1] not in {"bash", "console", "text"}} == ours


async def test_a_projects_own_patterns_hold_for_both_sides(app: App) -> None:
    """What they match is alike; what they do not match still has to be."""
    code = "print('build 17 of {}')\n#> build 3 of today"
    text = python(code.format("today")) + python(code.format("yesterday"))

    plain = await check(app, SnippetsRequest(text=text))
    ruled = await check(app, SnippetsRequest(text=text, normalise={r"build \d+": "build"}))

    assert [result.kind for result in plain[1]] == ["output_mismatch", "output_mismatch"]
    assert [result.kind for result in ruled[1]] == ["works", "output_mismatch"]


async def test_a_pattern_that_never_ends_is_nobodys_pass(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documentation brings patterns and outputs, and neither can hold up the server."""
    monkeypatch.setattr(filters, "SECONDS", 0.3)
    text = python("print('a' * 40)\n#> b")

    _, (result,) = await check(app, SnippetsRequest(text=text, normalise={"(a|a)*c": ""}))

    assert (result.kind, result.verdict) == ("infra", "errored")
    assert "normalise" in result.reason


@pytest.mark.parametrize(("pattern", "replacement"), [("(", ""), ("a", r"\1"), ("a", r"\g<b>")])
async def test_a_pattern_that_is_none_is_the_callers_mistake(
    app: App, pattern: str, replacement: str
) -> None:
    """Said before anything runs."""
    request = SnippetsRequest(text=python("1"), normalise={pattern: replacement})

    with pytest.raises(InvalidInput, match="normalise"):
        await run(app, "local", request)


@pytest.mark.slow
async def test_what_a_project_names_is_installed_for_its_examples(app: App, tmp_path: Path) -> None:
    """And what it does not name is said to be missing."""
    (tmp_path / "requirements.txt").write_text("more-itertools>=10\n")
    yaml = "```yaml\n{}\n```\n"
    text = python("from more_itertools import one\none([1])") + python("import no_such_module")
    (tmp_path / "a.md").write_text(text + yaml.format("a: [1]") + yaml.format("a: [1"))

    report, results = await check(app, SnippetsRequest(paths=("a.md",)))

    kinds = [result.kind for result in results]
    assert kinds == ["works", "needs_dependency", "works", "syntax"]
    assert report.packages == ["more-itertools>=10", "pyyaml"]


async def test_a_page_is_one_program_whatever_a_snippet_of_it_does(app: App) -> None:
    """What one raises does not end it; what ends the process is left out for those behind it."""
    text = (
        python("zebra = [1]")
        + python("zebra.append(2)\nassert False")
        + python("print(zebra)\n#> [1, 2]")
        + "```pycon\n>>> print(len(zebra))\n2\n>>> zebra.nope\n>>> zebra\n```\n"
        + python("zebra.append(3)\nimport os\nos._exit(0)")
        + python("print(zebra)\n#> [1, 2]")
        + python("while zebra:\n    pass", "<!-- proofbox: timeout=1 -->")
        + python("print(len(zebra))\n#> 3")
    )

    _, results = await check(app, SnippetsRequest(text=text, mode="page"))

    assert [(result.kind, result.error_line) for result in results] == [
        ("works", None),
        ("raises", 8),
        ("works_with_setup", None),
        ("raises", 18),
        ("raises", None),
        ("works_with_setup", None),
        ("timeout", None),
        ("output_mismatch", 40),
    ]


async def test_what_the_projects_own_runner_is_told_holds_here(app: App, tmp_path: Path) -> None:
    """Sphinx's global setup for what it runs, and the doctest flags; both are named."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "conf.py").write_text("doctest_global_setup = 'zebra = 41'\n")
    (tmp_path / "tox.ini").write_text("[pytest]\ndoctest_optionflags = IGNORE_EXCEPTION_DETAIL\n")
    text = (
        ">>> zebra + 1\n42\n\ntext\n\n.. code-block:: python\n\n    zebra\n\n>>> int('x')\n"
        "Traceback (most recent call last):\nValueError: something else\n"
    )
    (tmp_path / "docs" / "a.rst").write_text(text)
    (tmp_path / "a.rst").write_text(text)

    inside, outside = [
        (await check(app, SnippetsRequest(paths=(path,))))[1] for path in ("docs/a.rst", "a.rst")
    ]

    assert [result.kind for result in inside] == ["works_with_setup", "raises", "expected_error"]
    assert inside[0].setup == ["doctest_global_setup of conf.py"]
    assert [result.kind for result in outside] == ["raises", "raises", "expected_error"]
