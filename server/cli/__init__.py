"""The command line: `commands` has every command, the other modules do what is theirs alone."""

from .commands import main

__all__ = ["main"]
