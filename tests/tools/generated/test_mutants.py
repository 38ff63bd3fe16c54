"""Which mutants are made of a file, what they show, and that the file is as before afterwards."""

import ast
import textwrap
from types import CodeType

import pytest

from proofbox.tools.run_generated_tests.guest.mutants import File, Mutant


def mutants_of(text: str) -> list[Mutant]:
    """The mutants of a module."""
    return list(File("module.py", textwrap.dedent(text)).mutants())


def changes(text: str) -> set[tuple[str, str]]:
    """Operator and the line as the mutant has it."""
    return {(mutant.operator, mutant.after) for mutant in mutants_of(text)}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return a + 1", {"return a - 1", "return a + 2", "return None"}),
        ("return a < b", {"return a <= b", "return None"}),
        ("return a is b", {"return a is not b", "return None"}),
        ("return not a", {"return a", "return None"}),
        ("return -a", {"return +a", "return None"}),
        ("return a // b", {"return a / b", "return None"}),
        ("return f(a, b)", {"return f(None, b)", "return f(a, None)", "return f(b)", "return f(a)", "return None"}),
        ("return a.lower()", {"return a.upper()", "return None"}),
        ("return True", {"return False", "return None"}),
        ("return 'Ab'", {"return 'XXAbXX'", "return 'ab'", "return 'AB'", "return None"}),
        ("a += b", {"a = b", "a -= b"}),
        ("a = b", {"a = None"}),
        ("a = None", {"a = ''"}),
        ("print(a)", {"print(None)", "pass"}),
        ("return dict(a=b)", {"return dict(aXX=b)", "return dict(a=None)", "return None"}),
        ("return lambda: a", {"return lambda: None", "return None"}),
        ("return 1 if a else b", {"return 1 if a and False else b", "return 1 if a or True else b", "return 2 if a else b", "return None"}),
        ("while a:\n        break\n    g()", {"while not a:", "return", "pass"}),
    ],
)  # fmt: skip
def test_a_line_is_changed_in_all_its_ways(line: str, expected: set[str]) -> None:
    """The operators are those of mutmut, and three more."""
    made = {mutant.after for mutant in mutants_of(f"def f(a, b):\n    {line}\n")}

    assert made == expected


def test_each_link_of_a_chain_is_turned_by_itself() -> None:
    """`a and b and c` has two operators."""
    made = changes("def f(a, b, c):\n    return a and b and c\n")

    assert {after for operator, after in made if operator == "logic"} == {
        "return (a or b) and c",
        "return a and b or c",
    }


@pytest.mark.parametrize(
    "text",
    [
        "LIMIT = 1 + 2\n",
        "class A:\n    size = 3\n",
        "def f(a: 'int' = None) -> 'str | int': ...\n",
        'def f():\n    """One of 3."""\n',
        "def f():\n    a: list[int | str]\n",
        "def f():\n    if TYPE_CHECKING:\n        import a\n        b = 1\n",
        "def f():\n    logger.info('a %s', 1)\n",
        "def f():\n    self._log.debug('a')\n",
        "class A:\n    def __repr__(self):\n        return 'A' + str(1)\n",
        "@decorate('a', 1)\ndef f(): ...\n",
    ],
)
def test_junk_is_left_out(text: str) -> None:
    """No test should be asked to notice it."""
    assert not mutants_of(text)


def test_parts_of_a_formatted_string_that_are_text_are_left_alone() -> None:
    """Its expressions are not."""
    made = changes("def f(a):\n    return f'Size {a + 1}'\n")

    assert ("arithmetic", "return f'Size {a - 1}'") in made
    assert not any("XX" in after for _, after in made)


def test_what_compiles_to_the_same_is_no_mutant() -> None:
    """Text without letters has no other case, and `not (a == b)` is `a != b`."""
    made = [
        mutant.after for mutant in mutants_of("def f(a):\n    if a == '-':\n        return '1'\n")
    ]

    assert made == ["if a != '-':", "if a == 'XX-XX':", "return None", "return 'XX1XX'"]


def test_a_mutant_says_where_it_is() -> None:
    """Survivors are shown as one line."""
    [mutant] = [m for m in mutants_of("class A:\n    def f(self, a):\n        return a > 0\n") if m.operator == "comparison"]  # fmt: skip

    assert (mutant.line, mutant.function) == (3, "A.f")
    assert (mutant.before, mutant.after) == ("return a > 0", "return a >= 0")


def test_an_expression_over_lines_is_shown_on_one() -> None:
    """A report has a line for each."""
    text = "def f(a):\n    return g(\n        a,\n        b + 1,\n    )\n"

    shown = {mutant.after for mutant in mutants_of(text) if mutant.operator == "arithmetic"}

    assert shown == {"b - 1,"}


def test_the_file_is_as_before_after_every_mutant() -> None:
    """All of them are made in one tree."""
    text = "def f(a, b=1):\n    for c in a:\n        if c and not b:\n            return [c, g(a, b=b)]\n"
    file = File("module.py", text)
    before = ast.dump(file.tree)

    codes = [file.mutated(mutant) for mutant in file.mutants()]

    assert len(codes) > 5
    assert all(isinstance(code, CodeType) for code in codes)
    assert ast.dump(file.tree) == before


def test_a_function_keeps_naming_the_variables_around_it() -> None:
    """Its cells cannot be changed, so code that uses fewer of them could not be put into it."""
    text = "def outer(a, b):\n    def inner():\n        return a + b\n    return inner\n"
    file = File("module.py", text)
    mutants = list(file.mutants())

    free = [
        inner.co_freevars
        for mutant in mutants
        for code in file.mutated(mutant).co_consts
        if isinstance(code, CodeType)
        for inner in code.co_consts
        if isinstance(inner, CodeType)
    ]

    assert any(mutant.after == "return None" and mutant.line == 3 for mutant in mutants)
    assert set(free) == {("a", "b")}


def test_default_values_are_mutated_where_they_are_plain() -> None:
    """The rest may fail where the function is made."""
    made = [m for m in mutants_of("def f(a=1, b=g(), *, c='x'):\n    return a\n") if m.default]

    assert [mutant.default for mutant in made] == [(1, 0), (1, "c"), (1, "c")]


def test_numbers_do_not_depend_on_what_is_left_out() -> None:
    """Compilers of different versions find different things equal, and a report's ids must mean the same."""
    with_equal = mutants_of("def f(a):\n    return '-' if a == '-' else a\n")

    numbers = [int(mutant.id.rpartition(":")[2]) for mutant in with_equal]
    assert numbers == sorted(set(numbers))
