"""From replies to programs. Every program here is also run, by what its task asks for."""

import sys
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest

from proofbox.tools.benchmark_model.extraction import AnswerKind, extract
from proofbox.tools.benchmark_model.task import Task

PROMPT = '''from typing import List


def twice(x: int) -> int:
    return 2 * x


def total(values: List[int]) -> int:
    """Twice the sum of the values.

    >>> total([1, 2])
    6
    """
'''
TASK = Task("t/0", PROMPT, "total", header="import math\nfrom collections import *")
GOOD = "def total(values):\n    return 2 * sum(values)\n"
BODY = "    result = 0\n    for value in values:\n        result += 2 * value\n    return result\n"


@dataclass(frozen=True)
class Case:
    """A reply, and which of its two programs do what the task asks for."""

    reply: str
    strict: bool = True
    lenient: bool = True
    kind: AnswerKind = "reply"
    trail: str = ""


CASES = {
    "one_fence": Case(f"```python\n{GOOD}```"),
    "prose_around": Case(
        f"Sure! Here it is:\n\n```python\n{GOOD}```\n\nIt sums from left to right."
    ),
    "several_fences_and_the_usage_last": Case(
        f"```python\n{GOOD}```\nUse it so:\n```python\nprint(total([1, 2]))\n```\nwhich prints\n```\n6\n```"
    ),
    "a_wrong_first_attempt": Case(
        f"```python\ndef total(values):\n    return sum(values)\n```\nI forgot to double it:\n```python\n{GOOD}```"
    ),
    "the_stub_again_at_the_end": Case(
        f"```python\n{GOOD}```\nYour stub was:\n```python\ndef total(values):\n    pass\n```"
    ),
    "no_fence_at_all": Case(GOOD),
    "no_fence_but_prose": Case(
        f"From what you say, this is it.\nimport math\n\n{GOOD}\nThis function doubles the sum."
    ),
    "body_only_in_a_fence": Case(f"Just the body:\n```python\n{BODY}```", trail="function's body"),
    "body_only_without_indentation": Case("```\nreturn 2 * sum(values)\n```"),
    "body_only_whose_first_line_lost_its_indentation": Case(f"```python\n{BODY.lstrip()}```"),
    "body_only_without_a_fence": Case(BODY),
    "body_with_a_function_in_it": Case(
        "```python\n    def double(x):\n        return 2 * x\n    return sum(map(double, values))\n```"
    ),
    "helper_in_another_fence": Case(
        "First a helper:\n```python\ndef double(x):\n    return 2 * x\n```\nThen:\n"
        "```python\ndef total(values):\n    return sum(double(x) for x in values)\n```",
        trail="which defines what it uses",
    ),
    "helper_in_a_later_fence": Case(
        "```python\ndef total(values):\n    return sum(double(x) for x in values)\n```\nwith\n"
        "```python\ndef double(x):\n    return 2 * x\n```"
    ),
    "split_in_the_middle_of_the_function": Case(
        "```python\ndef total(values):\n```\nand then\n```python\n    return 2 * sum(values)\n```",
        trail="put all blocks together",
    ),
    "fence_in_a_list": Case(
        "1. Sum them and double that:\n   ```python\n   def total(values):\n       return 2 * sum(values)\n   ```\n"
        "2. Done."
    ),
    "fence_in_a_list_with_more_indentation": Case(
        "- So:\n  ```python\n      def total(values):\n          return 2 * sum(values)\n  ```"
    ),
    "fence_on_a_list_mark": Case(
        "* ```python\n  def total(values):\n      return 2 * sum(values)\n  ```"
    ),
    "fence_in_a_quotation": Case(
        "> ```python\n> def total(values):\n>     return 2 * sum(values)\n> ```"
    ),
    "byte_order_mark": Case("\ufeff" + GOOD, trail="byte order mark"),
    "byte_order_mark_in_the_fence": Case(f"Here\u200b:\n```python\n\ufeff{GOOD}```"),
    "windows_line_ends": Case(
        f"Here:\n\n```python\n{GOOD}```\n".replace("\n", "\r\n"), trail="line ends"
    ),
    "non_breaking_spaces": Case(f"```python\n{GOOD}```".replace("    ", "\xa0" * 4)),
    "renamed_function": Case(
        "```python\ndef sum_twice(values):\n    return 2 * sum(values)\n```",
        strict=False,
        lenient=False,
        trail="defines sum_twice, not total, and was not renamed",
    ),
    "method_of_a_class": Case(
        "```python\nclass Solution:\n    def total(self, values):\n        return 2 * sum(values)\n```",
        strict=False,
        lenient=False,
    ),
    "unclosed_fence": Case(f"```python\n{GOOD}"),
    "unclosed_fence_with_prose_behind": Case(
        f"```python\n{GOOD}\nThis doubles the sum, and isn't slow.", trail="cut it"
    ),
    "fence_closed_at_the_end_of_a_line_of_code": Case(f"```python\n{GOOD.rstrip()}```"),
    "unclosed_fence_before_another": Case(f"```python\nimport math\n```python\n{GOOD}```"),
    "longer_fence_around_a_shorter_one": Case(f"````\n{GOOD}    # ```\n````"),
    "tildes": Case(f"~~~py\n{GOOD}~~~"),
    "doctest_prompts": Case(
        "```python\n>>> def total(values):\n...     return 2 * sum(values)\n>>> total([1, 2])\n6\n```",
        trail="prompts",
    ),
    "label_in_capitals_with_attributes": Case(f'```Python title="a.py"\n{GOOD}```'),
    "label_in_braces": Case(f"```{{python}}\n{GOOD}```"),
    "label_after_prose_on_its_line": Case(f"This is it: ```python\n{GOOD}```"),
    "label_that_slipped_into_the_code": Case(f"```\npython\n{GOOD}```"),
    "label_without_a_fence": Case(f"python\n{GOOD}"),
    "shell_block_beside_it": Case(
        f"```bash\npip install nothing\n```\n```python\n{GOOD}```\n```json\n[6]\n```"
    ),
    "named_usage_beside_an_unnamed_definition": Case(
        f"```\n{GOOD}```\nTry:\n```python\nprint(total([1]))\n```"
    ),
    "thoughts_before_it": Case(
        f"<think>\nPerhaps\n```python\ndef total(values):\n    return 0\n```\n</think>\n```python\n{GOOD}```"
    ),
    "tokens_of_the_format": Case(f"[PYTHON]\n{GOOD}[/PYTHON]<|im_end|>"),
    "import_that_only_the_header_has": Case(
        "```python\ndef total(values):\n    return 2 * math.floor(sum(values))\n```",
        strict=False,
        trail="lenient: added import math",
    ),
    "name_that_only_the_prompt_has": Case(
        "```python\ndef total(values: List[int]):\n    return twice(sum(values))\n```",
        strict=False,
        trail="lenient: added from typing import List; def twice",
    ),
    "future_import_stays_first": Case(
        "```python\nfrom __future__ import annotations\n\ndef total(values: Counter):\n"
        "    return 2 * math.floor(sum(values))\n```",
        strict=False,
    ),
    "completion_as_a_base_model_gives_it": Case(BODY, kind="completion"),
    "program_as_it_is": Case(GOOD, kind="program"),
    "syntax_error": Case(
        "```python\ndef total(values)\n    return 1\n```", strict=False, lenient=False
    ),
    "words_only": Case("I cannot help with that.", strict=False, lenient=False, trail="no code"),
    "a_single_word": Case("Sorry", strict=False, lenient=False, trail="no code"),
    "nothing": Case("  \n", strict=False, lenient=False, trail="empty"),
}


def works(program: str) -> bool:
    """Whether the program defines what is asked for, and that is right."""
    names: dict[str, Any] = {}
    try:
        exec(program, names)  # noqa: S102 - written above
        return names["total"]([1, 2]) == 6
    except (SyntaxError, NameError, KeyError, TypeError):
        return False


@pytest.mark.parametrize("name", CASES)
def test_the_program_in_a_reply_is_found(name: str) -> None:
    """And nothing is repaired that was wrong."""
    case = CASES[name]
    found = extract(case.reply, TASK, case.kind)

    assert (works(found.strict), works(found.lenient)) == (case.strict, case.lenient), found
    assert found.trail
    assert case.trail in "; ".join(found.trail)


@pytest.mark.parametrize("name", ["words_only", "a_single_word", "nothing"])
def test_where_there_is_no_code_there_is_no_program(name: str) -> None:
    """The prompt alone is none."""
    found = extract(CASES[name].reply, TASK)

    assert (found.strict, found.lenient) == ("", "")


def test_a_task_that_is_prose_gets_no_prompt_before_the_program() -> None:
    """There is nothing to go on with."""
    task = Task("t/1", "Write total(values).", "total", kind="instruction")

    assert extract(f"Here:\n```python\n{GOOD}```", task).strict == GOOD
    assert extract("```python\nreturn 2 * sum(values)\n```", task).strict.startswith("return")


@pytest.mark.parametrize(
    ("language", "label", "code"),
    [
        ("javascript", "js", "const total = (values) => 6;"),
        ("javascript", "javascript", "function total(values) { return 6; }"),
        ("bash", "sh", "total() { echo 6; }"),
    ],
)
def test_other_languages_are_found_by_their_looks(language: Any, label: str, code: str) -> None:
    """A usage beside the definition is not taken for it."""
    task = Task("t/2", "Write total.", "total", language=language, kind="instruction")
    reply = f"So:\n```{label}\n{code}\n```\n```{label}\ntotal 1 2; total(1, 2); total(1, 2, 3, 4, 5, 6)\n```"

    assert extract(reply, task).strict.strip() == code
    assert extract("I cannot.", task).strict == ""


@pytest.mark.parametrize(
    "unit",
    [
        "```python\n",
        "> ",
        "`",
        "~~~",
        "```py\nx = 1\n```\n",
        "def total(\n",
        "((",
        "1. ",
        "\n",
        "import a\n",
    ],
)
def test_work_grows_with_length_and_no_faster(unit: str) -> None:
    """Eight times the text takes eight times the steps, where something quadratic takes 64."""

    def steps(length: int) -> int:
        count = 0

        def counting(frame: FrameType, event: str, argument: object) -> None:
            nonlocal count
            count += 1

        reply = unit * (length // len(unit))
        sys.setprofile(counting)
        try:
            extract(reply, TASK)
        finally:
            sys.setprofile(None)
        return count

    assert steps(32_000) < 10 * steps(4_000)
