"""What tests and their configuration say to plugins that are kept out of a run, so that it is no mistake."""

from __future__ import annotations

import pytest

_MARKS = ("flaky", "no_cover", "random_order", "timeout", "xdist_group")
_SETTINGS = ("timeout", "timeout_method", "timeout_func_only", "timeout_disable_debugger_detection",
             "session_timeout", "reruns", "reruns_delay", "looponfailroots", "rsyncdirs", "rsyncignore")  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    """Their settings."""
    for name in _SETTINGS:
        parser.addini(name, "Of a plugin that is not used here.")


def pytest_configure(config: pytest.Config) -> None:
    """Their marks."""
    for name in _MARKS:
        config.addinivalue_line("markers", f"{name}: of a plugin that is not used here.")


@pytest.fixture(scope="session")
def worker_id() -> str:
    """What pytest-xdist says where nothing is distributed."""
    return "master"


@pytest.fixture(scope="session")
def testrun_uid() -> str:
    """One for the whole run, like pytest-xdist's."""
    return "proofbox"
