"""Snippets in notebooks."""

import json
from typing import Any

import pytest

from proofbox.tools.validate_snippets.extract import extract

CELLS: list[dict[str, Any]] = [
    {"cell_type": "markdown", "source": ["# Title"], "metadata": {}},
    {"cell_type": "code", "source": ["x = 1\n", "y = 2"], "metadata": {}, "outputs": []},
    {"cell_type": "code", "source": "1/0\nz", "metadata": {"tags": ["raises-exception"]}},
    {"cell_type": "code", "source": [], "metadata": {}},
]


@pytest.mark.parametrize(
    ("indent", "lines"),
    [
        pytest.param(1, [(13, 14), (21, 21)], id="pretty"),
        pytest.param(None, [(1, 1), (1, 1)], id="minified"),
    ],
)
def test_cells_are_found_where_they_stand_in_the_json(
    indent: int | None, lines: list[tuple[int, int]]
) -> None:
    """Line numbers are those of the file on disk, for saved and for minified notebooks."""
    text = json.dumps({"cells": CELLS, "metadata": {}, "nbformat": 4}, indent=indent)

    found = extract(text, "n.ipynb", "notebook")

    assert [snippet.code for snippet in found.snippets] == ["x = 1\ny = 2\n", "1/0\nz\n"]
    assert [(s.line, s.end_line) for s in found.snippets] == lines
    rows = text.split("\n")
    for snippet in found.snippets:
        first = snippet.position(1)
        assert rows[first.line - 1][first.column - 1 :].startswith(snippet.code.split("\n")[0])
    assert found.snippets[1].marks.raises == "*"
    assert {snippet.document for snippet in found.snippets} == {0}


CELL = '{"cell_type": "code", "source": "x"'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"cells": 3}',
        '{"cells": [3]}',
        "[" * 5000,
        '{"cells": [{"cell_type": "code", "source": [1]}]}',
        f'{{"cells": [{CELL}}}], "metadata": null}}',
        f'{{"cells": [{CELL}}}], "metadata": {{"kernelspec": "x"}}}}',
        f'{{"cells": [{CELL}}}], "metadata": {{"language_info": {{"name": 5}}}}}}',
        f'{{"cells": [{CELL}, "metadata": {{"tags": null}}}}]}}',
    ],
)
def test_what_is_no_notebook_is_reported(text: str) -> None:
    """A broken file is a problem, never an exception."""
    found = extract(text, "n.ipynb", "notebook")

    assert [problem.kind for problem in found.problems] == ["unreadable_notebook"]
