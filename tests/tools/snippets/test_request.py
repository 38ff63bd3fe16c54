"""What may be validated at a time: more than that is refused with a number, not with a full memory."""

import os
from pathlib import Path
from typing import Any

import pytest

from proofbox.server.sandbox import InvalidInput
from proofbox.tools.validate_snippets import request
from proofbox.tools.validate_snippets.extract import extract as extract_page
from proofbox.tools.validate_snippets.project import with_project
from proofbox.tools.validate_snippets.request import Item, SnippetsRequest, documents
from proofbox.tools.validate_snippets.snippet import Page


def sparse(file: Path, size: int) -> None:
    """A file of so many bytes that takes no room."""
    with file.open("wb") as stream:
        stream.truncate(size)


def test_documents_that_are_too_much_together_are_refused(tmp_path: Path) -> None:
    """Before any is read."""
    for number in range(10):
        sparse(tmp_path / f"{number}.md", 7 * 1024**2)

    with pytest.raises(InvalidInput, match="73,400,320 bytes; at most 67,108,864"):
        documents(SnippetsRequest(paths=(".",)), [tmp_path])


def test_a_file_that_is_too_large_is_said_of_that_file(tmp_path: Path) -> None:
    """The others are validated, and the run cannot pass."""
    sparse(tmp_path / "a.md", request.MAX_FILE_BYTES + 1)
    (tmp_path / "b.md").write_text("```python\nx = 1\n```\n")

    large, other = documents(SnippetsRequest(paths=(".",)), [tmp_path])

    assert "larger than 8,388,608 bytes" in large.unreadable
    assert (other.unreadable, len(other.page.snippets)) == ("", 1)


def test_a_notebook_that_is_none_cannot_be_passed_over(tmp_path: Path) -> None:
    """Conflict marks of a merge make it unreadable; without an error, the pages beside it would pass for it."""
    (tmp_path / "a.ipynb").write_text('{"cells": [\n<<<<<<< HEAD\n')

    (by_path,) = documents(SnippetsRequest(paths=(".",)), [tmp_path])
    (by_text,) = documents(SnippetsRequest(text="{", format="notebook"), [])

    assert "This is not a notebook of format 4" in by_path.unreadable
    assert "This is not a notebook of format 4" in by_text.unreadable


def test_what_only_looks_like_a_page_is_not_read(tmp_path: Path) -> None:
    """Links in a circle lead nowhere, and of a pipe nothing would come."""
    (tmp_path / "a.md").write_text("```python\n{!> loop.py !}\n```\n")
    for name in ("loop.md", "loop.py", "pyproject.toml"):
        (tmp_path / name).symlink_to(name)
    os.mkfifo(tmp_path / "pipe.md")

    (found,) = documents(SnippetsRequest(paths=(".",)), [tmp_path])

    assert [one.unresolved for one in found.page.snippets] == ["loop.py"]
    (tmp_path / "nul.md").write_text("```python\n{!> ../a\0b.py !}\n```\n")
    (nul,) = documents(SnippetsRequest(paths=("nul.md",)), [tmp_path])
    assert nul.unreadable == ""
    assert [one.unresolved for one in nul.page.snippets] == ["../a\0b.py"]
    assert with_project(SnippetsRequest(paths=("\0",)), [tmp_path]).project is None
    for name in ("loop.md", "pipe.md", f"{'a' * 300}.md"):
        with pytest.raises(InvalidInput, match=r"does not exist|neither a file"):
            documents(SnippetsRequest(paths=(name,)), [tmp_path])


def test_no_two_documents_have_one_name(tmp_path: Path) -> None:
    """A failure that is known of the one would be forgiven the other."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        (folder / "README.md").write_text("")
    (folders[1] / "page.md").write_text("")

    paths = tuple(map(str, folders))
    names = [one.name for one in documents(SnippetsRequest(paths=paths), folders)]

    assert names == [str(folders[0] / "README.md"), str(folders[1] / "README.md"), "page.md"]


def test_a_file_that_proofbox_fails_at_costs_no_other_its_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is an error of its own, and what happened is in the log."""
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("```python\nx = 1\n```\n")
    real = extract_page

    def extract(text: str, file: str, *rest: Any, **named: Any) -> Page:
        if file.endswith("a.md"):
            raise IndexError("a fault")
        return real(text, file, *rest, **named)

    monkeypatch.setattr(request, "extract", extract)

    bad, good = documents(SnippetsRequest(paths=(".",)), [tmp_path])

    assert "proofbox has a fault" in bad.unreadable
    assert len(good.page.snippets) == 1
    assert "a fault" in caplog.text


def test_an_include_without_lines_of_its_own_may_be_missing(tmp_path: Path) -> None:
    """As in MyST, where the directive is all that there is."""
    (tmp_path / "a.md").write_text("# A\n\n```{literalinclude} none.py\n:language: python\n```\n")

    (document,) = documents(SnippetsRequest(paths=(".",)), [tmp_path])

    (snippet,) = document.page.snippets
    (problem,) = document.page.problems
    assert (document.unreadable, snippet.unresolved) == ("", "none.py")
    assert (problem.kind, problem.position.line) == ("include_not_found", 3)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their limit."""
    monkeypatch.setattr(request, "MAX_FILES", 3)
    for number in range(4):
        (tmp_path / f"{number}.md").touch()

    with pytest.raises(InvalidInput, match="more than 3 files"):
        documents(SnippetsRequest(paths=(".",)), [tmp_path])


def test_raw_items_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by size; each has an id of its own."""
    monkeypatch.setattr(request, "MAX_ITEMS", 2)
    monkeypatch.setattr(request, "MAX_BYTES", 10)

    for items, says in (
        ([Item(str(n), "x") for n in range(3)], "3 items; at most 2"),
        ([Item("a", "x" * 11)], "11 bytes; at most 10"),
        ([Item("a", "x"), Item("a", "y")], "the same id"),
    ):
        with pytest.raises(InvalidInput, match=says):
            documents(SnippetsRequest(snippets=tuple(items)), [])


def test_a_language_that_is_none_does_not_hold_up_the_others() -> None:
    """It is one that is not run."""
    items = (Item("a", "x", "c sharp"), Item("b", "x = 1", ""), Item("c", "x = 1"))

    (document,) = documents(SnippetsRequest(snippets=items), [])

    assert [one.language for one in document.page.snippets] == ["c-sharp", "text", "python"]
