"""From a sandbox that runs to one that code can be run in."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import e2b
from e2b_code_interpreter import Context

from ..base import SandboxRequest
from ..errors import InvalidInput, SandboxRejected, SandboxUnavailable
from . import packages
from .bounded import AsyncSandbox
from .cells import settle_in
from .failures import translated
from .guest import Surroundings

_BOOT_SECONDS = 20.0


async def interpreters(
    sdk: AsyncSandbox, sleep: Callable[[float], Awaitable[None]]
) -> tuple[list[Context], Context]:
    """Those that are there, and Python's. Right after a start they may not be there.

    Raises:
        SandboxRejected: the template is none of a code interpreter.
        SandboxUnavailable: it does not answer.
    """
    contexts = await _contexts(sdk, sleep)
    python = next((context for context in contexts if context.language == "python"), None)
    if python is None:
        raise SandboxRejected(
            "The E2B template has no Python interpreter. Use E2B's code interpreter template or one "
            "built from it."
        )
    return contexts, python


async def settle(sdk: AsyncSandbox, python: Context) -> Surroundings:
    """Prepare the interpreter, where that is not done yet, and see where it is.

    Raises:
        SandboxUnavailable: it does not answer.
    """
    with translated("start the interpreter"):
        return await settle_in(sdk, python, _BOOT_SECONDS)


async def prepare(
    sdk: AsyncSandbox,
    python: Context,
    request: SandboxRequest,
    wanted: tuple[str, ...],
    *,
    close_network: bool,
) -> Surroundings:
    """Make a new sandbox what was requested, with the packages `wanted`.

    Raises:
        InvalidInput: the template has another Python, or there are no such packages.
        SandboxBusy, SandboxRejected, SandboxUnavailable: it could not be done.
    """
    surroundings = await settle(sdk, python)
    if not f"{surroundings.python}.".startswith(f"{request.python}." if request.python else ""):
        raise InvalidInput(
            f"Python {request.python} was asked for, and the E2B template has {surroundings.python}. Name "
            "a template that has it (PROOFBOX_E2B_TEMPLATE), or use the local backend."
        )
    installer, target = surroundings.executable, ""
    if request.bare:
        # The template's own packages are seen by its own interpreter alone.
        target = await packages.make_environment(sdk, installer)
        surroundings = replace(surroundings, executable=target)
    if wanted or request.wheels:
        await packages.install(sdk, python, installer, wanted, target=target, wheels=request.wheels)
        if close_network:
            with translated("close the network of the sandbox"):
                await sdk.update_network({"deny_out": [e2b.ALL_TRAFFIC]})
    return surroundings


async def _contexts(sdk: AsyncSandbox, sleep: Callable[[float], Awaitable[None]]) -> list[Context]:
    try:
        with translated("reach the interpreter"), anyio.fail_after(_BOOT_SECONDS):
            while True:
                try:
                    return await sdk.list_code_contexts()
                except e2b.TimeoutException as error:
                    if "port is not open" not in str(error):
                        raise
                await sleep(0.25)
    except SandboxUnavailable as error:
        if isinstance(error.__cause__, TimeoutError):
            raise SandboxRejected(
                "The E2B sandbox runs, but no code interpreter in it. Use E2B's code interpreter template "
                "or one built from it."
            ) from error
        raise
