"""Shown output against printed output."""

import pytest

from proofbox.tools.validate_snippets import oracles
from proofbox.tools.validate_snippets.extract import extract
from proofbox.tools.validate_snippets.normalise import Filter
from proofbox.tools.validate_snippets.oracles import Print, Raised, Rules
from proofbox.tools.validate_snippets.snippet import Expected, ExpectedSource


def expected(text: str, source: ExpectedSource = "block", **flags: bool) -> Expected:
    return Expected(source, text, "page.md", 1, 1, 0, exception=None, flags=flags)


@pytest.mark.parametrize(
    ("want", "got", "used"),
    [
        pytest.param("a\n", "a\n", (), id="same"),
        pytest.param("a  \nb\n", "a\nb\n\n", (), id="space-at-ends"),
        pytest.param("<A at 0x10>\n", "<A at 0x7f3a2b>\n", ("address",), id="address"),
        pytest.param("<A at 0x...>\n", "<A at 0x7f3a2b>\n", ("address",), id="elided-address"),
        pytest.param("<A 0x55d2c0>\n", "<A 0x7f3a2b>\n", ("address",), id="address-in-brackets"),
        pytest.param("red\n", "\x1b[31mred\x1b[0m\n", ("ansi",), id="ansi"),
        pytest.param("{1, 2, 3}\n", "{3, 1, 2}\n", ("set",), id="set"),
        pytest.param("{'b', 'a, c'}\n", "{'a, c', 'b'}\n", ("set",), id="set-of-strings"),
        pytest.param("3.14\n", "3.14159\n", ("float",), id="float"),
        pytest.param("[0.1, 0.3]\n", "[0.1, 0.30000000000000004]\n", ("float",), id="floats"),
        pytest.param("1e-3\n", "0.001\n", ("float",), id="exponent"),
        pytest.param("[0.0, 1.0]\n", "[1e-17, 0.9999999]\n", ("float",), id="noise"),
        pytest.param("a\n...\nz\n", "a\nb\nc\nz\n", ("ellipsis",), id="ellipsis"),
        pytest.param("a   b\nc\n", "a b c\n", ("spacing",), id="spacing"),
        pytest.param(
            "see https://x.org/2/e\n", "see https://x.org/2.13/e\n", ("version",), id="version"
        ),
    ],
)
def test_differences_that_no_author_can_know_are_forgiven(
    want: str, got: str, used: tuple[str, ...]
) -> None:
    """And the comparison says what it forgave."""
    found = oracles.compare(expected(want), got)

    assert (found.matches, found.used) == (True, used)


@pytest.mark.parametrize(
    ("want", "got"),
    [
        pytest.param("3.14\n", "3.15\n", id="float"),
        pytest.param("3.14\n", "3.24159\n", id="digit"),
        pytest.param("1\n", "2\n", id="integer"),
        pytest.param("10\n", "10.4\n", id="integer-and-float"),
        pytest.param("1.0\n", "0.96\n", id="whole-float"),
        pytest.param("inf\n", "1.5\n", id="infinity"),
        pytest.param("[0. 1.]\n", "[0.4 1.3]\n", id="whole-floats-of-numpy"),
        pytest.param("0xcafebabe\n", "0xdeadbeef\n", id="hexadecimal-number"),
        pytest.param("{1, 2}\n", "{1, 3}\n", id="set"),
        pytest.param("{'a': 1, 'b': 2}\n", "{'b': 2, 'a': 1}\n", id="order-of-a-dictionary"),
        pytest.param("a...z\n", "a b\n", id="ellipsis"),
        pytest.param("...x\n", "y\n", id="ellipsis-end"),
        pytest.param("2024-01-02\n", "2024-01-03\n", id="date"),
        pytest.param("a\n", "", id="nothing-printed"),
        pytest.param("ab\n", "a b\n", id="a-space"),
        pytest.param("[1, 2]\n", "(1, 2)\n", id="type"),
    ],
)
def test_a_wrong_output_is_caught_with_a_diff(want: str, got: str) -> None:
    """Every leniency has its limit."""
    found = oracles.compare(expected(want), got)

    assert not found.matches
    assert f"-{want.splitlines()[0]}" in found.diff


@pytest.mark.parametrize(
    ("want", "got", "matches"),
    [
        pytest.param('{"a": [1,\n 2.0]}\n', '{"a": [1, 2.0]}\n', True, id="lines"),
        pytest.param('["\\u00e9"]\n', '["\u00e9"]\n', True, id="escapes"),
        pytest.param("2\n", "2.0\n", False, id="integer-and-float"),
        pytest.param("[true]\n", "[1]\n", False, id="truth-and-integer"),
        pytest.param('{"a": 1, "b": 2}\n', '{"b": 2, "a": 1}\n', False, id="order"),
    ],
)
def test_json_may_be_laid_out_in_another_way_and_say_nothing_else(
    want: str, got: str, matches: bool
) -> None:
    """Values that Python takes for equal are not printed alike."""
    assert oracles.compare(expected(want, "comment"), got).matches is matches


def test_an_output_that_is_all_left_out_proves_nothing() -> None:
    """Dots alone fit whatever is printed; an output that is shown to be empty does not."""
    assert oracles.compare(expected("...\n"), "1\n") == oracles.Comparison(True, checked=False)
    assert not oracles.compare(expected(""), "1\n").matches


def test_times_are_forgiven_on_request_only() -> None:
    """A clock is only known to be one if the project says so."""
    rules = Rules(normalisers=("time",))

    assert not oracles.compare(expected("took 12 ms\n"), "took 15 ms\n").matches
    assert oracles.compare(expected("took 12 ms\n"), "took 15 ms\n", rules).used == ("time",)


def test_a_projects_own_filters_apply_to_both_sides() -> None:
    """As Documenter has it."""
    rules = Rules(filters=(Filter(r"id=\d+", "id=N"),))

    assert oracles.compare(expected("id=1 a\n"), "id=99 a\n", rules).matches
    assert not oracles.compare(expected("id=1 a\n"), "id=99 b\n", rules).matches


@pytest.mark.parametrize(
    ("want", "got", "flags", "matches"),
    [
        pytest.param("<BLANKLINE>\na\n", "\na\n", {}, True, id="blankline"),
        pytest.param("1\n", "2\n", {"IGNORE_RESULT": True}, True, id="unchecked"),
        pytest.param("1\n", "True\n", {}, True, id="doctest-takes-True-for-1"),
        pytest.param("a ...\n", "a b\n", {"ELLIPSIS": True}, True, id="flag"),
        pytest.param("1\n", "2\n", {"ELLIPSIS": True}, False, id="different"),
    ],
)
def test_doctests_flags_are_honoured(
    want: str, got: str, flags: dict[str, bool], matches: bool
) -> None:
    """The standard library's checker decides first."""
    assert oracles.compare(expected(want, "doctest", **flags), got).matches is matches


def test_lines_may_come_in_any_order_where_the_author_says_so() -> None:
    """`output=unordered` compares lines as a set."""
    assert oracles.compare(expected("a\nb\n"), "b\na\n", unordered=True).matches
    assert not oracles.compare(expected("a\nb\n"), "b\na\na\n", unordered=True).matches


@pytest.mark.parametrize(
    ("shown", "raised", "matches"),
    [
        pytest.param("ValueError: no", Raised("ValueError", "no"), True, id="same"),
        pytest.param(
            "ValidationError: no", Raised("pydantic.ValidationError", "no"), True, id="short"
        ),
        pytest.param("StopIteration", Raised("StopIteration"), True, id="no-message"),
        pytest.param(
            "ValueError: <A at 0x1...>", Raised("ValueError", "<A at 0x7fff>"), True, id="lenient"
        ),
        pytest.param("ValueError: no", Raised("TypeError", "no"), False, id="name"),
        pytest.param("ValueError: no", Raised("ValueError", "yes"), False, id="message"),
    ],
)
def test_a_shown_exception_is_compared_by_name_and_message(
    shown: str, raised: Raised, matches: bool
) -> None:
    """The stack above it does not matter."""
    assert oracles.exception_matches(shown, raised).matches is matches


@pytest.mark.parametrize(
    ("mark", "raised", "matches"),
    [
        pytest.param("ValueError", Raised("ValueError", "x"), True, id="name"),
        pytest.param("ValueError: part", Raised("ValueError", "a part of it"), True, id="message"),
        pytest.param("*", Raised("KeyError"), True, id="any"),
        pytest.param("ValueError", None, False, id="nothing-raised"),
        pytest.param("*", None, False, id="any-but-nothing-raised"),
        pytest.param("ValueError", Raised("KeyError"), False, id="another"),
        pytest.param("ValueError: part", Raised("ValueError", "other"), False, id="other-message"),
    ],
)
def test_a_raises_mark_wants_that_exception(
    mark: str, raised: Raised | None, matches: bool
) -> None:
    """Running to the end is wrong where an exception is promised."""
    found = oracles.raises_matches(mark, raised)

    assert found.matches is matches
    assert matches or found.diff


CODE = '''\
def f(x):
    print(x)
    #> 1
    #> 2

f(1)
f(2)
print(
    {'a': [1, 2]},
)
"""
{
    'a': [
        1,
        2,
    ],
}
"""
if False:
    print('never')
    #> never
'''


def compared(prints: list[Print]) -> list[tuple[bool, bool]]:
    (snippet,) = extract(f"```python\n{CODE}```\n", "page.md", "markdown").snippets
    found = oracles.compare_prints(snippet.code, snippet.expected, prints)
    return [(comparison.matches, comparison.checked) for _, _, comparison in found]


def test_outputs_in_the_code_are_compared_with_the_print_above_them() -> None:
    """By line, however often it ran; layout does not matter; what was not reached proves nothing."""
    prints = [Print(2, "1\n"), Print(2, "2\n"), Print(8, "{'a': [1, 2]}\n")]

    assert compared(prints) == [(True, True), (True, True), (True, False)]


@pytest.mark.parametrize(
    ("prints", "wrong"),
    [
        pytest.param(
            [Print(2, "2\n"), Print(2, "1\n"), Print(8, "{'a': [1, 2]}\n")], 0, id="order"
        ),
        pytest.param(
            [Print(2, "1\n"), Print(2, "2\n"), Print(8, "{'a': [1, 3]}\n")], 1, id="value"
        ),
        pytest.param([Print(2, "1\n"), Print(8, "{'a': [1, 2]}\n")], 0, id="once-too-few"),
    ],
)
def test_a_wrong_output_in_the_code_is_caught(prints: list[Print], wrong: int) -> None:
    """The one that differs is named."""
    assert compared(prints)[wrong] == (False, True)


def of_code(code: str, prints: list[Print]) -> list[tuple[bool, bool]]:
    (snippet,) = extract(f"```python\n{code}\n```\n", "page.md", "markdown").snippets
    found = oracles.compare_prints(code, snippet.expected, prints)
    return [(comparison.matches, comparison.checked) for _, _, comparison in found]


CALLS = "def f(x):\n    print(x)\nf(1)\n#> 1\nf(2)\nprint(3)\n#> 2\n#> 3\n\n# So:\nf(4)\n\n#> 4"


@pytest.mark.parametrize(
    ("fourth", "right"),
    [pytest.param("4\n", True, id="right"), pytest.param("5\n", False, id="wrong")],
)
def test_what_a_call_prints_is_compared_with_what_is_shown_behind_it(
    fourth: str, right: bool
) -> None:
    """In whatever function the print stands; and what several statements printed may be shown at once."""
    prints = [Print(2, "1\n", 3), Print(2, "2\n", 5), Print(6, "3\n", 6), Print(2, fourth, 11)]

    assert of_code(CALLS, prints) == [(True, True), (True, True), (right, True)]


def test_an_output_that_is_shown_where_it_is_printed_is_not_missed_behind_the_call() -> None:
    """There, only what is shown nowhere else can be meant."""
    code = "def f():\n    print(1)\n    #> 1\n    print(2)\nf()\n#> 2"

    assert of_code(code, [Print(2, "1\n", 5), Print(4, "2\n", 5)]) == [(True, True)] * 2


@pytest.mark.parametrize(
    ("code", "prints", "found"),
    [
        pytest.param("print(1)  #> 1", [Print(1, "1\n")], [(True, True)], id="right"),
        pytest.param("print(1)  #>2", [Print(1, "1\n")], [(False, True)], id="wrong"),
        pytest.param(
            "print('#> 3')  #> 1\n#> 2\nprint(4)  #> 4",
            [Print(1, "1\n2\n"), Print(3, "4\n")],
            [(True, True), (True, True)],
            id="goes-on-below",
        ),
        pytest.param("1 + 1  #> 2", [], [(True, False)], id="not-printed"),
        pytest.param("print(1)  #> 1\nls $x", [Print(1, "1\n")], [(True, True)], id="a-shells"),
        pytest.param(
            'print("""a\nb""")  #> a\n#> b', [Print(1, "a\nb\n")], [(True, True)], id="many-lines"
        ),
        pytest.param("print('#> 1')  # #> 2", [Print(1, "#> 1\n")], [], id="not-shown"),
    ],
)
def test_an_output_may_be_shown_behind_the_code_on_its_line(
    code: str, prints: list[Print], found: list[tuple[bool, bool]]
) -> None:
    """In a comment, not in a string or a comment on something else."""
    assert of_code(code, prints) == found


@pytest.mark.parametrize(
    ("name", "known", "first"),
    [
        pytest.param("model_dmup", ["model_dump", "model_copy"], "model_dump", id="transposed"),
        pytest.param("Dataframe", ["DataFrame", "Series"], "DataFrame", id="case"),
        pytest.param("groupby", ["group_by", "agg"], "group_by", id="underscore"),
        pytest.param("xyzzy", ["DataFrame"], None, id="nothing-near"),
        pytest.param("load", ["_load", "loads"], "loads", id="public-only"),
    ],
)
def test_near_misses_are_found(name: str, known: list[str], first: str | None) -> None:
    """The name that was probably meant comes first."""
    assert next(iter(oracles.near_misses(name, known)), None) == first


def test_long_diffs_are_cut() -> None:
    """And say how much is missing."""
    diff = oracles.difference("".join(f"{n}\n" for n in range(200)), "x\n")

    assert diff.count("\n") == oracles.MAX_DIFF_LINES
    assert "more lines" in diff
