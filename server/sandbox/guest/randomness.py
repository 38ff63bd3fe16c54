"""Forks of one interpreter would draw the same random numbers."""

from __future__ import annotations

import sys


def reseed() -> None:
    """Start numpy's generator anew, where it is loaded; Python's own is, at each os.fork."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
