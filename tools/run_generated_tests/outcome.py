"""What becomes of a test; a module of its own, since reports name it and need nothing else of a run."""

from typing import Literal

Outcome = Literal[
    "passed", "failed", "error", "skipped", "xfailed", "xpassed", "timed_out", "ended", "not_run"
]
"""What became of a test in one run. error: its setup or teardown failed. timed_out: it did not end.
ended: the process of the tests ended in it. not_run: the run was over before it.
"""
