"""Code and documentation that a model wrote, held to what they say, without running either on this machine.

The strings stand for what your own agent produces. Each test reads the verdict: `failed` means that the code
did it, `errored` that nothing is known, and only `passed` is good.
"""

import pytest

from proofbox.server.testing import Proofbox

pytestmark = pytest.mark.anyio

SLUG = """
import re

def slug(title):
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))
"""

TESTS = """
from slug import slug

def test_words_are_joined_by_hyphens():
    assert slug("Hello, World!") == "hello-world"

def test_nothing_comes_of_nothing():
    assert slug(" ... ") == ""
"""

PAGE = """
```python
from collections import Counter

print(Counter("banana").most_common(1))
#> [('a', 3)]
```
"""


async def test_the_function_does_what_was_asked(proofbox: Proofbox) -> None:
    """A session keeps what the first call defined."""
    defined = await proofbox.call("execute_code", code=SLUG)
    used = await proofbox.call(
        "execute_code", code="slug('Hello, World!')", session_id=defined.session_id
    )

    assert (defined.verdict, used.verdict, used.value) == ("passed", "passed", "'hello-world'")


async def test_its_tests_are_worth_keeping(proofbox: Proofbox) -> None:
    """They pass, and each of them fails when the function is broken on purpose."""
    report = await proofbox.call(
        "run_generated_tests", source={"slug.py": SLUG}, tests={"test_slug.py": TESTS}
    )

    assert report.verdict == "passed", report.reason


async def test_its_documentation_shows_what_it_prints(proofbox: Proofbox) -> None:
    """`without_oracle` counts examples that merely ran, with nothing shown to compare with."""
    report = await proofbox.call("validate_snippets", text=PAGE)

    assert (report.verdict, report.without_oracle) == ("passed", 0), report.reason


async def test_a_loop_without_an_end_is_caught(proofbox: Proofbox) -> None:
    """And said to be the code's own doing."""
    report = await proofbox.call("execute_code", code="while True: pass", timeout_seconds=1)

    assert report.verdict == "failed"
