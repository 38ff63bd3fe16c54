"""What authors say about their snippets, in the syntax of every tool."""

import pytest

from proofbox.tools.validate_snippets.choices import Format
from proofbox.tools.validate_snippets.extract import extract
from proofbox.tools.validate_snippets.snippet import Marks, Snippet

CODE = "```python\nx = 1\n```\n"


def snippets(text: str, format: Format = "markdown") -> tuple[Snippet, ...]:
    return extract(text, "page", format).snippets


def marks(text: str, format: Format = "markdown") -> Marks:
    return snippets(text, format)[-1].marks


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"<!-- proofbox: skip -->\n\n{CODE}", id="ours"),
        pytest.param(f"{{/* proofbox: skip */}}\n{CODE}", id="ours-mdx"),
        pytest.param(f"% proofbox: skip\n\n{CODE}", id="ours-myst"),
        pytest.param("```python\n# proofbox: skip\nx = 1\n```\n", id="ours-in-the-code"),
        pytest.param('```python proofbox="skip"\nx = 1\n```\n', id="ours-in-the-info-string"),
        pytest.param(f"<!-- skip: next -->\n\n{CODE}", id="sybil"),
        pytest.param(f'<!--- skip: next, reason="no" -->\n\n{CODE}', id="sybil-reason"),
        pytest.param(f"<!-- ; skip: next -->\n\n{CODE}", id="sybil-semicolon"),
        pytest.param(f"% skip: next\n\n{CODE}", id="sybil-myst"),
        pytest.param(f"<!--- skip doccmd[all]: next -->\n\n{CODE}", id="doccmd"),
        pytest.param(f"<!--pytest.mark.skip-->\n\n{CODE}", id="pytest-codeblocks"),
        pytest.param(f"<!--pytest-codeblocks:skip-->\n\n{CODE}", id="pytest-codeblocks-old"),
        pytest.param(f"<!--pytest-codeblocks:skipfile-->\n\n{CODE}", id="pytest-codeblocks-file"),
        pytest.param(f"{CODE}\n<!-- proofbox: skip-file -->\n", id="ours-file"),
        pytest.param(f"<!--phmdoctest-skip-->\n{CODE}", id="phmdoctest"),
        pytest.param(f"<!--phmdoctest-mark.skip-->\n{CODE}", id="phmdoctest-mark"),
        pytest.param("```python notest\nx = 1\n```\n", id="pytest-markdown-docs"),
        pytest.param("```{.python notest}\nx = 1\n```\n", id="superfences"),
        pytest.param(f"{{/* pmd-metadata: notest */}}\n{CODE}", id="mdx-metadata"),
        pytest.param('```python {test="skip"}\nx = 1\n```\n', id="pytest-examples"),
        pytest.param('```py {test="skip - reason"}\nx = 1\n```\n', id="pytest-examples-reason"),
        pytest.param("```{python}\n#| eval: false\nx = 1\n```\n", id="quarto"),
        pytest.param("```{code-cell}\n:tags: [skip-execution]\n\nx = 1\n```\n", id="myst-tag"),
    ],
)
def test_skip_marks_of_every_tool_are_honoured(text: str) -> None:
    """What its author does not run is not run, and the reason is never empty."""
    assert marks(text).skip


@pytest.mark.parametrize(
    ("text", "skipped"),
    [
        pytest.param(f"<!-- skip: next -->\n{CODE}{CODE}", [True, False], id="next"),
        pytest.param(
            f"{CODE}<!-- skip: start -->\n{CODE}{CODE}<!-- skip: end -->\n{CODE}",
            [False, True, True, False],
            id="stretch",
        ),
        pytest.param(
            f'<!-- proofbox: skip-start reason="r" -->\n{CODE}<!-- proofbox: skip-end -->\n{CODE}',
            [True, False],
            id="our-stretch",
        ),
        pytest.param(
            f"<!-- skip: next -->\n\n```text\nlisting\n```\n{CODE}", [False, True], id="past-text"
        ),
        pytest.param(f"A line about `<!-- skip: next -->`.\n{CODE}", [False], id="in-prose"),
    ],
)
def test_a_skip_mark_reaches_exactly_as_far_as_it_says(text: str, skipped: list[bool]) -> None:
    """Next means one snippet, a stretch ends where it ends."""
    assert [snippet.marks.skip is not None for snippet in snippets(text)] == skipped


def test_a_reason_is_kept() -> None:
    """The report can say why."""
    assert marks(f'<!-- proofbox: skip reason="needs a key" -->\n{CODE}').skip == "needs a key"


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        pytest.param(f"<!-- skip: next if(sys.version_info < (3, 13), reason='old') -->\n{CODE}",
                     "(sys.version_info < (3, 13))", id="sybil"),
        pytest.param(f"<!--pytest.mark.skipif(os.name == 'nt', reason='w')-->\n{CODE}",
                     "(os.name == 'nt')", id="pytest"),
        pytest.param("```{testcode}\n:skipif: pd is None\n\nx = 1\n```\n", "(pd is None)", id="sphinx"),
    ],
)  # fmt: skip
def test_a_condition_is_kept_for_the_sandbox(text: str, condition: str) -> None:
    """Conditions are expressions of the author; they are carried, never evaluated here."""
    found = marks(text)

    assert (found.skip, found.skip_if) == (None, condition)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"<!-- proofbox: continue -->\n{CODE}", ("continues", True), id="continue"),
        pytest.param(
            "```python continuation\nx = 1\n```\n", ("continues", True), id="continuation"
        ),
        pytest.param(f"<!--pytest-codeblocks:cont-->\n{CODE}", ("continues", True), id="cont"),
        pytest.param(f"<!-- proofbox: group=a -->\n{CODE}", ("groups", ("a",)), id="group"),
        pytest.param('```python {group="a"}\nx\n```\n', ("groups", ("a",)), id="pydantic-group"),
        pytest.param('```python exec="on" session="a"\nx\n```\n', ("groups", ("a",)), id="session"),
        pytest.param(
            f"<!-- proofbox: raises=ValueError -->\n{CODE}", ("raises", "ValueError"), id="raises"
        ),
        pytest.param(
            f'<!-- proofbox: raises="ValueError: no" -->\n{CODE}',
            ("raises", "ValueError: no"),
            id="message",
        ),
        pytest.param(f"<!--pytest.mark.xfail-->\n{CODE}", ("raises", "*"), id="xfail"),
        pytest.param(
            '```python {test="xfail - later"}\nx\n```\n', ("raises", "*"), id="examples-xfail"
        ),
        pytest.param(
            f'<!-- proofbox: env TZ=UTC NAME="a b" -->\n{CODE}',
            ("env", {"TZ": "UTC", "NAME": "a b"}),
            id="env",
        ),
        pytest.param(
            f"<!-- proofbox: output=ignore -->\n{CODE}", ("output", "ignore"), id="output"
        ),
        pytest.param(f"<!-- proofbox: timeout=2.5 -->\n{CODE}", ("timeout", 2.5), id="timeout"),
        pytest.param(f"<!-- proofbox: exit=3 -->\n{CODE}", ("exit_code", 3), id="exit"),
        pytest.param(f"<!-- proofbox: setup -->\n{CODE}", ("setup", True), id="visible-setup"),
        pytest.param('```python {requires="3.12"}\nx\n```\n', ("python", ">=3.12"), id="requires"),
        pytest.param(
            "```{doctest}\n:pyversion: > 3.14\n\n>>> 1\n```\n", ("python", ">3.14"), id="pyversion"
        ),
        pytest.param(
            f"<!--pytest-codeblocks:importorskip(sympy)-->\n{CODE}",
            ("needs", ("sympy",)),
            id="needs",
        ),
        pytest.param("```python fixture:capsys\nx\n```\n", ("fixtures", ("capsys",)), id="fixture"),
    ],
)
def test_marks_say_how_a_snippet_runs(text: str, expected: tuple[str, object]) -> None:
    """Each mark becomes one field, whatever tool it was written for."""
    name, value = expected

    assert getattr(marks(text), name) == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<!--- invisible-code-block: python\nimport a\n--->\n", id="sybil"),
        pytest.param("<!-- proofbox: setup\nimport a\n-->\n", id="ours"),
        pytest.param("<!-- proofbox: setup\n```python\nimport a\n```\n-->\n", id="ours-fenced"),
    ],
)
def test_hidden_code_sets_up_what_follows(text: str) -> None:
    """Code that readers do not see is setup, where it stands."""
    setup, code = snippets(f"{text}\n{CODE}")

    assert (setup.kind, setup.code, setup.marks.hidden) == ("setup", "import a\n", True)
    assert code.kind == "code"


def test_clearing_the_namespace_starts_another_document() -> None:
    """What stands before is no setup for what follows."""
    found = snippets(f"{CODE}<!-- clear-namespace -->\n{CODE}<!-- proofbox: clear -->\n{CODE}")

    assert [snippet.document for snippet in found] == [0, 1, 2]


@pytest.mark.parametrize(
    ("directive", "hint"),
    [
        pytest.param("skpi", "skip", id="word"),
        pytest.param("reson=x", "reason", id="key"),
        pytest.param("output=maybe", "output=ignore", id="value"),
        pytest.param("timeout=soon", "not a number", id="number"),
        pytest.param('raises="x', "cannot be read", id="quote"),
        pytest.param("xyzzy", "It knows", id="nothing-near"),
        pytest.param("raises", "raises needs a value", id="no-value"),
        pytest.param("needs=", "needs needs a value", id="empty-value"),
        pytest.param("setup=x", "setup takes no value", id="value-of-a-word"),
        pytest.param("env A-B=1", "sets no environment variable", id="variable"),
        pytest.param("python=nonsense", "no range of versions", id="version"),
    ],
)
def test_a_directive_that_cannot_be_followed_is_a_problem(directive: str, hint: str) -> None:
    """A typing error in a directive is said, with what was probably meant."""
    found = extract(f"text\n\n<!-- proofbox: {directive} -->\n{CODE}", "page.md", "markdown")

    (problem,) = found.problems
    assert (problem.kind, problem.position.line) == ("bad_directive", 3)
    assert hint in problem.message
    assert found.snippets[0].marks.skip is None


@pytest.mark.parametrize("comment", ["code-begin", "TODO: skip this", "markdownlint-disable", ""])
def test_ordinary_comments_mean_nothing(comment: str) -> None:
    """Comments of other tools do not touch the snippets."""
    found = extract(f"<!-- {comment} -->\n{CODE}", "page.md", "markdown")

    assert found.problems == ()
    assert found.snippets[0].marks == Marks()


def test_a_version_by_itself_is_the_lowest_one() -> None:
    """As in the marks of other tools."""
    assert marks(f"<!-- proofbox: python=3.12 -->\n{CODE}").python == ">=3.12"
