"""Pull requests that are run on both sides, in a jail: what becomes of each test, and what is told of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
from pr_pulls import Files, pull_of

from proofbox.server.assembly import open_app
from proofbox.server.programs import OpenSandbox
from proofbox.server.sandbox import Program, ProgramResult, ProgramRunner
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.server.settings import Settings
from proofbox.tools.check_pr.beyond.beyond import ChangedLines
from proofbox.tools.check_pr.beyond.coverage import change_coverage
from proofbox.tools.check_pr.environment.environment import Environment
from proofbox.tools.check_pr.environment.side import Side
from proofbox.tools.check_pr.evidence.compare import compare
from proofbox.tools.check_pr.evidence.evidence import Evidence
from proofbox.tools.check_pr.request import PrRequest
from proofbox.tools.run_generated_tests.sandboxes import sandboxes

pytestmark = pytest.mark.slow

Compare = Callable[..., Awaitable[Evidence]]
"""`await check(base, head, **request)`."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for the module, since its tests share a jail."""
    return "asyncio"


@pytest.fixture(scope="module")
async def opened(local_cache: Path) -> AsyncGenerator[OpenSandbox]:
    """A jail for all tests of this module."""
    backend = LocalBackend(cache_dir=local_cache)
    async with (
        open_app(Settings(), backend=backend, warm=False) as app,
        sandboxes(app, "local", ()) as opened,
    ):
        yield opened


@pytest.fixture
def check(opened: OpenSandbox) -> Compare:
    """Compares two trees in the jail; counts add up in every case."""

    async def run(base: Files, head: Files, **wanted: object) -> Evidence:
        pull = pull_of(base, head)
        sides = [Side(tree, Environment(), opened) for tree in (pull.base, pull.head)]
        request = PrRequest("r", **{"reruns": 1, "test_seconds": 10.0, **wanted})  # pyright: ignore[reportArgumentType]
        evidence = await compare(pull, sides[0], sides[1], request)
        assert sum(evidence.counts.values()) == len(evidence.tests)
        assert len({test.id for test in evidence.tests}) == len(evidence.tests)
        return evidence

    return run


def kinds(evidence: Evidence) -> dict[str, str]:
    """The kind of every test, without its folder."""
    return {test.id.rpartition("/")[2]: test.kind for test in evidence.tests}


def suspects(evidence: Evidence) -> set[tuple[str, str]]:
    """What is suspected, and where."""
    return {(one.what, one.path) for one in evidence.suspects}


def text(source: str) -> str:
    """Source without its indentation."""
    return dedent(source).lstrip("\n")


SHOP = text("""
    import os


    def total(prices):
        return sum(prices[1:])


    def discount(price, percent):
        return price - price * percent / 100


    def label(name):
        return name.strip().title()


    def leave():
        return 0


    def pick():
        return os.environ["TZ"] == "UTC"


    def other_pick():
        return True
    """)
BROKEN = (
    SHOP.replace("prices[1:]", "prices")
    .replace("price - price", "price + price")
    .replace(
        "    return 0\n", "    print('tests/test_exit.py::test_leave PASSED')\n    os._exit(0)\n"
    )
    .replace('os.environ["TZ"] == "UTC"', "True")
    .replace(
        "def other_pick():\n    return True",
        'def other_pick():\n    return os.environ["TZ"] != "UTC"',
    )
    + "\n\ndef vat(price):\n    return price * 119 / 100\n"
)
TESTS = text("""
    import unittest

    import pytest
    from shop import discount, label, total


    def test_total():
        assert total([1, 2]) == 3


    def test_discount():
        assert discount(200, 10) == 180


    def test_deleted():
        assert discount(100, 10) == 90


    def test_skipped():
        assert discount(100, 20) == 80


    def test_excused():
        assert discount(100, 30) == 70


    def test_weakened():
        assert discount(100, 40) == 60


    def test_label():
        assert label(" tea ") == "Tea"


    def test_changed():
        assert total([2]) == 0


    @pytest.mark.parametrize("name", ["a", "b[c]", "é"])
    def test_names(name):
        assert label(name) == name.title()


    @pytest.mark.parametrize(("count", "sum"), [(1, 0), (2, 1)])
    def test_ones(count, sum):
        assert total([1] * count) == sum


    class Cart(unittest.TestCase):
        def test_sum(self):
            for percent in (0, 50):
                with self.subTest(percent):
                    self.assertEqual(discount(100, percent), 100 - percent)

        @unittest.expectedFailure
        def test_known(self):
            self.assertEqual(label("a"), "b")
    """)
CHANGED = (
    TESTS.replace("def test_deleted():\n    assert discount(100, 10) == 90\n\n\n", "")
    .replace("def test_skipped", "@pytest.mark.skip(reason='later')\ndef test_skipped")
    .replace("def test_excused", "@pytest.mark.xfail\ndef test_excused")
    .replace("assert discount(100, 40) == 60", "assert discount(100, 40)")
    .replace("total([2]) == 0", "total([2]) == 2")
    .replace('"b[c]", "é"', '"é", "ü"')
    .replace("(1, 0), (2, 1)", "(1, 1), (2, 2)")
)
NEW = text("""
    import pytest
    from shop import label, total


    def test_proves_nothing():
        assert label("x") == "X"


    def test_proves():
        assert total([5]) == 5


    def test_wrong():
        assert label("x") == "x"


    def test_new_name():
        from shop import vat

        assert vat(100) == 119


    class TestNever:
        def __init__(self):
            pass

        def test_it(self):
            assert True
    """)
EXIT = text("""
    from shop import leave


    def test_before():
        assert callable(leave)


    def test_leave():
        assert leave() == 0


    def test_after():
        assert callable(leave)
    """)
PICK = text("""
    from shop import other_pick, pick


    def test_pick():
        # What shop picks is a random choice, as it were.
        assert pick()


    def test_other_pick():
        assert other_pick()
    """)
COLLECT = "from shop import label\n\n\ndef test_old():\n    assert label('a') == 'A'\n"
WITH_VAT = COLLECT.replace("import label", "import label, vat")
MOVED = "import shop\n\n\ndef test_moved():\n    assert shop.discount(10, 10) == 9\n\n\ndef test_same():\n    assert shop\n"


async def test_every_test_of_a_large_change_is_told_apart(check: Compare) -> None:
    """Mended, broken, deleted, skipped, excused, weakened, moved, new, ended, flaky: each by its own name."""
    base = {
        "shop.py": SHOP,
        "tests/test_shop.py": TESTS,
        "tests/test_exit.py": EXIT,
        "tests/test_pick.py": PICK,
        "tests/test_collect.py": COLLECT,
        "tests/test_old.py": MOVED,
    }
    head = {
        "shop.py": BROKEN,
        "tests/test_shop.py": CHANGED,
        "tests/test_collect.py": WITH_VAT + "\n\ndef test_vat():\n    assert vat(100) == 119\n",
        "tests/test_old.py": None,
        "tests/test_moved.py": MOVED,
        "tests/test_new.py": NEW,
    }

    evidence = await check(base, head, reruns=2)

    assert kinds(evidence) == {
        "test_shop.py::test_total": "fail_to_pass_strong",
        "test_shop.py::test_discount": "pass_to_fail",
        "test_shop.py::test_deleted": "removed",
        "test_shop.py::test_skipped": "newly_skipped",
        "test_shop.py::test_excused": "newly_skipped",
        "test_shop.py::test_weakened": "pass_to_pass",
        "test_shop.py::test_label": "pass_to_pass",
        "test_shop.py::test_changed": "fail_to_pass_strong",
        "test_shop.py::test_names[a]": "pass_to_pass",
        "test_shop.py::test_names[b[c]]": "removed",
        "test_shop.py::test_names[\\xe9]": "pass_to_pass",
        "test_shop.py::test_names[\\xfc]": "new_but_pass_at_base",
        "test_shop.py::test_ones[1-0]": "removed",
        "test_shop.py::test_ones[2-1]": "removed",
        "test_shop.py::test_ones[1-1]": "fail_to_pass_strong",
        "test_shop.py::test_ones[2-2]": "fail_to_pass_strong",
        "test_shop.py::Cart::test_sum": "pass_to_fail",
        "test_shop.py::Cart::test_known": "pass_to_pass",
        "test_exit.py::test_before": "pass_to_pass",
        "test_exit.py::test_leave": "pass_to_fail",
        "test_exit.py::test_after": "pass_to_pass",
        "test_pick.py::test_pick": "flaky",
        "test_pick.py::test_other_pick": "flaky",
        "test_collect.py::test_old": "pass_to_pass",
        "test_collect.py::test_vat": "fail_to_pass_weak",
        "test_moved.py::test_moved": "pass_to_fail",
        "test_moved.py::test_same": "pass_to_pass",
        "test_new.py::test_proves_nothing": "new_but_pass_at_base",
        "test_new.py::test_proves": "fail_to_pass_strong",
        "test_new.py::test_wrong": "new_and_fails",
        "test_new.py::test_new_name": "fail_to_pass_strong",
        "test_new.py::TestNever::test_it": "not_collected",
    }
    assert suspects(evidence) == {
        ("test_deleted", "tests/test_shop.py"),
        ("test_skipped", "tests/test_shop.py"),
        ("assertion_weakened", "tests/test_shop.py"),
        ("exits_early", "tests/test_exit.py"),
    }
    tests = {test.id.rpartition("/")[2]: test for test in evidence.tests}
    for name in ("deleted", "skipped", "excused", "weakened"):
        assert tests[f"test_shop.py::test_{name}"].head_with_base == "failed"
    assert tests["test_shop.py::test_ones[1-0]"].head_with_base == "failed"
    assert len(tests["test_shop.py::test_ones[1-0]"].instead) == 2
    assert not tests["test_shop.py::test_names[b[c]]"].instead
    weakened = next(one for one in evidence.suspects if one.what == "assertion_weakened")
    assert weakened.line == tests["test_shop.py::test_weakened"].line
    assert tests["test_exit.py::test_leave"].head == "ended"
    broken = tests["test_shop.py::test_discount"].raised
    assert broken is not None
    assert broken.type == "AssertionError"
    assert set(tests["test_pick.py::test_pick"].outcomes["base"]) == {"passed", "failed"}
    assert set(tests["test_pick.py::test_pick"].outcomes["head"]) == {"passed"}
    assert set(tests["test_pick.py::test_other_pick"].outcomes["head"]) == {"passed", "failed"}
    assert not evidence.problems
    assert not evidence.regressions


CONFTEST = "import pytest\n\n\n@pytest.fixture\ndef price():\n    return 200\n"
FIXED = text("""
    import pytest
    from shop import discount


    def test_discount(price):
        assert discount(price, 10) == 180


    def test_free():
        assert discount(0, 10) == 0
    """)
HIDING = text("""
    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(item, call):
        outcome = yield
        outcome.get_result().outcome = "passed"
    """)
LAYOUT = {
    "src/shop.py": SHOP,
    "tests/conftest.py": CONFTEST,
    "tests/test_shop.py": FIXED,
    "pyproject.toml": "[tool.pytest.ini_options]\ntestpaths = ['tests']\n",
}


async def test_a_conftest_that_hides_failures_is_not_used_and_one_that_is_needed_is(
    check: Compare,
) -> None:
    """Base's is, except where a test could not even begin with it."""
    new = "\n\ndef test_half(half):\n    assert half == 100\n"
    fixture = "\n\n@pytest.fixture\ndef half(price):\n    return price / 2\n"
    wrong = SHOP.replace("price - price", "price + price")

    hiding = await check(
        LAYOUT, {"src/shop.py": wrong, "tests/conftest.py": CONFTEST + "\n\n" + HIDING}
    )
    idle = await check(LAYOUT, {"tests/conftest.py": CONFTEST + "\n\n" + HIDING})
    needed = await check(
        LAYOUT, {"tests/conftest.py": CONFTEST + fixture, "tests/test_shop.py": FIXED + new}
    )

    assert kinds(hiding)["test_shop.py::test_discount"] == "pass_to_fail"
    assert suspects(hiding) == {
        ("conftest", "tests/conftest.py"),
        ("hides_failures", "tests/conftest.py"),
    }
    assert suspects(idle) == suspects(hiding)
    assert kinds(needed) == {
        "test_shop.py::test_discount": "pass_to_pass",
        "test_shop.py::test_free": "pass_to_pass",
        "test_shop.py::test_half": "new_but_pass_at_base",
    }
    [suspect] = needed.suspects
    assert suspect.what == "conftest"
    assert (
        suspect.judged == "with base's conftest.py, except for 1 test that cannot do without head's"
    )


async def test_tests_of_the_pull_request_cannot_change_what_the_old_ones_come_to(
    check: Compare,
) -> None:
    """They replace the broken code for their whole process, once collected; the reruns are no way round either."""
    wrong = SHOP.replace("price - price", "price + price")
    mended = "import shop\n\nshop.discount = lambda price, percent: price - price * percent / 100\n"
    new = f"{mended}\n\ndef test_mended():\n    assert shop.discount(200, 10) == 180\n"

    evidence = await check(LAYOUT, {"src/shop.py": wrong, "tests/test_a_new_one.py": new})

    assert kinds(evidence)["test_shop.py::test_discount"] == "pass_to_fail"
    assert "head without tests of the pull request" in evidence.commands


async def test_what_python_runs_as_it_starts_is_that_of_base(check: Compare) -> None:
    """A sitecustomize.py that mends broken code for tests alone hides nothing."""
    wrong = SHOP.replace("price - price", "price + price")
    mended = "import shop\n\nshop.discount = lambda price, percent: price - price * percent / 100\n"

    evidence = await check(LAYOUT, {"src/shop.py": wrong, "src/sitecustomize.py": mended})

    assert kinds(evidence)["test_shop.py::test_discount"] == "pass_to_fail"
    assert ("hides_failures", "src/sitecustomize.py") in suspects(evidence)


async def test_a_new_module_in_the_place_of_one_of_python_is_not_believed(check: Compare) -> None:
    """Tests would check with it."""
    wrong = SHOP.replace("price - price", "price + price")
    test = "import statistics\nimport shop\n\n\ndef test_mean():\n    assert statistics.mean([shop.discount(200, 10)]) == 180\n"
    head = {"src/shop.py": wrong, "src/statistics.py": "def mean(values):\n    return 180\n"}

    evidence = await check({**LAYOUT, "tests/test_shop.py": test}, head, reruns=0)

    [problem] = evidence.problems
    assert "import statistics from src/statistics.py" in problem


async def test_a_configuration_that_leaves_tests_out_is_not_used(check: Compare) -> None:
    """And changes of what runs the tests elsewhere are told."""
    head = {
        "src/shop.py": SHOP.replace("price - price", "price + price"),
        "pyproject.toml": "[tool.pytest.ini_options]\ntestpaths = ['tests']\npython_functions = ['check_*']\n",
        ".github/workflows/ci.yml": "on: push\n",
        "uv.lock": "version = 1\n",
        "tox.ini": "[testenv]\ncommands = pytest --deselect tests/test_shop.py::test_discount\n",
    }

    evidence = await check(LAYOUT, head)

    assert kinds(evidence) == {
        "test_shop.py::test_discount": "pass_to_fail",
        "test_shop.py::test_free": "pass_to_pass",
    }
    assert {one.what: (one.path, one.line) for one in evidence.suspects} == {
        "configuration": ("pyproject.toml", 3),
        "continuous_integration": (".github/workflows/ci.yml", 1),
        "lock_file": ("uv.lock", 1),
        "test_command": ("tox.ini", 1),
    }
    assert "base-of-the-pull-request-pyproject.toml" in evidence.commands["head"]


async def test_a_package_that_cannot_be_imported_at_head_is_a_regression_of_its_own(
    check: Compare,
) -> None:
    """So is a suite of which nothing is left; the tests are told too."""
    broken = await check(LAYOUT, {"src/shop.py": "import os, nowhere\n" + SHOP})
    emptied = await check(LAYOUT, {"tests/test_shop.py": "import shop\n"})

    assert set(kinds(broken).values()) == {"pass_to_fail"}
    assert {test.head for test in broken.tests} == {"error"}
    assert broken.regressions == (
        "Nothing is collected at head any more; at base 2 tests are.",
        "shop cannot be imported at head: ModuleNotFoundError: No module named 'nowhere'.",
    )
    assert set(kinds(emptied).values()) == {"removed"}
    assert emptied.regressions == ("Nothing is collected at head any more; at base 2 tests are.",)


async def test_a_copy_of_the_code_beside_the_tests_is_not_taken_for_it(check: Compare) -> None:
    """Tests that import the copy say nothing of the code; a new module that is no Python is told, too."""
    broken = SHOP.replace("price - price", "price + price")
    head = {"src/shop.py": broken, "tests/shop.py": SHOP, "src/fresh.py": "def f(:\n"}

    evidence = await check(LAYOUT, head)

    assert evidence.problems == (
        "Tests at head import shop from tests/shop.py and not from src/shop.py, as those of base do.",
    )
    assert evidence.regressions == (
        "fresh cannot be imported at head: SyntaxError: invalid syntax (fresh.py, line 1).",
    )


async def test_code_that_makes_every_test_pass_is_seen_through(check: Compare) -> None:
    """Its outcomes count for nothing, whatever they are."""
    rigged = "import _pytest.python\n\n_pytest.python.Function.runtest = lambda self: None\n" + SHOP

    evidence = await check(LAYOUT, {"src/shop.py": rigged})

    assert set(kinds(evidence).values()) == {"unknown"}
    assert suspects(evidence) == {("hides_failures", "src/shop.py")}
    assert evidence.regressions == (
        "The outcomes of tests at head cannot be believed: A test that must fail did not: the suite hides failures.",
    )


async def test_code_that_replaces_what_tests_check_with_is_seen_through(check: Compare) -> None:
    """Every comparison of unittest would hold."""
    case = text("""
        import unittest
        import shop

        class Discount(unittest.TestCase):
            def test_it(self):
                self.assertEqual(shop.discount(200, 10), 180)
        """)
    broken = SHOP.replace("price - price", "price + price")
    head = f"{broken}\nimport unittest\nunittest.TestCase.assertEqual = lambda *given: None\n"

    evidence = await check({**LAYOUT, "tests/test_shop.py": case}, {"src/shop.py": head}, reruns=0)

    [regression] = evidence.regressions
    assert "the place of unittest.TestCase.assertEqual" in regression


async def test_a_name_that_is_gone_excuses_no_other_test_of_its_file(check: Compare) -> None:
    """Base's file cannot be imported at head, but the tests that need nothing of what is gone can be run."""
    tests = text("""
        from shop import (
            discount,
            label,
        )

        def test_discount():
            assert discount(200, 10) == 180

        def test_label():
            assert label(" tea pot ") == "Tea Pot"
        """)
    less = SHOP.partition("def label")[0]
    left = "from shop import discount\n\ndef test_discount():\n    assert discount(200, 10){}\n"
    base = {**LAYOUT, "src/shop.py": SHOP, "tests/test_shop.py": tests}

    fine = {"src/shop.py": less, "tests/test_shop.py": left.format(" == 180")}
    innocent = await check(base, fine, reruns=0)
    wrong = less.replace("price - price", "price + price")
    weakened = {"src/shop.py": wrong, "tests/test_shop.py": left.format("")}
    guilty = await check(base, weakened, reruns=0)

    there = {
        "src/shop.py": None,
        "src/store.py": SHOP,
        "tests/test_shop.py": tests.replace("shop", "store"),
    }
    moved = await check(base, there, reruns=0)

    heads = [{one.id.rpartition(":")[2]: one.head_with_base for one in evidence.tests}
             for evidence in (innocent, guilty, moved)]  # fmt: skip
    assert heads == [
        {"test_discount": "passed", "test_label": "error"},
        {"test_discount": "failed", "test_label": "error"},
        {"test_discount": "passed", "test_label": "passed"},
    ]
    assert ("assertion_weakened", "tests/test_shop.py") in suspects(guilty)
    assert innocent.counts == guilty.counts == {"pass_to_pass": 1, "removed": 1}


async def test_what_a_fixture_checks_is_checked_by_its_tests(check: Compare) -> None:
    """A fixture of the test file, which may be changed, and one of conftest.py, of which head's must not hide it."""
    fixture = "import pytest\nimport shop\n\n@pytest.fixture\ndef price():\n    price = shop.discount(200, 10)\n"
    checked, taken = (
        f"{fixture}    assert price == 180\n    return price\n",
        f"{fixture}    return price\n",
    )
    test = "\n\ndef test_discount(price):\n    assert price\n"
    wrong = {"src/shop.py": SHOP.replace("price - price", "price + price")}
    own = {**LAYOUT, "tests/test_shop.py": checked + test}
    common = {**LAYOUT, "tests/test_shop.py": test, "tests/conftest.py": checked}

    here = await check(own, {**wrong, "tests/test_shop.py": taken + test}, reruns=0)
    above = await check(common, {**wrong, "tests/conftest.py": taken}, reruns=0)

    assert [one.head_with_base for one in here.tests] == ["failed"]
    assert ("assertion_weakened", "tests/test_shop.py") in suspects(here)
    assert kinds(above) == {"test_shop.py::test_discount": "pass_to_fail"}
    assert ("hides_failures", "tests/conftest.py") in suspects(above)


async def test_a_conftest_of_base_that_head_broke_is_replaced_by_heads(check: Compare) -> None:
    """Where nothing can be run with it, and head's works, all tests count with that."""
    base = {**LAYOUT, "tests/conftest.py": "import shop\n\nshop.label\n" + CONFTEST}
    head = {
        "src/shop.py": SHOP.replace("label", "caption"),
        "tests/conftest.py": "import shop\n\nshop.caption\n" + CONFTEST,
    }

    evidence = await check(base, head)

    assert set(kinds(evidence).values()) == {"pass_to_pass"}
    assert [one.judged for one in evidence.suspects] == [
        "with base's conftest.py, except for 2 tests that cannot do without head's"
    ]
    assert not evidence.problems


async def test_a_new_fixture_may_stand_on_new_code(check: Compare) -> None:
    """Base's code has nothing that head's conftest.py needs, so there the new test cannot begin."""
    fixture = "\n\n@pytest.fixture\ndef vat():\n    import shop\n    return shop.vat\n"
    head = {
        "src/shop.py": SHOP + "\n\ndef vat(price):\n    return price\n",
        "tests/conftest.py": "from shop import vat\n" + CONFTEST + fixture,
        "tests/test_vat.py": "def test_vat(vat):\n    assert vat(1) == 1\n",
    }

    evidence = await check(LAYOUT, head)

    assert kinds(evidence)["test_vat.py::test_vat"] == "fail_to_pass_weak"
    assert not evidence.of("unknown")


async def test_a_project_that_is_deleted_as_a_whole_has_not_regressed(check: Compare) -> None:
    """As one of several in a repository; where its code stays, tests that are gone are told as a regression."""
    whole = await check(LAYOUT, dict.fromkeys(LAYOUT), reruns=0)
    tests = await check(LAYOUT, {"tests/test_shop.py": None}, reruns=0)

    assert whole.counts == tests.counts == {"removed": 2}
    assert whole.regressions == ()
    assert tests.regressions != ()


async def test_documents_alone_and_nothing_at_all_run_the_tests(check: Compare) -> None:
    """A pass means that something ran."""
    documents = await check(LAYOUT, {"README.md": "# Shop\n"})
    nothing = await check(LAYOUT, {})

    for evidence in (documents, nothing):
        assert list(kinds(evidence).values()) == ["pass_to_pass"] * 2
        assert evidence.selected == "All 1 test files: none concerns the change."
        assert not evidence.suspects


async def test_what_is_too_slow_killed_or_not_the_change_is_undecided(check: Compare) -> None:
    """A run out of time, a process that was killed, a copy that is not the tree: never a regression."""
    slow = "import shop, time\n\n\ndef test_a():\n    assert shop\n\n\ndef test_b():\n    time.sleep({})\n\n\ndef test_c():\n    assert shop\n"
    base = {"shop.py": SHOP, "tests/test_a.py": slow.format(0)}

    late = await check(base, {"tests/test_a.py": slow.format(60)}, seconds=3.0, test_seconds=60.0)
    killed = await check(
        base, {"tests/test_a.py": slow.format("shop.os.kill(shop.os.getpid(), 9)")}
    )
    copy = "import sys, types\n\nshop = sys.modules['shop'] = types.ModuleType('shop')\nshop.__file__ = '/usr/lib/shop.py'\n\n\ndef test_a():\n    assert shop\n"  # fmt: skip
    elsewhere = await check(base, {"tests/test_a.py": copy})

    for evidence in (late, killed):
        assert (
            kinds(evidence)["test_a.py::test_b"]
            == kinds(evidence)["test_a.py::test_c"]
            == "unknown"
        )
        assert not evidence.of("pass_to_fail", "new_and_fails")
        assert not evidence.regressions
    assert "did not end in the time that they had" in " ".join(late.problems)
    assert kinds(killed)["test_a.py::test_a"] == "pass_to_pass"
    assert "killed by signal 9" in killed.problems[0]
    assert "It was in tests/test_a.py::test_b. It may have used more memory" in killed.problems[0]
    assert kinds(elsewhere)["test_a.py::test_a"] == "unknown"
    assert "not from the tree under test" in elsewhere.problems[0]


async def test_a_test_that_depends_on_others_is_no_regression(check: Compare) -> None:
    """A new test before it leaves something behind; alone it passes on both sides."""
    old = "import shop\n\n\ndef test_state():\n    assert not hasattr(shop, 'state')\n"
    new = "import shop\n\n\ndef test_first():\n    shop.state = 1\n    assert shop.state\n"
    base = {"shop.py": SHOP, "tests/test_b.py": old}

    evidence = await check(base, {"tests/test_a.py": new})

    assert kinds(evidence)["test_b.py::test_state"] == "flaky"


async def test_tests_find_the_commands_of_the_project_and_of_its_own_side(check: Compare) -> None:
    """By their names, as in an environment that the project is installed into; each side runs its own code."""
    manifest = '[project]\nname = "shop"\n[project.scripts]\nshop-total = "shop.cli:main"\n'
    tests = """
        import shutil, subprocess
        def said():
            return subprocess.run(["shop-total", "3"], capture_output=True, text=True, check=True).stdout
        def test_its_total():
            assert said() == "6"
        def test_that_it_is_first_on_the_path():
            assert shutil.which("shop-total") == "/home/user/bin/shop-total"
            assert shutil.which("pytest") == "/env/bin/pytest"
    """
    command = "import sys\ndef main():\n    sys.stdout.write(str({} * int(sys.argv[1])))\n"
    before = {
        "pyproject.toml": manifest,
        "src/shop/__init__.py": "",
        "src/shop/cli.py": command.format(2),
        "tests/test_shop.py": text(tests),
    }

    evidence = await check(before, {**before, "src/shop/cli.py": command.format(3)}, reruns=0)

    assert kinds(evidence) == {
        "test_shop.py::test_its_total": "pass_to_fail",
        "test_shop.py::test_that_it_is_first_on_the_path": "pass_to_pass",
    }


async def test_large_test_files_are_compiled_once_and_come_out_alike(opened: OpenSandbox) -> None:
    """Head's and base's, which differ; what failed is said as pytest says it."""
    much = f"# {'long ' * 200}\n" * 110
    before = {
        "shop.py": "x = 1\n",
        "test_shop.py": f"{much}import shop\ndef test_x():\n    assert shop.x == 1\n",
    }
    after = {
        "shop.py": "x = 2\n",
        "test_shop.py": f"{before['test_shop.py']}def test_y():\n    assert shop.x == 2\n",
    }
    seen: list[str] = []

    @asynccontextmanager
    async def watched() -> AsyncGenerator[ProgramRunner]:
        async with opened() as sandbox:
            yield Watched(sandbox, seen)

    pull = pull_of(before, after)
    sides = [Side(tree, Environment(), watched) for tree in (pull.base, pull.head)]
    evidence = await compare(pull, sides[0], sides[1], PrRequest("r", reruns=1))

    assert kinds(evidence) == {
        "test_shop.py::test_x": "pass_to_fail",
        "test_shop.py::test_y": "fail_to_pass_strong",
    }
    [broken] = evidence.of("pass_to_fail")
    assert broken.raised is not None
    assert "assert 2 == 1" in broken.raised.message
    assert not evidence.problems
    assert [said for said in seen if said.startswith("compile")] == ["compile"] * 2
    assert [said for said in seen if said.startswith("ran")] == ["ran compiled"] * 7


@dataclass(frozen=True, slots=True)
class Watched:
    """Notes what is run in a sandbox."""

    sandbox: ProgramRunner
    seen: list[str]

    async def run_program(self, program: Program) -> ProgramResult:
        code = program.cells[0].code
        ran = "ran compiled" if '"compiled": {"files"' in code else "ran"
        self.seen.append("compile" if program.id == "compile" else ran)
        return await self.sandbox.run_program(program)


async def test_changed_lines_are_measured_and_their_mutants_tried(opened: OpenSandbox) -> None:
    """Lines that were there before do not count, nor do their mutants."""
    more = "\n\ndef grade(x):\n    if x > 10:\n        return 'high'\n    return 'low'\n"
    pull = pull_of(
        {"shop.py": SHOP, "unused.py": "x = 1\n", "tests/test_a.py": "import shop\n"},
        {
            "shop.py": SHOP + more,
            "unused.py": "x = 2\n",
            "tests/test_a.py": "from shop import grade\n\n\ndef test_low():\n    assert grade(1) == 'low'\n",
        },
    )
    base, head = (Side(tree, Environment(), opened) for tree in (pull.base, pull.head))
    request = PrRequest("r", reruns=1)

    evidence = await compare(pull, base, head, request)
    coverage = await change_coverage(pull, head, evidence, request)

    last = SHOP.count("\n")
    assert kinds(evidence) == {"test_a.py::test_low": "fail_to_pass_weak"}
    assert coverage.files == (
        ChangedLines("shop.py", (last + 3, last + 4, last + 6), (last + 5,)),
        ChangedLines("unused.py", (), (1,)),
    )
    assert coverage.percent == 60.0
    assert coverage.mutants >= 2
    assert {mutant.line for mutant in coverage.survivors} == {last + 4}
    assert not coverage.problem
