"""Which tests of a pull request may change what other tests see."""

from typing import NoReturn

import pytest
from pr_pulls import pull_of

from proofbox.tools.check_pr.environment.environment import Environment
from proofbox.tools.check_pr.environment.side import Side
from proofbox.tools.check_pr.evidence.meddling import meddles
from proofbox.tools.check_pr.evidence.trees import view_of

REACHING_OUT = [
    "import shop\nshop.discount = None",
    "import shop as s\nt = s\nt.discount = None",
    "import shop\nshop.discount += 1",
    "import shop\ndel shop.discount",
    "import shop\nfor shop.rate in [1]: pass",
    "import shop\nsetattr(shop, 'discount', None)",
    "import shop\nshop.__dict__.update(discount=None)",
    "from shop import RATES\nRATES['a'] = 1",
    "from shop import RATES\nRATES.update(a=1)",
    "import sys\nsys.modules['shop'] = None",
    "import sys as s, shop\ns.modules.clear()",
    "from unittest.mock import patch\npatch('shop.discount').start()",
    "import importlib as i\ni.reload",
    "exec('import shop')",
    "import pytest\npytest.MonkeyPatch().setattr('shop.discount', None)",
    "__import__('shop')",
    "this is no Python",
]
STAYING_IN = [
    "import re\nre.compile('a')",
    "from pathlib import Path\nPath(__file__).name",
    "def test_a(monkeypatch):\n    monkeypatch.setattr('shop.discount', None)",
    "import pytest\ndef test_a(monkeypatch: pytest.MonkeyPatch) -> None:\n    monkeypatch.undo()",
    "from unittest.mock import patch\nwith patch('shop.discount'): pass",
    "class TestA:\n    def setup_method(self):\n        super().__init__()\n        self.shop = 1",
    "found = {}\nfound['a'] = 1\nfound.update(b=2)",
]


def nothing_runs() -> NoReturn:
    """All of it can be read."""
    raise AssertionError


def said(path: str, text: str, before: str | None = None) -> bool:
    """Whether a pull request meddles that brings this file, or makes it of what it was before."""
    files = {"shop.py": "RATES = {}\n", "tests/test_old.py": "def test_old():\n    assert 1\n"}
    pull = pull_of({**files, **({} if before is None else {path: before})}, {path: text})
    return meddles(pull, view_of(Side(pull.head, Environment(), nothing_runs)))


@pytest.mark.parametrize("text", REACHING_OUT)
def test_what_outlives_a_test_is_noticed(text: str) -> None:
    """In a test, and in what only tests need; the code itself may do what it likes."""
    assert said("tests/test_new.py", text)
    assert said("tests/helper.py", text)
    assert not said("other.py", text)


@pytest.mark.parametrize("text", STAYING_IN)
def test_what_ends_with_its_test_costs_nothing(text: str) -> None:
    """Old tests are not run once more for it."""
    assert not said("tests/test_new.py", text)


def test_what_was_there_before_is_not_the_pull_requests_doing() -> None:
    """Unless a new line says what it is done to."""
    old = "import json as target\n\ntarget.discount = None\n"
    new = "\ndef test_more():\n    assert 1\n"

    assert not said("tests/test_new.py", old + new, before=old)
    assert said("tests/test_new.py", old.replace("json", "shop") + new, before=old)
    assert said("tests/test_new.py", old + new + "    target.discount = 1\n", before=old)
