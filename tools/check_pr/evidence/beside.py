"""What others have done while tests run, and with what becomes of them."""

from collections.abc import Mapping
from typing import Any, Protocol

from ....server.programs import OpenSandbox
from ...run_generated_tests.compiling import Compiled
from .runs import Told


class Beside(Protocol):
    """What else is to be known of head's tests."""

    async def looking(self) -> Mapping[str, Mapping[str, Any]]:
        """Guests of a run of head that look by the way; they change nothing that tests can notice."""
        ...

    async def beside(self, told: Told, opened: OpenSandbox, compiled: Compiled) -> None:
        """What is done beside the reruns, given what became of head's tests, how sandboxes of head are opened, and the
        test files that are compiled.
        """
        ...
