"""What was meant by a wrong name."""

from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from proofbox.server.assembly import open_app
from proofbox.server.settings import Settings
from proofbox.tools._app import App
from proofbox.tools.validate_snippets import near
from proofbox.tools.validate_snippets.request import SnippetsRequest
from proofbox.tools.validate_snippets.run import run

WRONG = {
    "import json\njson.dump_s({})": (
        "json has dumps, dump; it has no dump_s. Smallest fix: json.dumps({})"
    ),
    "from collections import OrderdDict": (
        "collections has OrderedDict, UserDict; it has no OrderdDict. "
        "Smallest fix: from collections import OrderedDict"
    ),
    "import email.mesage": (
        "email has message; it has no mesage. Smallest fix: import email.message"
    ),
    "values = [1]\nprint(valeus)": "There is values, vars, eval. Smallest fix: print(values)",
    '"a".uper()': 'a str has upper, isupper; it has no uper. Smallest fix: "a".upper()',
    "def greet(name, *, loud=False): ...\ngreet('x', loude=True)": (
        "greet has loud; it has no loude. The signature is greet(name, *, loud=False). "
        "Smallest fix: greet('x', loud=True)"
    ),
    "import textwrap\ntextwrap.dedent()": "The signature is dedent(text).",
    "1 / 0": "",
}


@pytest.fixture
async def app(local_cache: Path) -> AsyncGenerator[App]:
    """An App over the local backend."""
    async with open_app(Settings(backend="local", cache_dir=local_cache), warm=False) as app:
        yield app


async def test_a_wrong_name_comes_with_the_real_one(app: App) -> None:
    """As the objects in the sandbox have it: attributes, names, signatures, and the line put right."""
    text = "".join(f"```python\n{code}\n```\n" for code in WRONG)

    with anyio.fail_after(60):
        report = await run(app, "local", SnippetsRequest(text=text, mode="isolated"))

    results = sorted(report.files[0].results, key=lambda result: result.snippet_index)
    hints = dict(zip(WRONG, (result.hint for result in results), strict=True))
    assert {result.kind for result in results} == {"raises"}
    assert hints == WRONG


@pytest.mark.parametrize(
    ("line", "wrong", "meant", "fixed"),
    [
        ("x.dump_s(1)", "dump_s", ("dumps", "dump"), "x.dumps(1)"),
        ("x.nothing(1)", "nothing", ("something",), ""),
        ("x.dumq(1)", "dumq", ("dump", "dumb"), ""),
        ("dumq = x.dumq", "dumq", ("dump",), ""),
        ("x.dumq(1)", "dumq", (), ""),
    ],
)
def test_a_line_is_put_right_only_where_one_name_can_be_meant(
    line: str, wrong: str, meant: tuple[str, ...], fixed: str
) -> None:
    """Not where two are alike, none is, or it is not sure which word of the line is wrong."""
    assert near.fix(line, wrong, meant) == fixed
