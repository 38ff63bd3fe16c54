"""What a change does to the names that others import, told from the text of both sides."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from pr_pulls import pull_of

from proofbox.tools.check_pr.beyond.api import api_changes
from proofbox.tools.check_pr.beyond.beyond import ApiChange
from proofbox.tools.check_pr.pull.pull import Change, Pull


def pull(base: Mapping[str, str], head: Mapping[str, str]) -> Pull:
    """A pull request from the files of both sides."""
    return pull_of(base, {**dict.fromkeys(base), **head})


def changed(base: str, head: str) -> list[ApiChange]:
    """What changes when one module does."""
    return list(api_changes(pull({"m.py": base}, {"m.py": head})))


def told(found: list[ApiChange]) -> list[tuple[str, str, bool]]:
    """Kind, name, and whether something breaks."""
    return [(one.kind, one.name, bool(one.breaks)) for one in found]


CALLS = [
    ("(a)", "(a, b=1)", ""),
    ("(a, b=1)", "(a, b=2)", ""),
    ("(a)", "(a, *args, **kwargs)", ""),
    ("(a, *, b=1)", "(a, b=1)", ""),
    ("(a, /)", "(a)", ""),
    ("(a, /)", "(b, /)", ""),
    ("(a, b)", "(a, *args, b=None, **kwargs)", "the second argument"),
    ("(a, b=1)", "(a)", "calls with 2 arguments by position fail, since `b` is gone; `b=` fails, since it is gone"),
    ("(a)", "(b)", "`a=` fails, since it is called `b` now"),
    ("(a, b)", "(b, a)", "the first argument by position goes to `b` where it went to `a`"),
    ("(a, b=1)", "(a, c=2, b=1)", "the second argument by position goes to `c` where it went to `b`"),
    ("(a, b=1)", "(a, b)", "calls fail that leave out `b`, which has no default any more"),
    ("(a=None)", "(a)", "calls fail that leave out `a`, which has no default any more"),
    ("(a)", "(a=None)", ""),
    ("(a)", "(a, b)", "calls fail that do not give `b`, which is new and has no default"),
    ("(a)", "(a, *, b)", "calls fail that do not give `b`, which is new and has no default"),
    ("(a, b=1)", "(a, *, b=1)", "calls with 2 arguments by position fail, since `b` can be given by name only"),
    ("(a, b=1)", "(a, b=1, /)", "since it can be given by position only"),
    ("(a, *args)", "(a)", "calls with more than 1 argument by position fail"),
    ("(a, **kw)", "(a)", "calls with names that it does not list fail"),
    ("(a, *, b=1)", "(a, *, c=1)", "`b=` fails, since it is gone"),
    ("(a, *, b=1)", "(a, **kw)", ""),
    ("()", "(self)", "calls fail that do not give `self`, which is new and has no default"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "breaks"), CALLS)
def test_a_signature_tells_which_calls_fail(before: str, after: str, breaks: str) -> None:
    """Calls that worked and fail now are named; what only allows more breaks nothing."""
    [one] = changed(f"def f{before}: ...\n", f"def f{after}: ...\n")

    assert (one.name, one.kind, one.path, one.line) == ("m.f", "changed", "m.py", 1)
    assert (one.before, one.after) == (f"f{before}", f"f{after}")
    assert breaks in one.breaks
    assert bool(breaks) == bool(one.breaks)


MODULES: list[tuple[str, str, list[tuple[str, str, bool]]]] = [
    ("def f(): ...", "", [("removed", "m.f", True)]),
    ("class C(Enum):\n    A = 1\n    B = 2", "class C(Enum):\n    A = 1", [("removed", "m.C.B", True)]),
    ("", "def f(): ...", [("added", "m.f", False)]),
    ("def _f(): ...", "", []),
    ("import os", "", []),
    ("from os import path", "", []),
    ("__all__ = ['a']\na = b = 1", "__all__ = ['a']\na = 1", []),
    ("__all__ = ['a']\n__all__ += ['b']\na = b = 1", "__all__ = ['a']\na = 1", [("removed", "m.b", True)]),
    ("a = 1", "__all__ = []\na = 1", []),
    ("LIMIT = 1", "LIMIT = 2", []),
    ("LIMIT = 1", "", [("removed", "m.LIMIT", True)]),
    ("import logging\nlogger = logging.getLogger('m')", "", []),
    ("def f() -> int: ...", "def f() -> str: ...", [("changed", "m.f", False)]),
    ("def f(a: int): ...", "def f(a: str): ...", [("changed", "m.f", False)]),
    ("def f(): ...", "async def f(): ...", [("changed", "m.f", True)]),
    ("async def f(): ...", "def f(): ...", [("changed", "m.f", True)]),
    ("def f(): ...", "class f: ...", [("changed", "m.f", False)]),
    ("class f: ...", "def f(): ...", [("changed", "m.f", True)]),
    ("def f(): ...", "f = g()", [("changed", "m.f", False)]),
    ("def f(): ...", "f = 1\ndef __getattr__(name): ...", [("changed", "m.f", False)]),
    ("def f(): ...", "def __getattr__(name):\n    if name == 'f': return 1\n", []),
    ("def f(): ...", "def __getattr__(name):\n    if name == 'g': return 1\n", [("removed", "m.f", True)]),
    ("def f(): ...", "from elsewhere import f", []),
    ("def f(): ...", "from elsewhere import *", []),
    ("def f(): ...", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from e import f", [("removed", "m.f", True)]),
    ("def f(): ...", "def f(:", []),
    ("class A:\n  def f(self, a): ...", "class A:\n  def f(self): ...", [("changed", "m.A.f", True)]),
    ("class A:\n  def f(self): ...\n  x = 1", "class A: ...", [("removed", "m.A.f", True), ("removed", "m.A.x", True)]),
    ("class A:\n  def _f(self): ...", "class A: ...", []),
    ("class A:\n  def __len__(self): ...", "class A: ...", [("removed", "m.A.__len__", True)]),
    ("class A:\n  def __repr__(self): ...", "class A: ...", []),
    ("class A:\n  def f(self): ...", "class B:\n  def f(self): ...\nclass A(B): ...", [("added", "m.B", False)]),
    ("class A:\n  def f(self): ...", "class _B:\n  def f(self): ...\nclass A(_B): ...", []),
    ("class A(X):\n  def f(self): ...", "class A(X): ...", [("removed", "m.A.f", False)]),
    ("class A:\n  def f(self): ...", "class A:\n  @property\n  def f(self): ...", [("changed", "m.A.f", True)]),
    ("class A:\n  @property\n  def f(self): ...", "class A:\n  def f(self): ...", [("changed", "m.A.f", True)]),
    ("class A:\n  x = 1", "class A:\n  @property\n  def x(self): ...", [("changed", "m.A.x", True)]),
    ("class A:\n  @staticmethod\n  def f(a): ...", "class A:\n  def f(self, a): ...", [("changed", "m.A.f", True)]),
    ("class A:\n  def f(self, a): ...", "class A:\n  @staticmethod\n  def f(a): ...", [("changed", "m.A.f", False)]),
    ("class A:\n  def __init__(self, a): ...", "class A:\n  def __init__(self): ...", [("changed", "m.A", True)]),
    ("class A: ...", "class A:\n  def __init__(self, a): ...", [("changed", "m.A", True)]),
    ("class A: ...", "class A:\n  def __init__(self, a=1): ...", [("changed", "m.A", False)]),
    ("class A:\n  def __init__(self): self.x = 1", "class A:\n  def __init__(self): ...", [("removed", "m.A.x", True)]),
    ("class E(ValueError): ...", "class E(Exception): ...", [("changed", "m.E", True)]),
    ("class E(Exception): ...", "class E(ValueError): ...", [("changed", "m.E", True)]),
    ("from dataclasses import dataclass\n@dataclass\nclass A:\n  a: int", "from dataclasses import dataclass\n@dataclass\nclass A:\n  a: int\n  b: int", [("changed", "m.A", True), ("added", "m.A.b", False)]),
    ("from dataclasses import dataclass\n@dataclass\nclass A:\n  a: int", "from dataclasses import dataclass\n@dataclass\nclass A:\n  a: int\n  b: int = 0", [("added", "m.A.b", False), ("changed", "m.A", False)]),
    ("class A:\n  class B:\n    def f(self, a): ...", "class A:\n  class B:\n    def f(self): ...", [("changed", "m.A.B.f", True)]),
    ("if x:\n  def f(a): ...\nelse:\n  def f(a): ...", "if x:\n  def f(a, b): ...\nelse:\n  def f(a): ...", [("changed", "m.f", True)]),
    ("try:\n  from fast import f\nexcept ImportError:\n  def f(a): ...", "def f(a): ...", []),
    ("from typing import overload\n@overload\ndef f(a: int): ...\n@overload\ndef f(a: str): ...\ndef f(a): ...",
     "from typing import overload\n@overload\ndef f(a: int): ...\n@overload\ndef f(a: bytes): ...\ndef f(a): ...", [("changed", "m.f", False)]),
]  # fmt: skip


@pytest.mark.parametrize(("base", "head", "expected"), MODULES)
def test_a_module_tells_what_happened_to_its_names(
    base: str, head: str, expected: list[tuple[str, str, bool]]
) -> None:
    """Kind, name, and whether code that worked breaks."""
    assert sorted(told(changed(base, head))) == sorted(expected)


def test_a_name_that_moved_and_is_passed_on_is_still_there() -> None:
    """`pkg.core.f` went to `pkg.other`, and `pkg` and `pkg.core` have it all the same."""
    base = {"pkg/__init__.py": "from .core import f", "pkg/core.py": "def f(a): ..."}
    head = {
        "pkg/__init__.py": "from .other import f",
        "pkg/core.py": "from pkg.other import f",
        "pkg/other.py": "def f(a): ...",
    }

    found = list(api_changes(pull(base, head)))

    assert told(found) == [("added", "pkg.other", False)]


def test_a_name_of_a_private_module_is_public_where_its_package_passes_it_on() -> None:
    """It is told under the name that people import, once, with the place where it is written."""
    base = {
        "src/pkg/__init__.py": "from ._core import *",
        "src/pkg/_core.py": "__all__ = ['f', 'g']\n\ndef f(a, b): ...\ndef g(): ...\n",
        "src/pkg/also.py": "from ._core import f\n__all__ = ['f']",
    }
    head = base | {"src/pkg/_core.py": "__all__ = ['f']\n\ndef f(a): ...\n"}

    found = list(api_changes(pull(base, head)))

    assert told(found) == [("removed", "pkg.g", True), ("changed", "pkg.f", True)]
    assert [(one.path, one.line) for one in found] == [
        ("src/pkg/_core.py", 4),
        ("src/pkg/_core.py", 3),
    ]


def test_a_module_that_is_gone_is_told_once() -> None:
    """Not every name in it."""
    base = {"pkg/__init__.py": "", "pkg/old.py": "def f(): ...\nclass A:\n  x = 1\n"}
    head = {"pkg/__init__.py": "", "pkg/new/__init__.py": "", "pkg/new/deep.py": "def f(): ..."}

    assert told(list(api_changes(pull(base, head)))) == [
        ("removed", "pkg.old", True),
        ("added", "pkg.new", False),
    ]


def test_tests_and_tools_of_developers_are_no_interface() -> None:
    """Neither is a script beside a package."""
    base = {
        "pkg/__init__.py": "",
        "pkg/tests/test_a.py": "def helper(): ...",
        "tests/conftest.py": "def fixture(): ...",
        "setup.py": "def version(): ...",
        "release.py": "def tag(): ...",
        "docs/conf.py": "project = 'x'",
        "pkg/__main__.py": "def main(): ...",
    }

    assert list(api_changes(pull(base, {"pkg/__init__.py": ""}))) == []


def test_a_compiled_module_is_read_from_its_stub() -> None:
    """Where there is no source in Python, `.pyi` has the names."""
    base = {"pkg/__init__.py": "", "pkg/fast.pyi": "def f(a: int) -> int: ..."}
    head = {"pkg/__init__.py": "", "pkg/fast.pyi": "def f(a: int, b: int) -> int: ..."}

    assert told(list(api_changes(pull(base, head)))) == [("changed", "pkg.fast.f", True)]


def test_only_what_a_change_can_concern_is_read_of_a_large_project() -> None:
    """Modules that pass the changed one's names on are; nothing that is the same is told."""
    many = {f"pkg/part{n}.py": f"def f{n}(): ..." for n in range(400)}
    many |= {"pkg/__init__.py": "from .part7 import f7\nfrom .part8 import f8"}
    base = many | {"pkg/part9.py": "from .part7 import Base\nclass A(Base): ..."}
    base |= {"pkg/part7.py": "def f7(a): ...\nclass Base:\n    def m(self): ..."}
    head = base | {"pkg/part7.py": "def f7(): ...\nclass Base: ..."}

    assert told(list(api_changes(pull(base, head)))) == [
        ("removed", "pkg.part7.Base.m", True),
        ("changed", "pkg.f7", True),
    ]


HOSTILE = [
    "(" * 5_000 + ")" * 5_000,
    "x" + ".x" * 50_000,
    "x = " + "-" * 50_000 + "1",
    "\0",
    "from .m import *\nfrom . import m\n__all__ = m.__all__",
    "class A(B): ...\nclass B(A): ...",
    "class A(A): ...",
    "f = f",
    "__all__ = [n for n in dir()] + __all__",
    "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    "def f(" + ", ".join(f"a{n}" for n in range(3_000)) + "): ...",
    "from m import f\nfrom m import g as f\nfrom m import f as g",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_makes_the_reading_fail(text: str) -> None:
    """Whatever a tree holds: what can be read is told, on both sides."""
    readable = {"n.py": "def f(a): ...\n"}
    both = [{"m.py": text} | readable, {"m.py": text + "\n"} | {"n.py": "def f(): ...\n"}]

    assert ("changed", "n.f", True) in told(list(api_changes(pull(*both))))
    assert ("changed", "n.f", True) not in told(list(api_changes(pull(both[0], both[0]))))


def test_what_is_shown_is_plain_text_of_bounded_length() -> None:
    """A default value is the author's text."""
    base = "def f(a='\x1b[31m\u202e'): ...\n"
    [one] = changed(base, f"def f(a={'x' * 5_000!r}): ...\n")

    assert "\x1b" not in one.before
    assert "\u202e" not in one.before
    assert len(one.after) <= 300


def test_nothing_is_read_where_no_module_changed() -> None:
    """A change of documents alone."""
    same = pull({"m.py": "def f(a): ..."}, {"m.py": "def f(): ..."})

    assert api_changes(replace(same, changes=(Change("README.md", "README.md", "modified"),))) == ()
