"""The verdict on answers: they run in sandboxes, and what they gave is compared here."""

from .build import PRELOAD
from .judge import judge

__all__ = ["PRELOAD", "judge"]
