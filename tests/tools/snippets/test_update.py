"""Whole files with the real outputs in the place of wrong ones, byte for byte the same elsewhere."""

import difflib
import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path
from textwrap import indent

import pytest

from proofbox.tools.validate_snippets import rewrite, update
from proofbox.tools.validate_snippets.extract import extract, format_of
from proofbox.tools.validate_snippets.judged import Wrong
from proofbox.tools.validate_snippets.oracles import Raised
from proofbox.tools.validate_snippets.snippet import Expected, Page
from proofbox.tools.validate_snippets.update import Update

CONTAINERS: dict[str, Callable[[str], str]] = {
    "at the margin": lambda text: text,
    "in a list": lambda text: "- item\n\n" + indent(text, "  "),
    "behind tabs": lambda text: "!!! note\n\n" + indent(text, "\t"),
    "in an admonition": lambda text: "!!! note\n\n" + indent(text, "    "),
    "in a quote": lambda text: indent(text, "> ", lambda _: True),
    "in a narrow quote": lambda text: indent(text, ">", lambda _: True),
    "in JSX": lambda text: f"<Tab>\n{indent(text, '  ')}</Tab>\n",
}
ORACLES = {
    "a comment": "```python\nif True:\n    print(1)\n    #> 2\n    #> 3\n```\n",
    "examples": "```pycon\n>>> f()\n2\n>>> x\n```\n",
    "a block": "```python\nprint(1)\n```\n\n```output\n2\n```\n",
    "a console": "```console\n$ echo a\nb\n$ echo c\n```\n",
    "a string": '```python\nprint(1)\n"""\n2\n"""\n```\n',
}
OTHERS = {
    "testoutput.rst": ".. testcode::\n\n   print(1)\n\n.. testoutput::\n\n   2\n\nText.\n",
    "options.rst": ".. testcode:: g\n\n   f()\n\n.. testoutput:: g\n   :options: +ELLIPSIS\n\n   2\n\nText.\n",
    "doctest.rst": ".. doctest::\n\n   >>> 1\n   2\n\nText.\n",
    "bare.rst": "Text.\n\n>>> 1\n2\n\nText.\n",
    "literal.rst": "Text::\n\n    >>> 1\n    2\n    >>> 3\n\nText.\n",
    "comment.rst": ".. code-block:: python\n   :caption: x\n\n   print(1)\n   #> 2\n\nText.\n",
    "console.rst": ".. code-block:: console\n\n   $ echo a\n   b\n\nText.\n",
    "bare.txt": "Text.\n\n    >>> 1\n    2\n\nText.\n",
    "docstring.py": 'def f():\n    """Do.\n\n    >>> f()\n    2\n    """\n',
    "fence.py": 'def f():\n    """Do.\n\n    ```python\n    print(1)\n    #> 2\n    ```\n    """\n',
    "tabs.py": 'def f():\n\t"""Do.\n\n\t>>> f()\n\t2\n\t"""\n',
    "directive.md": "```{eval-rst}\n.. doctest::\n\n   >>> 1\n   2\n```\n",
    "myst.md": "```{testcode}\nprint(1)\n```\n\n```{testoutput}\n2\n```\n",
    "cell.md": "```{code-cell}\nprint(1)\n#> 2\n```\n",
    "tilde.md": "~~~pycon\n>>> 1\n2\n~~~\n",
}
DOCUMENTS = {
    **{
        f"{oracle} {place}.md": contain(text) + "\n\nEnd.\n"
        for (oracle, text), (place, contain) in itertools.product(
            ORACLES.items(), CONTAINERS.items()
        )
    },
    **OTHERS,
}


def shown(page: Page) -> list[Expected]:
    """All that a page shows."""
    return [
        expected
        for snippet in page.snippets
        for expected in (
            *(example.want for example in snippet.examples if example.want),
            *(command.output for command in snippet.commands if command.output),
            *snippet.expected,
        )
    ]


def updated(file: str, text: str, *real: str | Raised) -> Update:
    """The update of a page whose outputs are these, from the first one on."""
    format = format_of(file)
    assert format is not None
    found = shown(extract(text, file, format))
    wrong = [Wrong(one, got) for one, got in zip(found, real, strict=True)]
    (change,) = update.updates(wrong, lambda _: text)
    return change


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "bom"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("file", DOCUMENTS)
def test_only_the_lines_of_the_output_change(file: str, end: str, mark: str) -> None:
    """Whatever it stands in, shorter or longer than before, with and without a line end at the end."""
    whole = mark + DOCUMENTS[file].replace("\n", end)
    for text, got in itertools.product(
        (whole, whole.removesuffix(end)), ("1\n", "1\n\n  3\n", "é \t x\n")
    ):
        change = updated(file, text, got)

        assert (change.outputs, change.refused) == (1, ())
        rows, new = text.split("\n"), change.after.split("\n")
        codes = difflib.SequenceMatcher(None, rows, new, autojunk=False).get_opcodes()
        assert len([code for code in codes if code[0] != "equal"]) == 1
        assert change.after.count("\n") == change.after.count(end)
        assert change.after.startswith(mark)
        (now,) = shown(extract(change.after, file, format_of(file) or "markdown"))
        there = now.text.replace("<BLANKLINE>", "").split("\n")
        assert [row.strip() for row in there] == [row.strip() for row in got.split("\n")]


@pytest.mark.parametrize(
    ("file", "text", "real", "says"),
    [
        ("a.py", '"""\n>>> 1\n2"""\n', "1\n", "hold more than the output"),
        ("a.md", "```pycon\n>>> 1\n2\n```\n", "```\n", "same examples"),
        ("a.md", "```pycon\n>>> 1\n2\n```\n", "x" * 30_000, "prints 30,000 characters"),
        ("a.md", "```pycon\n>>> 1\n2\n```\n", "", "Nothing was printed"),
        (
            "a.md",
            "```pycon\n>>> f()\nTraceback (most recent call last):\nKeyError: 1\n```\n",
            Raised("NameError", "name 'f' is not defined"),
            "what the example needs is not there",
        ),
        (
            "a.md",
            "```pycon\n>>> f()\nTraceback (most recent call last):\nKeyError: 1\n```\n",
            Raised("KeyError", "1\n2"),
            "several lines",
        ),
    ],
)
def test_what_would_spoil_the_page_is_left_and_named(
    file: str, text: str, real: str | Raised, says: str
) -> None:
    """With its line, and nothing is changed."""
    change = updated(file, text, real)

    assert change.after == change.before == text
    ((line, why),) = change.refused
    assert says in why
    assert text.split("\n")[line - 1].startswith(("2", "Traceback"))


def test_one_that_cannot_stand_does_not_hold_up_the_others() -> None:
    """Only it is left."""
    text = "```pycon\n>>> 1\n2\n```\n\n```pycon\n>>> 3\n4\n```\n"

    change = updated("a.md", text, "```\n", "3\n")

    assert change.after == text.replace("4", "3")
    assert [line for line, _ in change.refused] == [3]


def test_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    """A file in another encoding is not spoiled."""
    file = tmp_path / "a.md"
    before = b"\xff caf\xe9\n```pycon\n>>> 1\n2\n```\n"
    file.write_bytes(before)
    (one,) = shown(extract(update.read_file(str(file)), str(file), "markdown"))

    (change,) = update.updates([Wrong(one, "1\n")], update.read_file)
    written = update.write(change)

    assert written.written
    assert file.read_bytes() == before.replace(b"2", b"1")


def test_a_file_that_was_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """Between the run and the patch, and between the patch and the writing."""
    file = tmp_path / "a.md"
    file.write_text("```pycon\n>>> 1\n2\n```\n")
    (one,) = shown(extract(file.read_text(), str(file), "markdown"))
    (change,) = update.updates([Wrong(one, "1\n")], update.read_file)
    file.write_text("```pycon\n>>> 1\nother\n```\n")

    (late,) = update.updates([Wrong(one, "1\n")], update.read_file)
    written = update.write(change)

    assert (late.outputs, len(late.refused)) == (0, 1)
    assert not written.written
    assert written.refused == ((1, "The file has changed meanwhile."),)
    assert "other" in file.read_text()


def test_a_file_that_two_pages_include_must_print_the_same_in_both() -> None:
    """Else there is no one real output."""
    text = "print(x)\n#> 0\n"
    one = Expected("comment", "0\n", "part.inc", 2, 2, 2, 1)

    (same,) = update.updates([Wrong(one, "1\n"), Wrong(one, "1\n")], lambda _: text)
    (other,) = update.updates([Wrong(one, "1\n"), Wrong(one, "2\n")], lambda _: text)

    assert same.after == "print(x)\n#> 1\n"
    assert other.after == text
    assert {why for _, why in other.refused} == {
        "It prints different things in the pages that include it."
    }


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_git_takes_the_patch(tmp_path: Path, end: str) -> None:
    """And makes the same file of it."""
    text = "".join(f"line {n}{end}" for n in range(20)) + f"```pycon{end}>>> 1{end}2{end}```"
    change = updated("a.md", text, "1\n3\n")
    (tmp_path / "a.md").write_bytes(text.encode())

    subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        input=rewrite.patch("a.md", change.before, change.after).encode(),
        cwd=tmp_path,
        check=True,
    )

    assert (tmp_path / "a.md").read_bytes() == change.after.encode()
