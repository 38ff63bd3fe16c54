"""What is run before a snippet."""

from textwrap import dedent

import pytest

from proofbox.tools.validate_snippets import plan as planning
from proofbox.tools.validate_snippets.choices import Format
from proofbox.tools.validate_snippets.extract import extract
from proofbox.tools.validate_snippets.plan import Attempt, Failure, next_attempt, plan
from proofbox.tools.validate_snippets.snippet import Home, Snippet


def page(
    *codes: str, before: dict[int, str] | None = None, format: Format = "markdown"
) -> tuple[Snippet, ...]:
    comments = before or {}
    blocks = [
        f"{comments.get(n, '')}\n```python\n{dedent(code)}\n```\n" for n, code in enumerate(codes)
    ]
    return extract("\n".join(blocks), "page.md", format).snippets


def rungs(attempts: tuple[Attempt, ...]) -> list[tuple[str, tuple[int, ...]]]:
    return [(attempt.rung, attempt.before) for attempt in attempts]


def test_a_snippet_that_needs_nothing_runs_alone() -> None:
    """Nothing is added without need."""
    assert rungs(plan(page("y = 1", "x = 1"), 1)) == [("alone", ())]


def test_a_page_is_looked_at_once_for_all_its_snippets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand blocks on a page would otherwise stop the server for minutes."""
    asked: list[int] = []
    real = planning.can_run

    def can_run(snippet: Snippet) -> bool:
        asked.append(snippet.index)
        return real(snippet)

    monkeypatch.setattr(planning, "can_run", can_run)
    snippets = page(*(f"x{n} = {n}" for n in range(40)))

    attempts = [next_attempt(snippets, index, [], []) for index in range(40)]

    assert attempts == [Attempt("alone")] * 40
    assert asked == [*range(40)]


def test_the_fewest_earlier_snippets_that_define_the_names_come_first() -> None:
    """Only what is needed, and what that needs, in the order of the page."""
    snippets = page("import a", "b = a.f()", "unrelated = 1", "c = b", "print(c)")

    attempts = plan(snippets, 4)

    assert rungs(attempts)[0] == ("earlier", (0, 1, 3))
    assert attempts[0].supplied == ("c",)


def test_the_nearest_definition_counts() -> None:
    """A name that was defined twice has its latest value."""
    assert rungs(plan(page("x = 1", "x = 2", "print(x)"), 2))[0] == ("earlier", (1,))


def test_changes_between_definition_and_use_are_the_next_rung() -> None:
    """A snippet that only changes an object is added when the definition alone was not enough."""
    snippets = page("items = []", "items.append(1)", "y = 2", "print(items)")

    assert rungs(plan(snippets, 3)) == [
        ("earlier", (0,)),
        ("touching", (0, 1)),
        ("page", (0, 1, 2)),
    ]


def test_conventional_imports_fill_what_no_snippet_defines() -> None:
    """`np` is numpy for everybody, unless the page says otherwise."""
    alone = plan(page("np.array([1])"), 0)[0]
    defined = plan(page("import mynumpy as np", "np.array([1])"), 1)[0]

    assert (alone.rung, alone.imports, alone.missing) == ("earlier", ("import numpy as np",), ())
    assert (defined.before, defined.imports) == ((0,), ())


@pytest.mark.parametrize(
    ("code", "line"),
    [
        pytest.param("datetime(2020, 1, 1)", "from datetime import datetime", id="class"),
        pytest.param("datetime.date(2020, 1, 1)", "import datetime", id="module"),
        pytest.param("httpx.get", "import httpx", id="known-module"),
        pytest.param("json.dumps", "import json", id="standard-library"),
    ],
)
def test_the_import_fits_the_use(code: str, line: str) -> None:
    """Modules that are there may be used under their own names."""
    assert plan(page(code), 0, modules={"httpx"})[0].imports == (line,)


def test_a_name_that_nobody_defines_is_said_to_be_missing() -> None:
    """The snippet is still tried, once."""
    attempts = plan(page("print(nowhere)"), 0)

    assert rungs(attempts) == [("alone", ())]
    assert attempts[0].missing == ("nowhere",)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param({1: "<!-- proofbox: continue -->"}, ("author", (0,)), id="continue"),
        pytest.param({0: "<!-- proofbox: setup -->"}, ("author", (0,)), id="setup"),
        pytest.param(
            {0: "<!-- proofbox: group=a -->", 1: "<!-- proofbox: group=a -->"},
            ("author", (0,)),
            id="group",
        ),
        pytest.param(
            {0: "<!-- proofbox: group=a -->", 1: "<!-- proofbox: group=b -->"},
            ("alone", ()),
            id="others-group",
        ),
        pytest.param({0: "<!-- proofbox: skip -->"}, ("alone", ()), id="skipped"),
        pytest.param({1: "<!-- proofbox: clear -->"}, ("alone", ()), id="cleared"),
    ],
)
def test_what_the_author_says_comes_before_what_is_inferred(
    before: dict[int, str], expected: tuple[str, tuple[int, ...]]
) -> None:
    """Marks decide the first attempt."""
    assert rungs(plan(page("x = 1", "y = 2", before=before), 1))[0] == expected


def test_a_chain_of_continuations_runs_as_a_whole() -> None:
    """Each continues the one before it."""
    mark = "<!-- proofbox: continue -->"

    assert rungs(plan(page("a", "b", "c", before={1: mark, 2: mark}), 2))[0] == ("author", (0, 1))


def test_skipped_snippets_are_never_setup() -> None:
    """What its author does not run is not run for others either."""
    attempts = plan(page("x = 1", "print(x)", before={0: "<!-- proofbox: skip -->"}), 1)

    assert rungs(attempts) == [("alone", ())]


def test_a_docstring_sees_the_names_of_its_module() -> None:
    """doctest's convention: what the module defines is there, and `pl` is still polars."""
    snippets = page("pl.DataFrame(chunked([1]))")
    home = Home("pkg.more", frozenset({"chunked"}), frozenset({"pl"}))

    first = plan(snippets, 0, home=home)[0]

    assert first.imports == ("from pkg.more import chunked", "import polars as pl")


def test_sphinx_setup_runs_first_wherever_it_stands() -> None:
    """A group's testsetup is setup for all of the group."""
    text = ".. testcode:: g\n\n   print(x)\n\n.. testsetup:: g\n\n   x = 1\n\n.. testsetup:: h\n\n   x = 2\n"
    snippets = extract(text, "page.rst", "rst").snippets

    assert rungs(plan(snippets, 0))[0] == ("author", (1,))


@pytest.mark.parametrize(("group", "before"), [("", (1,)), ("h", ())])
def test_examples_in_text_are_of_sphinx_default_group(group: str, before: tuple[int, ...]) -> None:
    """Setup of another group is not for them."""
    text = f">>> x = 1\n\n.. testsetup:: {group}\n\n   x = 1\n"
    snippets = extract(text, "page.rst", "rst").snippets

    assert plan(snippets, 0)[0].before == before


def test_cells_of_a_notebook_share_their_kernel() -> None:
    """Every earlier cell has run."""
    cells = "".join(f"```{{code-cell}}\nx{n} = {n}\n```\n\n" for n in range(3))
    snippets = extract(cells, "page.md", "markdown").snippets

    assert rungs(plan(snippets, 2))[0] == ("author", (0, 1))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("isolated", [("alone", ())], id="isolated"),
        pytest.param("page", [("page", (0, 1))], id="page"),
    ],
)
def test_the_mode_overrides_the_ladder(
    mode: str, expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    """Isolated infers nothing, page runs everything."""
    snippets = page("x = 1", "y = 2", "print(x)")

    assert rungs(plan(snippets, 2, mode="page" if mode == "page" else "isolated")) == expected


def test_a_name_that_only_the_run_misses_is_looked_for() -> None:
    """A failure tells names that reading could not see."""
    snippets = page("secret = 1", "eval('secret')")
    first = next_attempt(snippets, 1, (), ())
    assert first is not None
    assert first.rung == "alone"

    second = next_attempt(
        snippets, 1, (first,), (Failure("NameError", "name 'secret' is not defined"),)
    )

    assert second is not None
    assert (second.rung, second.before) == ("earlier", (0,))


def test_the_ladder_ends() -> None:
    """A snippet whose failure no setup can change is tried once."""
    snippets = page("x = 1", "1 / 0")
    first = next_attempt(snippets, 1, (), ())
    assert first is not None

    assert next_attempt(snippets, 1, (first,), (Failure("ZeroDivisionError", "division"),)) is None


def test_a_missing_file_may_have_been_written_above() -> None:
    """Files are state that names do not show."""
    snippets = page("open('x', 'w').write('1')", "print(open('x').read())")
    first = next_attempt(snippets, 1, (), ())
    assert first is not None

    second = next_attempt(snippets, 1, (first,), (Failure("FileNotFoundError", "x"),))

    assert second is not None
    assert second.before == (0,)


def test_a_built_in_name_that_the_page_redefines_comes_from_the_page() -> None:
    """`bytes` is what the snippet above made it."""
    assert rungs(plan(page("bytes = b'x'", "print(bytes)"), 1))[1] == ("earlier", (0,))
