"""Code blocks in Markdown, MDX and MyST."""

from textwrap import dedent

import pytest

from proofbox.tools.validate_snippets.choices import Format
from proofbox.tools.validate_snippets.extract import extract
from proofbox.tools.validate_snippets.snippet import Page

FENCE = "```"


def page(text: str, format: Format = "markdown") -> Page:
    return extract(text, "page.md", format)


@pytest.mark.parametrize(
    ("info", "language"),
    [
        pytest.param("python", "python", id="plain"),
        pytest.param(" python", "python", id="space-before"),
        pytest.param("Python", "python", id="capital"),
        pytest.param("py", "python", id="short"),
        pytest.param("python3.12", "python", id="version"),
        pytest.param("pycon", "pycon", id="pycon"),
        pytest.param('Python hl_lines="3 5" title="main.py"', "python", id="fastapi"),
        pytest.param('python {test="skip" lint="skip"}', "python", id="pydantic"),
        pytest.param('python exec="on" result="text" session="a/b"', "python", id="markdown-exec"),
        pytest.param("python {highlight={4-6}}", "python", id="mintlify"),
        pytest.param("python Some tab title expandable", "python", id="mintlify-title"),
        pytest.param("{.python .annotate hl_lines=2}", "python", id="class"),
        pytest.param("{ .python .annotate }", "python", id="class-with-space"),
        pytest.param("{code-cell} ipython3", "python", id="myst-cell"),
        pytest.param("{code-cell}", "python", id="myst-cell-bare"),
        pytest.param("{doctest}", "pycon", id="myst-doctest"),
        pytest.param("{code-block} python", "python", id="myst-code-block"),
        pytest.param("{testcode} group", "python", id="myst-testcode"),
        pytest.param("{python}", "python", id="quarto"),
        pytest.param("{python, echo=FALSE}", "python", id="r-markdown"),
        pytest.param("python,ignore", "python", id="comma"),
        pytest.param("python:src/x.py", "python", id="path"),
        pytest.param("python{1,3}", "python", id="gatsby"),
        pytest.param("sh", "bash", id="shell"),
        pytest.param("shell-session", "console", id="session"),
        pytest.param("js", "javascript", id="javascript"),
        pytest.param("yml", "yaml", id="yaml"),
        pytest.param("Rust", "rust", id="other"),
        pytest.param("c++", "c++", id="punctuation"),
        pytest.param('hl_lines="3"', "", id="no-language"),
        pytest.param("{1,3-5}", "", id="highlight-only"),
        pytest.param("", "", id="empty"),
    ],
)
def test_the_language_is_read_from_every_form_of_info_string(info: str, language: str) -> None:
    """Whatever a documentation tool puts behind the fence, the language is found."""
    (snippet,) = page(f"{FENCE}{info}\n>>> 1\n{FENCE}\n").snippets

    expected = "pycon" if language in {"python", ""} else language
    assert snippet.language == expected
    assert snippet.line == 2


@pytest.mark.parametrize(
    ("text", "position"),
    [
        pytest.param("```python\nx = 1\n```\n", (2, 1), id="top"),
        pytest.param("~~~python\nx = 1\n~~~\n", (2, 1), id="tilde"),
        pytest.param("`````python\nx = 1\n`````\n", (2, 1), id="long"),
        pytest.param("- item\n\n  ```python\n  x = 1\n  ```\n", (4, 3), id="list-item"),
        pytest.param("- ```python\n  x = 1\n  ```\n", (2, 3), id="on-the-list-marker"),
        pytest.param("10. ```python\n    x = 1\n    ```\n", (2, 5), id="numbered"),
        pytest.param('=== "Tab"\n\n    ```python\n    x = 1\n    ```\n', (4, 5), id="tab"),
        pytest.param('!!! note "T"\n    ```python\n    x = 1\n    ```\n', (3, 5), id="admonition"),
        pytest.param("??? note\n\t```python\n\tx = 1\n\t```\n", (3, 2), id="tab-character"),
        pytest.param("> ```python\n> x = 1\n> ```\n", (2, 3), id="quote"),
        pytest.param("> - ```python\n>   x = 1\n>   ```\n", (2, 5), id="list-in-quote"),
        pytest.param(">> ```python\n>> x = 1\n>> ```\n", (2, 4), id="quote-in-quote"),
        pytest.param("<Tab>\n  ```python\n  x = 1\n  ```\n</Tab>\n", (3, 3), id="jsx"),
        pytest.param("    ```python\nx = 1\n    ```\n", (2, 1), id="code-left-of-its-fence"),
        pytest.param("```python\n    x = 1\n```\n", (2, 5), id="code-right-of-its-fence"),
        pytest.param("  ```python\n  x = 1\n```\n", (2, 3), id="closed-further-left"),
        pytest.param("```python\r\nx = 1\r\n```\r\n", (2, 1), id="crlf"),
        pytest.param("\ufeff```python\nx = 1\n```\n", (2, 1), id="byte-order-mark"),
        pytest.param("```{note}\n~~~python\nx = 1\n~~~\n```\n", (3, 1), id="myst-container"),
        pytest.param(":::{code-block} python\n:linenos:\n\nx = 1\n:::\n", (4, 1), id="colon-fence"),
        pytest.param(":::note\n```python\nx = 1\n```\n:::\n", (3, 1), id="in-colon-container"),
        pytest.param(
            "```{code-cell}\n---\ntags: [a]\n---\nx = 1\n```\n", (5, 1), id="yaml-options"
        ),
        pytest.param("```{eval-rst}\n.. code:: python\n\n   x = 1\n```\n", (4, 4), id="eval-rst"),
        pytest.param("Term\n:   ```python\n    x = 1\n    ```\n", (3, 5), id="definition-list"),
        pytest.param("text\x0cmore\n\u2028\n```python\nx = 1\n```\n", (4, 1), id="odd-line-breaks"),
    ],
)
def test_a_block_is_found_in_every_container(text: str, position: tuple[int, int]) -> None:
    """Containers change neither the code nor the exactness of its position."""
    found = page(text)

    (snippet,) = [snippet for snippet in found.snippets if snippet.language == "python"]
    assert snippet.code == "x = 1\n"
    assert (snippet.line, snippet.column) == position
    assert str(snippet.position(1)) == f"page.md:{position[0]}:{position[1]}"
    assert found.problems == ()


def test_indentation_inside_the_code_survives_its_container() -> None:
    """Only the container's share of the indentation is removed."""
    text = "- item\n\n    ```python\n    if x:\n        y = 1\n\n    z = 2\n    ```\n"

    (snippet,) = page(text).snippets

    assert snippet.code == "if x:\n    y = 1\n\nz = 2\n"
    assert [snippet.position(n).line for n in (1, 2, 3, 4)] == [4, 5, 6, 7]
    assert snippet.end_line == 7


def test_fences_inside_longer_fences_are_text() -> None:
    """Markdown that shows Markdown is not code to run."""
    text = "````markdown\n```python\nx = 1\n```\n````\n\n```python\ny = 2\n```\n"

    shown, real = page(text).snippets

    assert (shown.language, shown.kind) == ("markdown", "other")
    assert (real.code, real.line) == ("y = 2\n", 8)


def test_a_nested_fence_of_equal_length_stays_inside_markdown() -> None:
    """An author who nests equal fences in a Markdown block means the inner one to be text."""
    text = "```md\n```python\nx = 1\n```\n```\n\n```python\ny = 2\n```\n"

    assert [(s.language, s.line) for s in page(text).snippets] == [("md", 2), ("python", 8)]


def test_a_fence_in_a_docstring_does_not_close_the_block() -> None:
    """A fence four columns deeper belongs to the code."""
    text = '```python\ndef f():\n    """\n    ```python\n    f()\n    ```\n    """\n```\n'

    (snippet,) = page(text).snippets

    assert snippet.code.count("\n") == 6


def test_inline_code_with_three_backticks_opens_nothing() -> None:
    """Backticks behind the fence on its own line make it inline code."""
    text = "```not a fence``` and text\n\n```python\nx = 1\n```\n"

    assert [snippet.line for snippet in page(text).snippets] == [4]


@pytest.mark.parametrize(
    ("text", "lines", "problem_line"),
    [
        pytest.param("```python\nx = 1\n", [2], 1, id="at-the-end"),
        pytest.param("```python\nx = 1\n\n```python\ny = 2\n```\n", [2, 5], 1, id="before-another"),
        pytest.param(
            "> ```python\n> x = 1\n\n```python\ny = 2\n```\n", [2, 5], 1, id="quote-ended"
        ),
    ],
)
def test_an_unclosed_fence_is_reported_and_swallows_nothing(
    text: str, lines: list[int], problem_line: int
) -> None:
    """The next block is still found, and the problem names the fence that was left open."""
    found = page(text)

    assert [snippet.line for snippet in found.snippets] == lines
    (problem,) = found.problems
    assert (problem.kind, problem.position.line) == ("unclosed_fence", problem_line)


@pytest.mark.parametrize("fence", [r"\```python", r"\`\`\`python", r"> \```python"])
def test_an_escaped_fence_is_reported_and_not_run(fence: str) -> None:
    """What a backslash makes text is not code, and the author is told."""
    found = page(f"{fence}\nx = 1\n\n")

    assert found.snippets == ()
    assert [problem.kind for problem in found.problems] == ["escaped_fence"]


def test_blocks_in_html_comments_are_not_shown_and_not_run() -> None:
    """A commented-out block is no documentation."""
    assert page("<!--\n```python\nx = 1\n```\n-->\n").snippets == ()


def test_a_comment_that_never_ends_hides_nothing() -> None:
    """Text after a stray opening is still read."""
    assert len(page("<!-- oops\n\n```python\nx = 1\n```\n").snippets) == 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("```output\n3\n```\n", id="output-fence"),
        pytest.param("```python out\n3\n```\n", id="python-out"),
        pytest.param("Output:\n\n```\n3\n```\n", id="caption"),
        pytest.param("This will print:\n\n```text\n3\n```\n", id="sentence"),
        pytest.param("```\n3\n```\n", id="directly-after"),
        pytest.param("<!--pytest-codeblocks:expected-output-->\n\n```\n3\n```\n", id="comment"),
    ],
)
def test_the_output_shown_below_a_block_belongs_to_it(text: str) -> None:
    """An output block is what the block before it is compared with, not a snippet."""
    (snippet,) = page(f"```python\nprint(1 + 2)\n```\n\n{text}").snippets

    (shown,) = snippet.expected
    assert (shown.source, shown.text, shown.after_line) == ("block", "3\n", 0)


def test_a_block_after_prose_is_not_taken_for_output() -> None:
    """A listing that the text introduces otherwise has nothing to do with the code above."""
    text = "```python\nprint(1)\n```\n\nThe folder looks like this:\n\n```\nsrc/\n```\n"

    code, listing = page(text).snippets

    assert code.expected == ()
    assert listing.kind == "other"


def test_an_output_block_without_code_before_it_stands_alone() -> None:
    """It is listed, so that nothing is dropped silently."""
    (snippet,) = page("```output\n3\n```\n").snippets

    assert snippet.kind == "output"


def test_prompts_in_running_text_are_examples() -> None:
    """Examples need no fence."""
    text = "Indented:\n\n    >>> x = 1\n    >>> x\n    1\n\nText.\n"

    (snippet,) = page(text).snippets

    assert (snippet.kind, snippet.line, snippet.column) == ("doctest", 3, 5)
    assert [example.source for example in snippet.examples] == ["x = 1\n", "x\n"]


def test_three_quote_marks_are_not_a_prompt() -> None:
    """A quote in a quote in a quote is prose."""
    assert page("> a\n>> b\n>>> three levels of quoting\n").snippets == ()


def test_terminal_sessions_are_split_into_commands() -> None:
    """Prompts, continuations and outputs are told apart, FastAPI's colours removed."""
    text = dedent(
        """\
        ```console
        $ <font color="green">pip</font> install \\
            fastapi
        ---> 100%

        (venv) $ python main.py
        hello
        ```
        """
    )

    (snippet,) = page(text).snippets

    assert snippet.kind == "console"
    first, second = snippet.commands
    assert first.source == "pip install \\\n    fastapi\n"
    assert first.output is not None
    assert first.output.text == "---> 100%\n"
    assert (second.source, second.line) == ("python main.py\n", 5)


def test_a_macro_that_makes_code_is_reported() -> None:
    """Code that only the site generator can see is said to be unchecked."""
    found = page("{{code_block('guide/io','read',['read'])}}\n")

    assert [problem.kind for problem in found.problems] == ["unresolved_macro"]


def test_hostile_nesting_is_read_in_linear_time() -> None:
    """Thousands of openings that nothing closes are one pass over the file."""
    text = "```python\n" * 5_000 + "<!--\n" * 2_000 + "> ```x\n" * 5_000
    text += "-    " * 200 + "x ```\n"

    found = page(text)

    assert len(found.problems) >= 5_000
