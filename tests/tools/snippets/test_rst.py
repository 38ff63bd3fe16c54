"""Code in reStructuredText."""

import pytest

from proofbox.tools.validate_snippets.extract import extract
from proofbox.tools.validate_snippets.snippet import Page


def page(text: str) -> Page:
    return extract(text, "page.rst", "rst")


@pytest.mark.parametrize(
    ("text", "language", "kind"),
    [
        pytest.param(".. code-block:: python\n\n   x = 1\n", "python", "code", id="code-block"),
        pytest.param(".. code:: python\n\n   x = 1\n", "python", "code", id="code"),
        pytest.param(".. sourcecode:: Python\n\n   x = 1\n", "python", "code", id="sourcecode"),
        pytest.param(".. testcode::\n\n   x = 1\n", "python", "code", id="testcode"),
        pytest.param(".. testsetup:: *\n\n   x = 1\n", "python", "setup", id="testsetup"),
        pytest.param(".. testcleanup::\n\n   x = 1\n", "python", "cleanup", id="testcleanup"),
        pytest.param(".. jupyter-execute::\n\n   x = 1\n", "python", "code", id="jupyter"),
        pytest.param(
            ".. code-block:: python\n   :linenos:\n   :caption: A\n\n   x = 1\n",
            "python",
            "code",
            id="options",
        ),
        pytest.param(
            ".. highlight:: python\n\nText::\n\n   x = 1\n", "python", "code", id="highlight"
        ),
        pytest.param(
            ".. invisible-code-block: python\n\n   x = 1\n", "python", "setup", id="invisible"
        ),
        pytest.param(".. proofbox: setup\n\n   x = 1\n", "python", "setup", id="our-hidden-setup"),
    ],
)
def test_directives_hold_code(text: str, language: str, kind: str) -> None:
    """Every directive for code is read, options left out."""
    (snippet,) = page(f"Title\n=====\n\n{text}\nText after.\n").snippets

    assert (snippet.language, snippet.kind, snippet.code) == (language, kind, "x = 1\n")
    assert snippet.column == 4


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(".. doctest::\n\n   >>> 1 + 1\n   2\n", id="directive"),
        pytest.param("Like this::\n\n   >>> 1 + 1\n   2\n", id="literal-block"),
        pytest.param("Text.\n\n>>> 1 + 1\n2\n", id="running-text"),
        pytest.param(".. code-block:: python\n\n   >>> 1 + 1\n   2\n", id="python-with-prompts"),
        pytest.param(".. code-block:: pycon\n\n   >>> 1 + 1\n   2\n", id="pycon"),
        pytest.param(".. note::\n\n   Text.\n\n   >>> 1 + 1\n   2\n", id="in-admonition"),
        pytest.param("::\n\n    In [1]: 1 + 1\n    Out[1]: 2\n", id="ipython"),
    ],
)
def test_examples_are_found_wherever_they_stand(text: str) -> None:
    """Prompts make a doctest, in or out of a directive."""
    (snippet,) = page(text).snippets

    (example,) = snippet.examples
    assert (snippet.kind, example.source) == ("doctest", "1 + 1\n")
    assert example.want is not None
    assert example.want.text == "2\n"


def test_plain_literal_blocks_are_not_taken_for_code() -> None:
    """Most `::` blocks hold something else than Python."""
    assert page("Run::\n\n   make html\n").snippets == ()


def test_a_comment_hides_what_is_indented_below_it() -> None:
    """An ordinary comment is not part of the page."""
    assert page(".. old text\n\n   >>> 1 + 1\n   3\n").snippets == ()


def test_testoutput_belongs_to_the_testcode_of_its_group() -> None:
    """Groups interleave; the output finds its code by group, with its own flags."""
    text = (
        ".. testcode:: a\n\n   print(1)\n\n"
        ".. testcode:: b\n\n   print(2)\n\n"
        ".. testoutput:: a\n   :options: +ELLIPSIS\n\n   1...\n"
    )

    a, b = page(text).snippets

    (shown,) = a.expected
    assert (shown.source, shown.text, dict(shown.flags)) == (
        "testoutput",
        "1...\n",
        {"ELLIPSIS": True},
    )
    assert b.expected == ()
    assert (a.marks.groups, b.marks.groups) == (("a",), ("b",))


def test_blank_lines_between_prompts_keep_examples_together() -> None:
    """A run of examples is one snippet; a paragraph ends it."""
    text = ">>> x = 1\n\n>>> x\n1\n\nText.\n\n>>> x + 1\n2\n"

    first, second = page(text).snippets

    assert len(first.examples) == 2
    assert (second.line, second.document) == (8, first.document)


@pytest.mark.parametrize(
    ("text", "want", "exception"),
    [
        pytest.param(">>> 1\n1\n\nText\n", "1\n", None, id="blank-ends-it"),
        pytest.param(">>> f()\n<BLANKLINE>\n1\n", "<BLANKLINE>\n1\n", None, id="blankline"),
        pytest.param(
            ">>> 1/0\nTraceback (most recent call last):\n  File x\nZeroDivisionError: division\n",
            "Traceback (most recent call last):\n  File x\nZeroDivisionError: division\n",
            "ZeroDivisionError: division",
            id="traceback",
        ),
    ],
)
def test_shown_output_ends_as_doctest_has_it(text: str, want: str, exception: str | None) -> None:
    """In running text a blank line ends the output."""
    (snippet,) = page(text).snippets

    shown = snippet.examples[0].want
    assert shown is not None
    assert (shown.text, shown.exception) == (want, exception)


def test_output_in_a_fence_goes_on_over_blank_lines() -> None:
    """Inside a fence nothing but output can follow."""
    found = extract("```pycon\n>>> f()\na\n\nb\n\n>>> 1\n1\n```\n", "page.md", "markdown")

    wants = [example.want.text for example in found.snippets[0].examples if example.want]
    assert wants == ["a\n<BLANKLINE>\nb\n", "1\n"]


@pytest.mark.parametrize(
    "bad", [pytest.param(">>>x = 1", id="no-space"), pytest.param("  >>> x = 1\n y", id="ragged")]
)
def test_a_malformed_prompt_costs_nothing_else(bad: str) -> None:
    """One strange example does not lose the file."""
    found = page(f"{bad}\n\nText.\n\n>>> 2\n2\n")

    assert found.snippets[-1].examples[0].source == "2\n"
    assert found.snippets[0].examples[0].source == "x = 1\n"


def test_flags_of_an_example_are_read() -> None:
    """Doctest's own directives count for their example."""
    (snippet,) = page(">>> f()  # doctest: +SKIP, -ELLIPSIS\n1\n>>> 2\n2\n").snippets

    assert dict(snippet.examples[0].flags) == {"SKIP": True, "ELLIPSIS": False}
    assert snippet.source == "2\n"
