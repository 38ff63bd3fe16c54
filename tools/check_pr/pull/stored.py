"""Copies of repositories on GitHub, kept from one check to the next. They may be deleted at any time."""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from ....server.sandbox import SandboxRejected
from . import git as gits
from .git import Git, Remote

MOST = 20
"""Copies that are kept."""
DAYS = 30
"""A copy that was not used for so long is deleted."""

_WAIT_SECONDS = 0.1


@asynccontextmanager
async def stored(cache: Path, remote: Remote) -> AsyncGenerator[Git]:
    """The copy of a remote repository, made if need be; nobody else has it meanwhile.

    Raises:
        SandboxRejected: it cannot be written.
    """
    home = cache / "repositories"
    name = hashlib.sha256(remote.url.encode()).hexdigest()[:24]
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)  # repositories may be private
        lock = await _locked(home / f"{name}.lock")
    except OSError as error:
        raise SandboxRejected(
            f"The folder {home} cannot be written: {error.strerror}. Set PROOFBOX_CACHE_DIR to another one."
        ) from error
    try:
        yield await _opened(home / f"{name}.git", remote)
        await anyio.to_thread.run_sync(_tidy, home, name)
    finally:
        os.close(lock)


async def anew(git: Git) -> None:
    """Delete what is in a copy that is held, and begin again."""
    await anyio.to_thread.run_sync(lambda: shutil.rmtree(git.folder, ignore_errors=True))
    assert git.remote is not None
    await _opened(git.folder, git.remote)


async def _opened(folder: Path, remote: Remote) -> Git:
    git = Git(folder, remote)
    if (folder / "complete").is_file():
        return git
    shutil.rmtree(folder, ignore_errors=True)
    await gits.made(folder)
    alone = Git(folder)
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": remote.url,
        "remote.origin.promisor": "true",
        "remote.origin.partialCloneFilter": "blob:none",
    }.items():
        await alone.run("config", key, value)
    (folder / "complete").touch()
    return git


async def _locked(path: Path) -> int:
    """A descriptor that holds the lock; whoever dies lets go of it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try(descriptor):
            # A thread that waits in flock() could not be cancelled.
            await anyio.sleep(_WAIT_SECONDS)
        os.utime(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tidy(home: Path, own: str) -> None:
    """Delete copies that nobody used lately; their locks, which are empty files, stay."""
    used = {path.stem: path.stat().st_mtime for path in home.glob("*.lock")}
    others = sorted(used.keys() - {own}, key=lambda name: used[name], reverse=True)
    oldest = time.time() - DAYS * 86_400
    for place, name in enumerate(others, start=2):
        folder = home / f"{name}.git"
        if (place <= MOST and used[name] >= oldest) or not folder.exists():
            continue
        descriptor = os.open(home / f"{name}.lock", os.O_RDWR | os.O_CLOEXEC)
        try:
            if _try(descriptor):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
