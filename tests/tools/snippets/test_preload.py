"""What snippets import so often that their sandbox has it already."""

from dataclasses import dataclass

from proofbox.tools.validate_snippets.extract import extract
from proofbox.tools.validate_snippets.preload import PUT_OFF, preloaded
from proofbox.tools.validate_snippets.snippet import Snippet


@dataclass
class Case:
    """A snippet that is to be run."""

    snippet: Snippet


def cases(code: str, count: int) -> list[Case]:
    """The same block so many times."""
    page = extract(f"```python\n{code}\n```\n" * count, "page.md", "markdown")
    return [Case(each) for each in page.snippets]


def test_a_module_that_many_snippets_import_comes_with_what_it_puts_off() -> None:
    """pydantic imports its core only when the first model is made, in each program."""
    early = preloaded(cases("from pydantic import BaseModel", 8))

    assert {"pydantic", "pydantic.main", "zipfile"} <= set(early)
    assert list(early) == sorted(early)


def test_nothing_is_preloaded_that_an_example_could_then_forget_to_import() -> None:
    """A part of a package is an attribute of it for everybody once somebody has imported it."""
    for name, later in PUT_OFF.items():
        assert [part for part in later if "." in part and not part.startswith(f"{name}.")] == []


def test_a_module_of_few_snippets_or_of_an_unknown_project_is_left_to_them() -> None:
    """A sandbox of its own costs more than a few imports; what is unknown may print, or start threads."""
    assert preloaded(cases("import pydantic", 7)) == ()
    assert preloaded(cases("import surprising", 8)) == ()
