"""Blocks that are not code, and mistakes that are."""

import pytest

from proofbox.tools.validate_snippets.content import not_code
from proofbox.tools.validate_snippets.hints import hints


@pytest.mark.parametrize(
    ("code", "word"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("# only\n# comments\n", "comments", id="comments"),
        pytest.param("...\n", "placeholder", id="ellipsis"),
        pytest.param(
            "Traceback (most recent call last):\n  File x\nE: no\n", "traceback", id="traceback"
        ),
        pytest.param("ValueError: not a number here\n", "traceback", id="last-line"),
        pytest.param("pip install proofbox\npython main.py\n", "shell", id="shell"),
        pytest.param("- x = 1\n+ x = 2\n  y = 3\n", "diff", id="diff"),
        pytest.param("--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n", "diff", id="unified-diff"),
        pytest.param("f(a, ..., key=1, ...)\n", "placeholder", id="left-out-arguments"),
        pytest.param("def f(...) -> int:\n    ...\n", "placeholder", id="left-out-parameters"),
        pytest.param("x = <your value>\n", "placeholder", id="angle-brackets"),
        pytest.param("x = [1, \u2026]\ny = f(\u2026)\n", "placeholder", id="unicode-ellipsis"),
        pytest.param('... "name": item.name ...\n', "placeholder", id="fragment-of-a-line"),
        pytest.param("def f(a: int) -> str\n", "signature", id="header"),
        pytest.param("class A(B):\ndef f(self):\n", "signature", id="headers"),
        pytest.param("@click.option('--x')\n", "decorators", id="decorator"),
        pytest.param("if ask('Continue'):\n", "body", id="no-body"),
        pytest.param(
            '{"a": true, "b": [1.5, null], }\n'.replace(", }", "}"), "", id="json-that-parses"
        ),
        pytest.param('[{"a": 01}, 1 2]\n', "", id="neither"),
        pytest.param("<div>\n  text here\n</div>\n", "markup", id="html"),
        pytest.param("{% for x in xs %}\nx\n{% endfor %}\n", "template", id="template"),
        pytest.param("This explains how the program works in words.\n", "prose", id="prose"),
        pytest.param("+-----+\n| a b |\n+-----+\n| 1 2 |\n+-----+\n", "table", id="table"),
    ],
)
def test_what_is_not_code_is_recognised_with_a_reason(code: str, word: str) -> None:
    """A sentence says what the block is instead."""
    reason = not_code(code)

    assert (word in reason) if word and reason else (not word and reason is None)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("print('a'\n", id="bracket"),
        pytest.param("x = 1\nif x > 0\n    print(x)\n", id="colon"),
        pytest.param("def f(a)\n    return a\n", id="colon-of-def-with-body"),
        pytest.param("for i in range(3) print(i)\n", id="one-line"),
        pytest.param("class A:\nx = 1\n", id="indentation"),
        pytest.param("x = 'abc\nprint(x)\n", id="quote"),
        pytest.param("form pydantic import BaseModel\n", id="misspelt-keyword"),
        pytest.param("class A:\n    ...\ndef g(:\n    return 1\n", id="parameters"),
        pytest.param("retrun x\n", id="two-words"),
        pytest.param("user = User(id=1 name='x')\n", id="comma"),
    ],
)
def test_a_mistake_in_code_stays_a_mistake(code: str) -> None:
    """Code that somebody broke must fail, not be skipped."""
    assert not_code(code) is None


@pytest.mark.parametrize(
    ("code", "is_code"),
    [("# type: ignore", True), ("# pyright: ignore\n# noqa: E501", True), ("# a remark", False)],
)
def test_comments_are_no_code_unless_tools_read_them(code: str, is_code: bool) -> None:
    """A page about a type checker shows nothing else."""
    assert (not_code(code) is None) is is_code


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        pytest.param("import httpx\nhttpx.get('https://x.org')", {"network"}, id="network"),
        pytest.param("x = 'http://localhost:8000'", set[str](), id="local"),
        pytest.param("client = C(api_key='sk-...')", {"credentials"}, id="key"),
        pytest.param("import os\nos.environ['OPENAI_API_KEY']", {"credentials"}, id="environment"),
        pytest.param("os.getenv('HOME')", set[str](), id="harmless-environment"),
        pytest.param("C(token='')", {"credentials"}, id="empty-token"),
        pytest.param("name = input('Name: ')", {"interactive"}, id="input"),
        pytest.param("uvicorn.run(app)", {"server"}, id="server"),
        pytest.param("while True:\n    x()", {"server"}, id="endless"),
        pytest.param("while True:\n    break", set[str](), id="not-endless"),
        pytest.param("pd.read_csv('data.csv')", {"file"}, id="file"),
        pytest.param("open('out.txt', 'w')", set[str](), id="written"),
        pytest.param("!pip install x", {"install"}, id="install"),
        pytest.param("import time\ntime.sleep(5)", {"sleep"}, id="sleep"),
        pytest.param("x = = 1", set[str](), id="not-python"),
    ],
)
def test_hints_tell_what_a_snippet_will_want(code: str, kinds: set[str]) -> None:
    """Read from the text, with the line that tells."""
    assert {hint.kind for hint in hints(code)} == kinds
