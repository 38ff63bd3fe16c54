"""Forks of one interpreter would draw the same random numbers."""

from __future__ import annotations

import random
import sys


def reseed() -> None:
    """Start anew, for Python's generator and, where it is loaded, numpy's."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
