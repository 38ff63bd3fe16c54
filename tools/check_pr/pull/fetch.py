"""Get a pull request: from GitHub, from a local repository, or as a diff on top of one."""

from collections.abc import Callable
from dataclasses import replace

from ....server.sandbox import InvalidInput
from ...benchmark_model.providers.choose import inside
from ..request import PrRequest
from . import applying, folders, local
from . import git as gits
from .comparing import Compared, pull_of
from .places import Places
from .pull import Pull
from .remote import from_github

Tell = Callable[[str], None]

MOST_PATCH = 16 * 1024**2
"""Bytes of a patch file."""


async def fetch_pull(request: PrRequest, places: Places, tell: Tell) -> Pull:
    """The pull request that a request names. Runs nothing but git, and nothing of the repository.

    Raises:
        InvalidInput: there is no such repository, commit or pull request, or the diff does not apply.
        SandboxRejected: git is missing or too old, or GitHub does not accept the token.
        SandboxUnavailable, SandboxBusy: GitHub does not answer, or not now.
    """
    version = await gits.version()
    if request.pr:
        return await from_github(request, places, version, tell)
    return await _from_folder(request, places, version)


async def _from_folder(request: PrRequest, places: Places, version: tuple[int, int]) -> Pull:
    folder = folders.find(request.repo, places.roots)
    diff = _patch(request, places) if request.patch else request.diff
    base_name = request.base or "HEAD"
    async with local.borrowed(folder, places.roots) as git:
        tip = await local.commit(git, base_name, "base")
        if request.head:
            head = await local.commit(git, request.head, "head")
            base = await local.merge_base(git, tip, head)
            compared = Compared(git, tip, base, head, head)
            name = f"{base_name}...{request.head}"
        else:
            tree = await applying.apply(git, tip, diff)
            head = await applying.committed(git, tree, tip)
            compared = Compared(git, tip, tip, head, "")
            name = f"{base_name} with a diff"
        return replace(await pull_of(compared, request, version), name=name)


def _patch(request: PrRequest, places: Places) -> str:
    file = inside(request.patch, places.roots)
    size = file.stat().st_size
    if size > MOST_PATCH:
        raise InvalidInput(f"{request.patch} has {size:,} bytes; a patch may have {MOST_PATCH:,}.")
    try:
        return file.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise InvalidInput(f"{request.patch} cannot be read: {error.strerror}.") from error
