"""Code that a page includes from other files."""

from pathlib import Path

import pytest

from proofbox.tools.validate_snippets.extract import extract
from proofbox.tools.validate_snippets.includes import read_within
from proofbox.tools.validate_snippets.snippet import Page

MODULE = """\
import os
# --8<-- [start:part]
x = 1
# --8<-- [end:part]

def f():
    return x
# ANCHOR: tail
y = 2
# ANCHOR_END: tail
"""


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "guide").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "m.py").write_text(MODULE)
    return tmp_path / "docs" / "guide" / "page.md"


def page(text: str, docs: Path, format: str = "markdown", root: str = "") -> Page:
    top = docs.parent.parent.parent
    kind = "rst" if format == "rst" else "markdown"
    return extract(text, str(docs), kind, read_within([top / root if root else top]))


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        pytest.param(
            '```python\n--8<-- "src/m.py:part"\n```\n', "x = 1\n", 3, id="snippet-section"
        ),
        pytest.param(
            '```python\n--8<-- "src/m.py:6:7"\n```\n',
            "def f():\n    return x\n",
            6,
            id="snippet-lines",
        ),
        pytest.param("```python\n{!> ../../src/m.py[ln:3]!}\n```\n", "x = 1\n", 3, id="mkdocs"),
        pytest.param(
            "{* ../../src/m.py ln[6:7] hl[1] *}\n", "def f():\n    return x\n", 6, id="star"
        ),
        pytest.param("```python\n{{#include src/m.py:tail}}\n```\n", "y = 2\n", 9, id="mdbook"),
        pytest.param("```python\n--8<--\nsrc/m.py\n--8<--\n```\n", None, 1, id="block-form"),
        pytest.param(
            "```{literalinclude} ../../src/m.py\n:lines: 3\n```\n", "x = 1\n", 3, id="myst"
        ),
    ],
)
def test_the_included_lines_are_the_snippet(
    docs: Path, text: str, code: str | None, line: int
) -> None:
    """The pointer is replaced, and positions lead into the included file."""
    found = page(text, docs)

    (snippet,) = found.snippets
    assert code is None or snippet.code == code
    assert (snippet.file, snippet.unresolved) == (str(docs), "")
    position = snippet.position(1)
    assert (Path(position.file).name, position.line) == ("m.py", line)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param(":pyobject: f", "def f():\n    return x\n", id="object"),
        pytest.param(
            ":start-after: end:part\n   :end-before: ANCHOR:",
            "\ndef f():\n    return x\n",
            id="between",
        ),
        pytest.param(":start-at: def f\n   :end-at: return", "def f():\n    return x\n", id="at"),
        pytest.param(":lines: 1,3", "import os\nx = 1\n", id="lines"),
    ],
)
def test_literalinclude_takes_the_part_that_its_options_name(
    docs: Path, options: str, code: str
) -> None:
    """Sphinx's ways to choose lines are followed."""
    text = f".. literalinclude:: ../../src/m.py\n   {options}\n   :language: python\n"

    (snippet,) = page(text, docs, "rst").snippets

    assert snippet.code == code


def test_code_around_an_include_keeps_its_own_positions(docs: Path) -> None:
    """Lines of the page and of the file are each where they are."""
    text = '```python\na = 0\n--8<-- "src/m.py:part"\nb = 2\n```\n'

    (snippet,) = page(text, docs).snippets

    assert snippet.code == "a = 0\nx = 1\nb = 2\n"
    places = [(Path(p.file).name, p.line) for p in map(snippet.position, (1, 2, 3))]
    assert places == [("page.md", 2), ("m.py", 3), ("page.md", 4)]


@pytest.mark.parametrize(
    ("pointer", "kind"),
    [
        pytest.param("missing.py", "include_not_found", id="missing"),
        pytest.param("src/m.py:nosuchpart", "include_not_found", id="no-section"),
        pytest.param("../../../../../../../../etc/hostname", "include_refused", id="outside"),
        pytest.param("/etc/hostname", "include_refused", id="absolute"),
        pytest.param("/etc/nosuchfile", "include_refused", id="absolute-missing"),
        pytest.param("src/m.py:50:60", "include_not_found", id="no-such-lines"),
    ],
)
def test_what_cannot_be_included_is_reported(docs: Path, pointer: str, kind: str) -> None:
    """The snippet stays, marked as unresolved; whether a file exists outside is not told."""
    found = page(f'text\n\n```python\n--8<-- "{pointer}"\n```\n', docs)

    (problem,) = found.problems
    assert (problem.kind, problem.position.line) == (kind, 4)
    assert found.snippets[0].unresolved


def test_a_link_does_not_lead_out_of_the_allowed_folders(docs: Path) -> None:
    """A symbolic link to a file outside is not followed."""
    (docs.parent / "link.py").symlink_to(docs.parent.parent.parent / "src" / "m.py")

    found = page('```python\n--8<-- "link.py"\n```\n', docs, root="docs")

    assert found.snippets[0].unresolved == "link.py"


def test_without_a_reader_includes_are_problems() -> None:
    """Text that came without files has nothing to include."""
    found = extract('```python\n--8<-- "x.py"\n```\n', "text", "markdown")

    assert [problem.kind for problem in found.problems] == ["include_not_found"]
