"""Programs that tests are about, and that no package of Python brings."""

import os
from typing import NoReturn

import pytest


def do_without(program: str, said: str) -> NoReturn:
    """Skip a test for want of a program. CI installs it, so there it fails, unless `.ci/run` has said aloud
    that this machine cannot have it.
    """
    if os.environ.get("CI") and program not in os.environ.get("CI_WITHOUT", "").split():
        pytest.fail(said)
    pytest.skip(said)
