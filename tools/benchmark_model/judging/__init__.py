"""The verdict on answers: they run in sandboxes, and what they gave is compared here."""

from .judge import judge

__all__ = ["judge"]
