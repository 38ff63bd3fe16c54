"""Which Python both sides are run with."""

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ....server.sandbox import InvalidInput
from ..._app import App

_KNOWN = ("3.14", "3.13", "3.12", "3.11", "3.10", "3.9")


@dataclass(frozen=True, slots=True)
class Python:
    """`asked` as sandboxes are asked for it, empty for what they have; `version` in full; `note` for the
    report, empty where there is nothing to say.
    """

    asked: str
    version: str
    note: str = ""


async def choose_python(app: App, who: str, asked: str, required: Sequence[str]) -> Python:
    """The Python that was asked for; else the one of the sandboxes, or the newest there is if that is not what
    base and head (`required`, as `requires-python` has it) accept.

    Raises:
        InvalidInput: there is none like the one that was asked for; the message names those there are.
        SandboxError: there is no sandbox.
    """
    usual = await _version(app, who, asked)
    if asked or accepts(required, usual):
        return Python(asked, usual)
    # What base alone accepts shows what a head does that gives it up.
    for wanted in (required, required[:1]):
        if accepts(wanted, usual):
            return Python("", usual)
        for known in _KNOWN:
            # Any of its releases will do, so the highest that there can be stands for it.
            if accepts(wanted, f"{known}.99"):
                try:
                    version = await _version(app, who, known)
                except InvalidInput:
                    continue
                return Python(
                    known, version, f"Python {known}, since the project wants {wanted[0]}."
                )
    return Python("", usual)


def accepts(required: Sequence[str], version: str) -> bool:
    """Whether all of these accept a version; what cannot be read accepts any."""
    for text in required:
        try:
            if text and version not in SpecifierSet(text):
                return False
        except InvalidSpecifier:
            continue
    return True


async def _version(app: App, who: str, asked: str) -> str:
    lease = app.sessions.lease_once(who, purpose="pr", bare=True, shared=False, python=asked)
    async with lease as held:
        return held.sandbox.python
