"""What a test is made of: whether it is the same on both sides, and whether chance decides it. Nothing is run."""

from textwrap import dedent

import pytest
from pr_pulls import ground

from proofbox.tools.check_pr.evidence.chance import by_chance
from proofbox.tools.check_pr.evidence.runs import Told

SHOP = "def pick():\n    return 1\n\n\ndef sell():\n    return pick()\n\n\ndef other():\n    return 2\n"
TESTS = dedent("""\
    import os
    import pytest
    from shop import other, sell

    PRICE = 3
    UNUSED = 4


    def helper():
        return PRICE


    @pytest.fixture
    def till():
        return helper()


    @pytest.mark.parametrize("n", [1, 2])
    def test_till(till, n):
        assert till == 3


    def test_other():
        assert other() == 2


    @pytest.mark.usefixtures("till")
    def test_named():
        assert os.sep


    class TestShop:
        size = 1

        def test_sell(self):
            assert sell() == 1

        def test_size(self):
            assert self.size == 1
    """)
ALL = {"test_till", "test_other", "test_named", "TestShop::test_sell", "TestShop::test_size"}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("UNUSED = 4", "UNUSED = 5", set[str]()),
        ("import os\n", "import os\n# A word.\n\n", set[str]()),
        ("import other, sell", "import other, sell, more", set[str]()),
        ("assert other() == 2", "assert other() == 3", {"test_other"}),
        ("PRICE = 3", "PRICE = 4", {"test_till", "test_named"}),
        ("return helper()", "return 3", {"test_till", "test_named"}),
        ("[1, 2]", "[1, 2, 3]", {"test_till"}),
        ("import other, sell", "import other\nfrom other import sell", {"TestShop::test_sell"}),
        ("size = 1", "size = 2", {"TestShop::test_sell", "TestShop::test_size"}),
        (
            "class TestShop:",
            "class TestShop(dict):",
            {"TestShop::test_sell", "TestShop::test_size"},
        ),
        ("import os\n", "import os\nfrom shop import *\n", ALL),
        ("PRICE = 3", "PRICE = 3\nif PRICE:\n    os.chdir('/')", ALL),
        ("@pytest.fixture", "@pytest.fixture(autouse=True)", ALL),
        ("PRICE = 3", "PRICE = 3\npytestmark = pytest.mark.skip", ALL),
        ("def helper", "def setup_module():\n    pass\n\n\ndef helper", ALL),
        ("import os\n", "import os\n!\n", ALL),
    ],
)
def test_tests_are_the_same_if_nothing_that_they_need_is_changed(
    old: str, new: str, changed: set[str]
) -> None:
    """Imports one by one; fixtures, helpers, constants, decorators, classes; what concerns every test of a file."""
    assert TESTS.count(old) == 1
    files = {"shop.py": SHOP, "tests/test_shop.py": TESTS}

    same = ground(files, {"tests/test_shop.py": TESTS.replace(old, new)}).selection.same

    assert ALL - {name.partition("::")[2] for name in same} == changed


def test_a_file_that_another_change_concerns_has_no_test_that_is_the_same() -> None:
    """A helper beside it, what it reads; moved files neither."""
    reading = TESTS.replace("import os", "import helping, os")
    files = {"shop.py": SHOP, "tests/test_shop.py": reading, "tests/helping.py": "x = 1\n"}
    changed = {"tests/test_shop.py": reading.replace("UNUSED = 4", "UNUSED = 5")}
    helped = {**changed, "tests/helping.py": "x = 2\n"}
    moved = {"tests/test_shop.py": None, "tests/test_new.py": reading}

    assert ground(files, changed).selection.same
    assert not ground(files, helped).selection.same
    assert not ground(files, moved).selection.same


@pytest.mark.parametrize(
    ("tests", "shop", "found"),
    [
        ({}, {}, set[str]()),
        ({"assert os.sep": "assert random.random()"}, {}, {"test_named"}),
        ({"PRICE = 3": "PRICE = time.time()"}, {}, {"test_till", "test_named"}),
        ({"import os\n": "import os\nimport random\n"}, {}, set[str]()),
        ({}, {"return 2": "return 2  # random"}, set[str]()),
        ({}, {"return 2": "return random.random()"}, {"test_other"}),
        ({}, {"return 1": "return time.time()"}, {"TestShop::test_sell"}),
        ({}, {"def other": "import random\n\n\ndef other"}, set[str]()),
    ],
)
def test_chance_decides_what_reads_it_and_what_uses_a_change_that_does(
    tests: dict[str, str], shop: dict[str, str], found: set[str]
) -> None:
    """In the test itself, in what it needs of its file, in the changed line of a function that calls lead to."""
    written, code = TESTS, SHOP
    for old, new in tests.items():
        written = written.replace(old, new)
    for old, new in shop.items():
        code = code.replace(old, new)
    side = ground({"shop.py": SHOP, "tests/test_shop.py": written}, {"shop.py": code})
    names = [f"tests/test_shop.py::{name}" for name in sorted(ALL)]

    assert by_chance(side, Told(), names) == {f"tests/test_shop.py::{name}" for name in found}
