"""The verdict: one word that every report of every tool begins with."""

from typing import Literal

Verdict = Literal["passed", "failed", "errored", "skipped"]
"""passed: it ran and nothing was wrong. failed: the code did it. errored: our side or the sandbox
did, so nothing is known about the code. skipped: there was nothing to judge. Only passed is good.
"""
