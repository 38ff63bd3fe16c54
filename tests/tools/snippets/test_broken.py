"""Working examples, each broken in the ways in which examples break: none may get through."""

from pathlib import Path

import anyio
import pytest

from proofbox.server.assembly import open_app
from proofbox.server.settings import Settings
from proofbox.tools.validate_snippets.request import Item, SnippetsRequest
from proofbox.tools.validate_snippets.run import run

WORKING = {
    "json": 'import json\n\nrow = json.loads(\'{"a": 1}\')\nprint(row["a"])\n#> 1',
    "class": (
        "from dataclasses import dataclass\n\n\n@dataclass\nclass Point:\n    x: int\n\n\n"
        "print(Point(x=1))\n#> Point(x=1)"
    ),
    "statistics": "import statistics\n\nmiddle = statistics.median([3, 1, 2])\nassert middle == 2",
}
# What is replaced by what, and the line that must be named.
BROKEN = [
    ("json", "json.loads", "json.load_s", 3),
    ("json", "('{\"a\": 1}')", "()", 3),
    ("json", "#> 1", "#> 2", 5),
    ("json", "import json", "", 3),
    ("json", '"a"])', '"a")', 4),
    ("class", "@dataclass", "@dataclas", 4),
    ("class", "Point(x=1))\n", "Point())\n", 9),
    ("class", "#> Point(x=1)", "#> Point(x=2)", 10),
    ("class", "from dataclasses import dataclass", "", 4),
    ("class", "class Point:", "class Point", 5),
    ("statistics", "statistics.median", "statistics.medium", 3),
    ("statistics", "([3, 1, 2])", "()", 3),
    ("statistics", "== 2", "== 3", 4),
    ("statistics", "import statistics", "", 3),
    ("statistics", "[3, 1, 2]", "[3, 1, 2", 3),
]


@pytest.mark.slow
async def test_what_is_broken_is_caught_at_its_line(local_cache: Path) -> None:
    """A renamed attribute, a removed argument, another output, a missing import, a syntax error."""
    items = [Item(name, code) for name, code in WORKING.items()]
    for number, (name, old, new, _) in enumerate(BROKEN):
        assert WORKING[name].count(old) == 1, old
        items.append(Item(f"{number}", WORKING[name].replace(old, new)))
    request = SnippetsRequest(snippets=tuple(items), mode="isolated")
    async with open_app(Settings(backend="local", cache_dir=local_cache), warm=False) as app:
        with anyio.fail_after(120):
            report = await run(app, "local", request)

    results = {result.id: result for result in report.files[0].results}
    assert {name: results[name].kind for name in WORKING} == dict.fromkeys(WORKING, "works")
    told = [(results[str(n)].verdict, results[str(n)].error_line) for n in range(len(BROKEN))]
    assert told == [("failed", line) for *_, line in BROKEN]
