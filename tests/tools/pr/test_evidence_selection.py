"""Which tests a change concerns, what a tree consists of, and what is suspected of files: nothing is run."""

from typing import Any

import pytest
from pr_pulls import Files, ground, pull_of

from proofbox.tools.check_pr.evidence.strength import strengths
from proofbox.tools.check_pr.evidence.support import of_support
from proofbox.tools.check_pr.evidence.suspects import of_files

SMALL = {f"tests/test_other_{number}.py": "import pkg.far\n" for number in range(20)}
BASE = {
    "pkg/__init__.py": "",
    "pkg/core.py": "def f():\n    return open('table.csv')\n",
    "pkg/table.csv": "1\n",
    "pkg/user.py": "from . import core\n",
    "pkg/deep/__init__.py": "from ..user import core\n",
    "pkg/far.py": "x = 1\n",
    "tests/test_core.py": "x = 1\n",
    "tests/test_user.py": "def test_u():\n    from pkg.user import core\n",
    "tests/test_deep.py": "import pkg.deep.missing\n",
    "tests/test_help.py": "import helping\n",
    "tests/helping.py": "import pkg.far as far\n",
    "tests/sub/conftest.py": "from pkg import core\n",
    "tests/sub/test_sub.py": "",
    "tests/data/cases.json": "{}",
    "tests/test_cases.py": "PATH = 'data/cases.json'\n",
    "drivers/__init__.py": "import importlib\ndef get(name):\n    return importlib.import_module('.' + name, __name__)\n",
    "drivers/kinds/fast.py": "x = 1\n",
    "drivers/user.py": "far = __import__('pkg.late')\n",
    "pkg/late.py": "x = 1\n",
    "tests/test_drivers.py": "from drivers import get\n",
    "tests/test_named.py": "import drivers.user\n",
    **SMALL,
}


def chosen(head: Files, **wanted: Any) -> set[str]:
    """The names of the test files that a change concerns."""
    selection = ground(BASE, head, **wanted).selection
    return {path.rpartition("/")[2].removesuffix(".py") for path in selection.head}


@pytest.mark.parametrize(
    ("head", "tests"),
    [
        ({"pkg/core.py": "x = 1\n"}, {"test_core", "test_user", "test_deep", "test_sub"}),
        ({"pkg/user.py": "x = 1\n"}, {"test_user", "test_deep"}),
        ({"pkg/table.csv": "2\n"}, {"test_user", "test_deep", "test_sub"}),
        ({"tests/helping.py": "x = 2\n"}, {"test_help"}),
        ({"drivers/kinds/fast.py": "x = 2\n"}, {"test_drivers", "test_named"}),
        ({"pkg/late.py": "x = 2\n"}, {"test_drivers", "test_named"}),
        ({"tests/data/cases.json": "[]"}, {"test_cases"}),
        ({"tests/sub/conftest.py": ""}, {"test_sub"}),
        ({"tests/test_core.py": "x = 2\n", "README.md": "x"}, {"test_core"}),
        ({"tests/test_fresh.py": "x = 2\n"}, {"test_fresh"}),
        (
            {"tests/test_user.py": None, "tests/test_moved.py": BASE["tests/test_user.py"]},
            {"test_moved"},
        ),
    ],
)
def test_the_tests_that_a_change_concerns_are_chosen(head: Files, tests: set[str]) -> None:
    """By name, by what they import over however many files, by conftest, and by the data that they read."""
    assert chosen(head) == tests
    selection = ground(BASE, head).selection
    assert selection.said.endswith("were not run.")
    assert selection.partial


@pytest.mark.parametrize(
    ("head", "wanted", "why"),
    [
        ({"README.md": "x"}, {}, "none concerns the change"),
        ({"pkg/far.py": "x = 2\n"}, {"all_tests": True}, "as asked for"),
        ({"requirements-dev.txt": "click\n"}, {}, "decides what is installed"),
        (
            {"pytest.ini": "[pytest]\npython_functions = check\n"},
            {},
            "configuration of pytest was changed",
        ),
    ],
)
def test_all_tests_are_run_where_no_choice_can_be_made(
    head: Files, wanted: dict[str, Any], why: str
) -> None:
    """And the report says so."""
    found = ground(BASE, head, **wanted)

    assert len(found.selection.head) == len(found.head.tests) == 28
    assert why in found.selection.said


@pytest.mark.parametrize(
    "head",
    [
        {"tests/test_core.py": None, "tests/check_core.py": BASE["tests/test_core.py"]},
        {"pytest.ini": "[pytest]\npython_files = test_[!c]*.py\n"},
        {"pytest.ini": "[pytest]\ntestpaths = tests/sub tests/test_user.py\n"},
    ],
    ids=["renamed", "pattern", "folders"],
)
def test_tests_that_are_put_out_of_pytests_sight_are_run_all_the_same(head: Files) -> None:
    """Base's version of them, on head's code, as if they had been deleted."""
    found = ground(BASE, head).selection

    assert "tests/test_core.py" in found.changed_base
    assert not {"tests/test_core.py", "tests/check_core.py"} & set(found.head)


@pytest.mark.parametrize("base", [{}, {"tests/sub/__init__.py": ""}], ids=["added", "modified"])
def test_what_is_imported_before_a_test_file_changes_its_tests(base: Files) -> None:
    """The package that it lies in can replace what is tested, though no test names it."""
    found = ground({**BASE, **base}, {"tests/sub/__init__.py": "import pkg\npkg.core = 1\n"})

    assert found.selection.changed_head == ("tests/sub/test_sub.py",)
    assert found.selection.changed_base == ("tests/sub/test_sub.py",)


def test_tests_are_looked_for_where_the_project_wants_them() -> None:
    """Not in what its configuration or conftest.py excludes; in documents with examples that it names."""
    text = "Look:\n\n    >>> from pkg import far\n"
    configured = "[pytest]\nnorecursedirs = data\naddopts = --ignore=tests/sub --doctest-glob '*.rst' -m 'not slow'\n"
    files = {
        **BASE,
        "pytest.ini": configured,
        "tests/conftest.py": "collect_ignore = ['test_user.py']\ncollect_ignore_glob = ['*_deep.py']\n",
        "tests/data/test_sample.py": "x = 1\n",
        "docs/far.rst": text,
        "docs/near.rst": "Nothing.\n",
    }

    found = ground(files, {"pkg/far.py": "x = 2\n"})

    left_out = {path for path in ground(BASE, {}).base.tests if path not in found.head.tests}
    assert left_out == {"tests/sub/test_sub.py", "tests/test_user.py", "tests/test_deep.py"}
    assert set(found.head.tests) - set(BASE) == {"docs/far.rst"}
    assert "docs/far.rst" in found.selection.head
    assert found.trees.head.arguments == ("--doctest-glob=*.rst", "-m", "not slow")


def test_tests_that_start_programs_are_run_for_any_change_of_code() -> None:
    """No import says what they run, be it in a fixture; documents are no code."""
    base = {
        **BASE,
        "tests/test_cli.py": "import subprocess\n",
        "tests/cli/conftest.py": "from subprocess import run\n",
        "tests/cli/test_more.py": "def test_more(cli): pass\n",
    }

    code = ground(base, {"pkg/late.py": "x = 2\n"}).selection
    document = ground(base, {"tests/data/cases.json": "[]"}).selection

    assert {"tests/test_cli.py", "tests/cli/test_more.py"} < set(code.head)
    assert "2 starting programs or importing by name" in code.said
    assert document.head == ("tests/test_cases.py",)


def test_files_that_only_unittest_finds_are_tests_where_pytest_is_not_configured() -> None:
    """Neither what has no tests of its own, nor what Django runs."""
    case = "class T(unittest.TestCase):\n    def test_far(self):\n        pass\n"
    files = {
        "pkg/far.py": "x = 1\n",
        "tests.py": f"import unittest\nfrom pkg import far\n{case}",
        "testing.py": "import unittest\nclass Base(unittest.TestCase):\n    pass\n",
        "testsuite.py": f"import unittest\nfrom django import test\n{case}",
    }

    found = ground(files, {"pkg/far.py": "x = 2\n"})
    configured = ground({**files, "pytest.ini": "[pytest]\n"}, {"pkg/far.py": "x = 2\n"})

    assert found.head.tests == ("tests.py",)
    assert found.head.is_test_side("tests.py")
    assert configured.head.tests == ()


def test_tests_that_were_asked_for_are_the_only_ones() -> None:
    """Files and folders."""
    assert chosen({"pkg/core.py": ""}, only=("tests/sub", "tests/test_core.py")) == {
        "test_sub",
        "test_core",
    }


def test_each_tree_has_the_code_of_one_side_and_the_tests_of_one() -> None:
    """What only tests need goes with them; conftest files and configuration are base's, or head's own."""
    head: Files = {
        "pkg/core.py": "new = 1\n",
        "tests/helping.py": "new = 1\n",
        "tests/test_core.py": None,
        "tests/test_new.py": "new = 1\n",
        "tests/sub/conftest.py": "new = 1\n",
        "conftest.py": "new = 1\n",
        "tox.ini": "[pytest]\nxfail_strict = true\n",
    }

    trees = ground({**BASE, "setup.cfg": "[tool:pytest]\n", "tests/__init__.py": ""}, head).trees

    assert trees.own_head is not None
    assert trees.own_base_with_head is not None
    new = {
        name: {path for path, content in project.files.items() if content == b"new = 1\n"}
        for name, project in (
            ("base", trees.base),
            ("base_with_head", trees.base_with_head),
            ("head", trees.head),
            ("head_with_base", trees.head_with_base),
            ("own_head", trees.own_head),
            ("own_base_with_head", trees.own_base_with_head),
        )
    }
    own = {"tests/sub/conftest.py", "conftest.py"}
    tests = {"tests/helping.py", "tests/test_new.py"}
    assert new == {
        "base": set(),
        "base_with_head": tests,
        "head": tests | {"pkg/core.py"},
        "head_with_base": {"pkg/core.py"},
        "own_head": tests | own | {"pkg/core.py"},
        "own_base_with_head": tests | own,
    }
    assert ("tests/test_core.py" in trees.base.files, "tests/test_core.py" in trees.head.files) == (True, False)  # fmt: skip
    assert "tests/test_core.py" in trees.head_with_base.tests
    assert trees.head.config == trees.base.config == "setup.cfg"
    assert trees.own_head.config == "tox.ini"


def test_code_with_examples_in_it_stays_code() -> None:
    """Its docstrings are tests and cannot be run without it: it is never taken to the other side's tree."""
    code = "def f():\n    '''\n    >>> f()\n    '''\n"
    configured = "[pytest]\naddopts = --doctest-modules\n"
    base = {"src/a.py": code, "tests/test_a.py": "import a\n", "pytest.ini": configured}

    found = ground(base, {"src/a.py": f"{code}x = 1\n"})

    assert found.trees.head_with_base.files["src/a.py"].endswith(b"x = 1\n")
    assert not found.trees.base_with_head.files["src/a.py"].endswith(b"x = 1\n")
    assert "src/a.py" in found.head.tests
    assert [module.name for module in found.head.sources] == ["a"]
    assert found.head.roots == ("src",)


def test_a_changed_configuration_of_the_same_name_is_laid_beside() -> None:
    """Its other tables stay as head has them."""
    text = "[project]\nname = 'a'\n[tool.pytest.ini_options]\n{}\n"
    found = ground({**BASE, "pyproject.toml": text.format("")}, {"pyproject.toml": text.format("xfail_strict = true")})  # fmt: skip

    head = found.trees.head
    assert head.config == "base-of-the-pull-request-pyproject.toml"
    assert b"xfail_strict" in head.files["pyproject.toml"]
    assert b"xfail_strict" not in head.files[head.config]


def test_what_runs_the_tests_elsewhere_is_told() -> None:
    """A make target that has nothing to do with tests is not."""
    pull = pull_of(
        {"Makefile": "all:\n\tcc\n", "noxfile.py": "x = 1\n"},
        {
            "Makefile": "all:\n\tgcc\n",
            "noxfile.py": "x = 1\nsession.run('pytest', '-k', 'not slow')\n",
            ".gitlab-ci.yml": "x",
            "poetry.lock": "x",
            "docs/Makefile": "y\n",
        },
    )

    assert [(one.what, one.path, one.line) for one in of_files(pull)] == [
        ("continuous_integration", ".gitlab-ci.yml", 0),
        ("test_command", "noxfile.py", 2),
        ("lock_file", "poetry.lock", 0),
    ]


CHECK = "def check_same(a, b):\n    assert a == b\n"
PLUGIN = "[project.entry-points.pytest11]\nmine = 'pkg.plug'\n"
PLAIN = {
    "pkg/__init__.py": "",
    "pkg/core.py": "def f():\n    return 1\n",
    "pkg/checks.py": CHECK,
    "pkg/plug.py": "x = 1\n",
    "want.json": "1",
    "used.json": "1",
    "pkg/use.py": "NAME = 'used.json'\n",
    "pyproject.toml": PLUGIN,
    "tests/test_core.py": "from pkg.checks import check_same\nA, B = 'want.json', 'used.json'\n",
}


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (
            {"pkg/checks.py": CHECK.replace("a == b", "a")},
            ("pkg/checks.py", 1, "check_same: It no"),
        ),
        (
            {"pkg/checks.py": CHECK.replace("assert a == b", "pass")},
            ("pkg/checks.py", 1, "0 checks"),
        ),
        ({"pkg/plug.py": "x = 2\n"}, ("pkg/plug.py", 1, "a plugin of pytest")),
        (
            {"pkg/core.py": "import os\nx = 'PYTEST_VERSION' in os.environ\n"},
            ("pkg/core.py", 2, "asks"),
        ),
        ({"want.json": "2"}, ("want.json", 1, "tests alone read it")),
    ],
)
def test_what_tests_are_judged_by_outside_of_their_folder_is_told(
    head: Files, told: tuple[str, int, str]
) -> None:
    """Helpers that check less, plugins, code that knows of tests, data that tests compare with."""
    path, line, words = told

    [found] = of_support(ground(PLAIN, head))

    assert (found.what, found.path, found.line) == ("test_support", path, line)
    assert words in found.detail


def test_changes_that_take_nothing_from_tests_are_not_told() -> None:
    """Code, data that code reads, and helpers that check as much as before."""
    head = {
        "pkg/core.py": "def f():\n    assert True\n    return 2\n",
        "pkg/checks.py": f"# Better.\n{CHECK}",
        "used.json": "2",
        "README.md": "x",
    }

    assert list(of_support(ground(PLAIN, head))) == []


@pytest.mark.parametrize(
    ("before", "after", "weaker"),
    [
        (
            "assert f() == 1\n    assert f() == 2",
            "assert f() == 1",
            "1 check; base's version has 2",
        ),
        ("assert f() == 1", "assert f()", "no longer compares"),
        ("assert f() == 1", "assert f() is not None", "no longer compares"),
        ("assert f() == 1", "assert f() == 1 or True", "catches or excuses"),
        ("self.assertEqual(f(), 1)", "self.assertTrue(f())", "no longer compares"),
        ("assert f() == 1", "assert True", "0 checks"),
        (
            "assert f() == 1",
            "try:\n        assert f() == 1\n    except Exception:\n        pass",
            "catches",
        ),
        ("with raises(E, match='x'):\n        f()", "with raises(E):\n        f()", "no longer"),
        ("assert f() == 1", "assert f() == 2", ""),
        ("assert f()", "assert f() == 1", ""),
        ("assert f() == 1", "assert f() == 1\n    assert g() == 1", ""),
    ],
)
def test_a_test_that_checks_less_is_seen(before: str, after: str, weaker: str) -> None:
    """Fewer checks, looser ones, and checks whose failure is caught."""
    old, new = (strengths("test_a.py", f"def test_a():\n    {body}\n") for body in (before, after))

    said = new["test_a"].weaker_than(old["test_a"])

    assert weaker in said
    assert bool(said) is bool(weaker)
