"""Real outputs in the place of wrong ones."""

from textwrap import dedent

import pytest

from proofbox.tools.validate_snippets import rewrite
from proofbox.tools.validate_snippets.choices import Format
from proofbox.tools.validate_snippets.extract import extract
from proofbox.tools.validate_snippets.oracles import Raised
from proofbox.tools.validate_snippets.snippet import Expected


def shown(text: str, format: Format) -> Expected:
    (snippet,) = extract(text, f"page.{'py' if format == 'python' else 'md'}", format).snippets
    wants = [example.want for example in snippet.examples if example.want]
    outputs = [command.output for command in snippet.commands if command.output]
    return [*wants, *outputs, *snippet.expected][0]


@pytest.mark.parametrize(
    ("before", "got", "after"),
    [
        pytest.param("```python\nprint(1)\n#> 2\nx = 1\n```\n", "1\n",
                     "```python\nprint(1)\n#> 1\nx = 1\n```\n", id="comment"),
        pytest.param("- ```python\n  if x:\n      print(1)\n      #> 2\n      #> 3\n  ```\n", "1\n",
                     "- ```python\n  if x:\n      print(1)\n      #> 1\n  ```\n", id="fewer-lines"),
        pytest.param("> ```python\n> print(1)\n> #> 2\n> ```\n", "1\n\n3\n",
                     "> ```python\n> print(1)\n> #> 1\n> #>\n> #> 3\n> ```\n", id="more-lines"),
        pytest.param('```python\nprint(x)\n"""\na\n"""\n```\n', "b\n  c\n",
                     '```python\nprint(x)\n"""\nb\n  c\n"""\n```\n', id="string"),
        pytest.param("```pycon\n>>> f()\na\n>>> 2\n```\n", "b\n\nc\n",
                     "```pycon\n>>> f()\nb\n<BLANKLINE>\nc\n>>> 2\n```\n", id="doctest"),
        pytest.param("    >>> 1\n    2\n\ntext\n", "1\n", "    >>> 1\n    1\n\ntext\n", id="indented"),
        pytest.param("```python\nprint(1)\n```\n\n```output\n2\n\n3\n```\n", "1\n",
                     "```python\nprint(1)\n```\n\n```output\n1\n```\n", id="block"),
        pytest.param("```console\n$ echo a\nb\n$ echo c\n```\n", "a\n",
                     "```console\n$ echo a\na\n$ echo c\n```\n", id="console"),
        pytest.param("> ```python\n> print('#> 1')  #> 2\n> ```\n", "1\n",
                     "> ```python\n> print('#> 1')  #> 1\n> ```\n", id="behind-code"),
        pytest.param("```python\r\nprint(1)\r\n#> 2\r\n```\r\n", "1\n",
                     "```python\r\nprint(1)\r\n#> 1\r\n```\r\n", id="crlf"),
        pytest.param("\ufeff```python\nprint(1)\n#> 2\n```", "1\n",
                     "\ufeff```python\nprint(1)\n#> 1\n```", id="mark-and-no-line-end"),
    ],
)  # fmt: skip
def test_the_output_is_replaced_and_nothing_else(before: str, got: str, after: str) -> None:
    """Indentation, quote marks, line ends and every other byte stay."""
    assert rewrite.apply(before, [rewrite.edit(shown(before, "markdown"), got)]) == after


def test_a_docstring_is_rewritten_in_its_file() -> None:
    """Positions are those of the module."""
    before = 'def f():\n    """Do.\n\n    >>> f()\n    1\n    """\n'

    after = rewrite.apply(before, [rewrite.edit(shown(before, "python"), "2\n")])

    assert after == 'def f():\n    """Do.\n\n    >>> f()\n    2\n    """\n'


def test_an_exception_is_rewritten_by_its_last_line() -> None:
    """The stack is left out, as documentation does."""
    before = "```pycon\n>>> f()\nTraceback (most recent call last):\n  File x\nKeyError: 1\n```\n"

    change = rewrite.edit_exception(shown(before, "markdown"), Raised("ValueError", "no"))

    assert rewrite.apply(before, [change]) == (
        "```pycon\n>>> f()\nTraceback (most recent call last):\n  ...\nValueError: no\n```\n"
    )


def test_several_edits_are_made_at_once() -> None:
    """Edits further up do not move those further down."""
    before = "```python\nprint(1)\n#> a\nprint(2)\n#> b\n```\n"
    (snippet,) = extract(before, "p.md", "markdown").snippets

    edits = [
        rewrite.edit(e, got) for e, got in zip(snippet.expected, ["1\nx\n", "2\n"], strict=True)
    ]

    assert rewrite.apply(before, edits) == "```python\nprint(1)\n#> 1\n#> x\nprint(2)\n#> 2\n```\n"


@pytest.mark.parametrize(
    ("text", "format", "got"),
    [
        pytest.param(
            "```python\nprint(1)\n```\n\n```output\n2\n```\n", "markdown", "```\n", id="fence"
        ),
        pytest.param("```python\nprint(1)\n#> 2\n```\n", "markdown", "", id="nothing"),
        pytest.param(
            '```python\nprint(1)\n"""\nx\n"""\n```\n', "markdown", 'a """ b\n', id="quotes"
        ),
        pytest.param('"""\n>>> 1\n2\n"""\n', "python", "a\\b\n", id="backslash-in-docstring"),
        pytest.param("```pycon\n>>> 1\n2\n```\n", "markdown", ">>> 3\n", id="prompt"),
        pytest.param(
            "```python\nprint(1)  #> 2\n```\n", "markdown", "1\n2\n", id="lines-behind-code"
        ),
    ],
)
def test_an_output_that_cannot_stand_there_is_refused(text: str, format: Format, got: str) -> None:
    """The document must read the same after the edit."""
    with pytest.raises(rewrite.CannotRewrite):
        rewrite.edit(shown(text, format), got)


def test_the_patch_is_a_unified_diff() -> None:
    """Also where the last line has no end."""
    assert rewrite.patch("docs/a.md", "x\ny", "x\nz") == dedent(
        """\
        --- a/docs/a.md
        +++ b/docs/a.md
        @@ -1,2 +1,2 @@
         x
        -y
        \\ No newline at end of file
        +z
        \\ No newline at end of file
        """
    )
    assert rewrite.patch("a", "x", "x") == ""
