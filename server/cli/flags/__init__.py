"""The flags of the commands, apart from what those do, which takes long to import."""

from collections.abc import Callable
from typing import Any

Command = Callable[..., Any]
Flag = Callable[[Command], Command]


def together(*flags: Flag) -> Flag:
    """All of these as one decorator, in this order in the help."""

    def give(command: Command) -> Command:
        for flag in reversed(flags):
            command = flag(command)
        return command

    return give
