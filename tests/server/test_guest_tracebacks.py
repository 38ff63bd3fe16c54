"""Exceptions as data, whatever the exceptions of user code are like."""

import json
from pathlib import Path
from typing import Any

import pytest

from proofbox.server.sandbox.guest import tracebacks

OURS = str(Path(tracebacks.__file__).with_name("kernel.py"))

Namespace = dict[str, Any]


def execute(code: str, filename: str, names: Namespace) -> None:
    exec(compile(code, filename, "exec", dont_inherit=True), names)  # noqa: S102 - as the shell does


def run(code: str, cell: int = 1, namespace: Namespace | None = None) -> BaseException:
    """What a cell raises, with the frames of this file around it as the shell's would be."""
    try:
        execute(code, tracebacks.cell_name(cell), {} if namespace is None else namespace)
    except BaseException as error:  # noqa: BLE001 - whatever it raises is to be described
        return error
    pytest.fail("the cell raised nothing")


def describe(code: str, cell: int = 1, namespace: Namespace | None = None) -> dict[str, Any]:
    """The description, which must survive the way to the host."""
    described = tracebacks.describe(run(code, cell, namespace), tracebacks.cell_name(cell))
    assert json.loads(json.dumps(described)) == described
    return described


def test_an_exception_is_told_by_name_value_line_and_frames() -> None:
    """The frames start in the cell: what called it is ours."""
    described = describe("x = 1\n\nx / 0\n")

    assert described == {
        "name": "ZeroDivisionError",
        "value": "division by zero",
        "line": 3,
        "traceback": (
            "Traceback (most recent call last):\n"
            '  File "<cell 1>", line 3, in <module>\n'
            "ZeroDivisionError: division by zero\n"
        ),
    }


def test_frames_of_ours_and_of_ipython_are_left_out() -> None:
    """Also in what the exception came from, and those of other packages stay."""
    call = "def call(work):\n    try:\n        work()\n    except ValueError as error:\n        raise KeyError from error"
    shell, other = (
        "/env/lib/python3.11/site-packages/" + name for name in ("IPython/x.py", "x.py")
    )
    names: Namespace = {}
    execute(call, other, names)
    execute("def fail():\n    raise ValueError", OURS, names)
    execute("def magic(work):\n    work()", shell, names)

    traceback = describe("magic(lambda: call(fail))", namespace=names)["traceback"]

    assert traceback.count("<cell 1>") == 2
    assert traceback.count(other) == 2
    assert shell not in traceback
    assert OURS not in traceback


def test_the_line_is_the_last_one_of_the_cell_that_ran() -> None:
    """In a function of the same cell, where that failed; in one of an earlier cell, where it was called."""
    names: Namespace = {}
    execute("\n\ndef fail():\n    raise ValueError(1)\n", tracebacks.cell_name(1), names)

    within = describe("def inner():\n    return 1 / 0\ninner()", cell=2)
    before = describe("x = 1\nfail()", cell=2, namespace=names)

    assert within["line"] == 2
    assert before["line"] == 2
    assert '"<cell 1>", line 4, in fail' in before["traceback"]
    assert '"<cell 2>", line 2, in <module>' in before["traceback"]


def test_frames_of_ours_below_the_cell_are_cut_too() -> None:
    """What `input()` raises comes from our code, which says nothing to the user."""
    names: Namespace = {}
    execute("def ask():\n    raise EOFError('nobody')\n", OURS, names)

    described = describe("\nask()", namespace=names)

    assert described["traceback"] == (
        "Traceback (most recent call last):\n"
        '  File "<cell 1>", line 2, in <module>\n'
        "EOFError: nobody\n"
    )
    assert described["line"] == 2


def test_other_names_than_cells_may_be_the_users() -> None:
    """A program's cells are called by the file that they come from."""
    with pytest.raises(ValueError, match="x") as raised:
        execute("def fail(): raise ValueError('x')\n\nfail()", "README.md", {})

    described = tracebacks.describe(raised.value, "README.md", {"README.md"}.__contains__)

    assert described["line"] == 1
    assert described["traceback"].count('File "README.md", line') == 2
    assert __file__ not in described["traceback"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ValueError from error", "direct cause"),
        ("raise ValueError", "During handling"),
        ("raise ValueError from None", None),
    ],
)
def test_chained_exceptions_are_told_in_order(code: str, words: str | None) -> None:
    """What came first stands first, unless the code said that it does not matter."""
    described = describe(f"try:\n    {{}}['missing']\nexcept KeyError as error:\n    {code}")

    text = described["traceback"]
    assert (described["name"], described["line"]) == ("ValueError", 4)
    assert text.endswith("ValueError\n")
    if words is None:
        assert "KeyError" not in text
    else:
        assert text.index("KeyError: 'missing'") < text.index(words) < text.index("ValueError")
        assert '"<cell 1>", line 2, in <module>' in text


def test_a_syntax_error_of_the_cell_has_its_own_line() -> None:
    """There is no frame of it: it never ran."""
    described = describe("x = 1\ny = = 2\n")

    assert (described["name"], described["line"]) == ("SyntaxError", 2)
    assert '"<cell 1>", line 2' in described["traceback"]
    assert __file__ not in described["traceback"]


def test_a_syntax_error_of_other_code_is_told_where_it_was_met() -> None:
    """`eval` and `import` compile texts that are no cell."""
    described = describe("x = 1\neval('1 +')\n")

    assert (described["name"], described["line"]) == ("SyntaxError", 2)


def test_an_exception_that_passed_no_cell_has_no_line_and_no_frames() -> None:
    """A KeyboardInterrupt may strike between two lines of ours."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt as interrupt:
        described = tracebacks.describe(interrupt, tracebacks.cell_name(1))

    assert described == {
        "name": "KeyboardInterrupt",
        "value": "",
        "line": None,
        "traceback": "KeyboardInterrupt\n",
    }


HOSTILE = {
    "str-raises": "class E(Exception):\n    def __str__(self): raise ValueError",
    "str-exits": "class E(Exception):\n    def __str__(self): raise SystemExit(0)",
    "str-is-no-str": "class E(Exception):\n    def __str__(self): return 1",
    "str-recurses": "class E(Exception):\n    def __str__(self): return str(self)",
    "repr-raises": "class E(Exception):\n    def __repr__(self): raise KeyboardInterrupt",
    "str-with-methods": (
        "class S(str):\n"
        "    def __len__(self): raise SystemExit\n"
        "    def __getitem__(self, key): raise SystemExit\n"
        "class E(Exception):\n    def __str__(self): return S('x')"
    ),
    "no-name": (
        "class M(type):\n    @property\n    def __name__(cls): raise SystemExit\n"
        "class E(Exception, metaclass=M): pass"
    ),
    "name-is-no-str": "class M(type): __name__ = property(lambda c: c)\nclass E(Exception, metaclass=M): pass",
    "own-traceback": "class E(Exception): __traceback__ = property(lambda s: 1 / 0)",
    "own-class": "class E(Exception): __class__ = property(lambda s: SyntaxError)",
    "class-raises": "class E(Exception): __class__ = property(lambda s: 1 / 0)",
    "own-context": "class E(Exception): __context__ = __cause__ = property(lambda s: s)",
    "getattribute": "class E(Exception):\n    def __getattribute__(self, name): raise SystemExit",
    "odd-line": "class E(SyntaxError): filename, lineno = '<cell 1>', object()",
    "line-raises": "class E(SyntaxError): filename = property(lambda s: 1 / 0)",
    "notes": "class E(Exception): __notes__ = property(lambda s: 1 / 0)",
    "module": "class E(Exception): __module__ = property(lambda s: 1 / 0)",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
def test_no_exception_of_the_users_makes_its_description_fail(code: str) -> None:
    """Failing here would end the interpreter, and say that the code had done it."""
    described = describe(f"{code}\nraise E('x')")

    assert described["name"] == "E"
    assert type(described["value"]) is str
    assert type(described["traceback"]) is str


def test_what_a_hostile_str_did_is_told_instead_of_the_value() -> None:
    """The name of the second exception is enough."""
    described = describe(f"{HOSTILE['str-exits']}\nraise E")

    assert described["value"] == "<str() of the exception raised SystemExit>"


@pytest.mark.parametrize("length", [19_999, 20_000, 20_001, 1_000_000])
def test_long_values_are_cut_in_the_middle_and_counted(length: int) -> None:
    """Both ends stay, and what is missing is said."""
    value = describe(f"raise ValueError('<' + 'x' * {length - 2} + '>')")["value"]

    assert (value[0], value[-1]) == ("<", ">")
    if length <= 20_000:
        assert len(value) == length
    else:
        assert f"[... {length - 20_000:,} characters left out ...]" in value
        assert len(value) < 20_100


def test_half_a_surrogate_pair_survives_the_way_to_the_host() -> None:
    """It is no UTF-8, and yet a str."""
    assert describe(r"raise ValueError('\ud800')")["value"] == "\ud800"


def test_an_endless_chain_of_causes_is_told_once() -> None:
    """An exception can be its own cause."""
    described = describe(
        "e = ValueError('x')\nf = KeyError('y')\ne.__cause__ = f\nf.__cause__ = e\nraise e"
    )

    assert described["name"] == "ValueError"
    assert described["traceback"].count("KeyError") == 1
