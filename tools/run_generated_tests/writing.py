"""What a model is asked to write."""

from .project import Project

FILE = "tests/test_generated.py"
_MOST_CHARACTERS = 60_000
_RULES = """\
Write one pytest file that tests the Python source below. Answer with that file alone, whole, in one
```python fence.

- Import the code exactly as it is named below; use only names that the source has.
- Assert exact values that follow from what the code is meant to do. A test must fail if the function that
  it calls is broken; `is not None`, `isinstance` and the code's own formula as expected value prove nothing.
- Cover every branch, the edges and the errors (`pytest.raises` with the exact exception and `match`).
- No network, no sleeping, no clock, no unseeded randomness, no order between tests, no mocks of what is
  tested, no skips. Every test has its own name.
- Only the standard library, pytest and these packages: {packages}.
"""


def first(project: Project) -> str:
    """The first question: the rules and the source."""
    packages = ", ".join(project.packages) or "none"
    return f"{_RULES.format(packages=packages)}\n{_source(project)}"


def again(project: Project, text: str, feedback: str) -> str:
    """The next: what was written, and what became of it."""
    return (
        f"{first(project)}\n\nYou have written this file:\n\n```python\n{text}\n```\n\n"
        f"It was run. What is to be mended, one line a cause:\n\n{feedback}\n\n"
        "Write the whole file again: leave the good tests as they are, mend or drop the others, and add "
        "what is missing."
    )


def _source(project: Project) -> str:
    parts: list[str] = []
    left = _MOST_CHARACTERS
    for module in project.sources:
        text = project.text(module.path)
        shown = text[:left]
        left -= len(shown)
        cut = "\n# ... the rest is left out" if len(shown) < len(text) else ""
        parts.append(f"# {module.path}, imported as {module.name}\n```python\n{shown}{cut}\n```")
        if left <= 0:
            break
    return "\n\n".join(parts)
