"""Installing packages into a sandbox that has been started for it.

E2B has no image for a list of packages, so they are installed in each new sandbox. Wheels only: nothing
of a package runs during the install. The sandbox is made with a network that reaches the package
index and nothing else, and loses that before any code of the user runs.
"""

import shlex
from collections.abc import Mapping
from types import MappingProxyType

import anyio
import e2b
from e2b.sandbox.filesystem.filesystem import WriteEntry
from e2b_code_interpreter import AsyncSandbox, Context
from packaging.requirements import InvalidRequirement, Requirement

from ..errors import InvalidInput, SandboxRejected, SandboxUnavailable
from .failures import translated

_INSTALL_SECONDS = 300.0
_ENVIRONMENT = "/opt/proofbox/environment"
_WHEELS = "/opt/proofbox/wheels"

# What pip says when it could not reach the index; anything else is about the packages.
_NETWORK = (
    "Temporary failure in name resolution",
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Connection refused",
    "ProxyError",
    "SSLError",
)


def check(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The requirements, each once.

    Raises:
        InvalidInput: one is not a name with an optional version, or names an address.
    """
    for requirement in wanted:
        try:
            parsed = Requirement(requirement)
        except InvalidRequirement as error:
            raise InvalidInput(f"{requirement!r} is not a package requirement: {error}") from error
        if parsed.url:
            raise InvalidInput(
                f"{requirement!r} names an address. Only packages of the index can be installed."
            )
    return tuple(dict.fromkeys(wanted))


async def make_environment(sdk: AsyncSandbox, python: str) -> str:
    """A virtual environment without packages, root's; its interpreter.

    Raises:
        SandboxRejected: the template's Python cannot make one.
        SandboxUnavailable: the sandbox was lost.
    """
    with translated("make an environment"), anyio.fail_after(_INSTALL_SECONDS):
        try:
            await sdk.commands.run(
                shlex.join([python, "-m", "venv", "--without-pip", "--clear", _ENVIRONMENT]),
                user="root",
                cwd="/",
                timeout=_INSTALL_SECONDS,
            )
        except e2b.CommandExitException as failed:
            said = f"{failed.stderr}\n{failed.stdout}".strip()
            raise SandboxRejected(
                "The Python of the E2B template cannot make an environment without the template's own packages: "
                f"{said[-500:]}. Use E2B's code interpreter template or one built from it."
            ) from failed
    return f"{_ENVIRONMENT}/bin/python"


async def install(
    sdk: AsyncSandbox,
    context: Context,
    python: str,
    wanted: tuple[str, ...],
    *,
    target: str = "",
    wheels: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Install for the interpreter `python`, which runs already as `context`, or for the interpreter `target`.
    `wheels` are files by their names.

    Raises:
        InvalidInput: a package does not exist, has no wheel, or they do not go together.
        SandboxUnavailable: the index could not be reached, or the sandbox was lost.
    """
    command = shlex.join(
        [
            *(python, "-m", "pip", "install", "--only-binary", ":all:", "--no-input"),
            *(("--python", target) if target else ()),
            *(
                "--disable-pip-version-check",
                "--quiet",
                "--root-user-action",
                "ignore",
                "--",
                *wanted,
                *(f"{_WHEELS}/{name}" for name in wheels),
            ),
        ]
    )
    with translated("install packages"), anyio.fail_after(_INSTALL_SECONDS):
        if wheels:
            entries = [WriteEntry(path=f"{_WHEELS}/{n}", data=file) for n, file in wheels.items()]
            await sdk.files.write_files(entries, user="root")
        try:
            await sdk.commands.run(command, user="root", cwd="/", timeout=_INSTALL_SECONDS)
        except e2b.CommandExitException as failed:
            said = f"{failed.stderr}\n{failed.stdout}".strip()
            if any(words in said for words in _NETWORK):
                raise SandboxUnavailable(
                    f"The package index could not be reached from the sandbox. pip: {said[-500:]}"
                ) from failed
            raise InvalidInput(
                f"These packages cannot be installed together: {', '.join(wanted)}. pip: {said[-1000:]}"
            ) from failed
        # It has looked into its directories before, and would not look again.
        await sdk.run_code(
            "__import__('importlib').invalidate_caches()", context=context, timeout=0
        )
