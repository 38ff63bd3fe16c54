"""Python environments: built once outside every jail, then mounted read-only in many.

An environment lives in `environments/<hash>` of the cache directory; the hash covers the layout, the
interpreter and the requirements. It is built beside its place and renamed into it, so whatever has
the name is complete. The place belongs to whoever holds the lock file `<hash>.lock`, whose holder also
removes what dead builders left. Users of an environment hold a shared lock on its directory, which
keeps `prune` away.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
import anyio.to_thread

from ..errors import SandboxUnavailable
from . import interpreters, requirements
from .interpreters import Interpreter

ENV_IN_JAIL = "/env"
MANIFEST = "proofbox.json"
LAYOUT = 1
"""Counts up when the files of an environment change, so that old ones are no longer found."""

OnProgress = Callable[[str], None]

_KEY_LENGTH = 32
_WAIT_SECONDS = 0.05
_DAY_SECONDS = 86_400.0
_FRESH_SECONDS = 3600.0


@dataclass(frozen=True)
class Environment:
    """A complete environment.

    `path` is its directory on the host, mounted at `/env`; `base_prefix` is the host's directory that
    is mounted at `/opt/python` unless it is /usr or below. `library_path` is what `LD_LIBRARY_PATH`
    must be for the interpreter to start in the jail, None where it need not be set. `packages` maps
    normalised names to versions.
    """

    path: Path
    python: str
    base_prefix: Path
    interpreter_in_jail: str
    library_path: str | None
    packages: Mapping[str, str]

    @contextmanager
    def hold(self) -> Generator[int]:
        """Keep `prune` away while in use; gives the descriptor that carries the lock.

        Raises:
            SandboxUnavailable: it has been removed since; `ensure` makes it again.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _gone() from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if not _names(self.path, descriptor):
                raise _gone()
            yield descriptor
        finally:
            os.close(descriptor)


async def ensure(
    packages: Sequence[str],
    *,
    cache_dir: Path,
    interpreter: Path | None = None,
    on_progress: OnProgress | None = None,
    bare: bool = False,
    wheels: Mapping[str, bytes] = MappingProxyType({}),
) -> Environment:
    """The environment with these packages and `ipython`, built first if there is none.

    `bare` leaves `ipython` out. `wheels` are files by their names that are installed besides.

    Finding one takes under a millisecond and starts nothing. Building takes seconds to minutes, goes
    on outside the event loop and is given up when the caller is cancelled; processes that want the
    same one at the same time build it once. `interpreter` is any Python, by default the one that runs
    proofbox; `on_progress` gets a line at a time.

    Raises:
        InvalidInput: a requirement is malformed, does not exist, conflicts, or has no wheel.
        SandboxRejected: a person must change something (no `uv`, a cache that cannot be written).
        SandboxUnavailable: the index cannot be reached, or the disk is full.
    """
    python = interpreters.running()
    if interpreter is not None:
        python = await anyio.to_thread.run_sync(interpreters.of, interpreter)
    home = cache_dir / "environments"
    # Only canonical spellings have ever been built, so a hash that exists proves the spelling.
    known = _load(home / _key(python, packages, wheels, bare=bare), python)
    if known is not None:
        return known
    wanted = requirements.canonical(packages, bare=bare)
    path = home / _key(python, wanted, wheels, bare=bare)
    return _load(path, python) or await _build_once(path, python, wanted, wheels, on_progress)


def prune(
    cache_dir: Path, *, keep_days: float = 30.0, max_bytes: int = 10 * 1024**3
) -> tuple[str, ...]:
    """Remove environments that nobody has asked for in `keep_days`, then the longest unused ones while
    all together take more than `max_bytes`, but none of the last hour's and never one that is held.
    Removes what dead builders left, too. Blocks; the names of those removed.
    """
    home = cache_dir / "environments"
    _sweep_leftovers(home)
    now = time.time()
    removed: list[str] = []
    used: list[tuple[float, Path]] = sorted(
        (entry.stat().st_mtime, entry) for entry in home.glob(f"{'[0-9a-f]' * _KEY_LENGTH}")
    )
    sizes = {path: _size(path) for _, path in used}
    total = sum(sizes.values())
    for last, path in used:
        too_old = now - last > keep_days * _DAY_SECONDS
        too_much = total > max_bytes and now - last > _FRESH_SECONDS
        if (too_old or too_much) and _remove_unused(path, last):
            removed.append(path.name)
            total -= sizes[path]
    return tuple(removed)


def _remove_unused(path: Path, last: float) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_mtime != last:
            return False
        # Out of everybody's sight first: half of one must never be found.
        doomed = path.with_name(f".{path.name}-removed-{os.getpid()}")
        path.rename(doomed)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    shutil.rmtree(doomed, ignore_errors=True)
    return True


def _sweep_leftovers(home: Path) -> None:
    dead = {home / f"{entry.name[1:].split('-')[0]}.lock" for entry in home.glob(".*-*")}
    for lock_file in dead | set(home.glob("*.lock")):
        lock = _try_lock(lock_file)
        if lock is not None:
            try:
                _remove_leftovers(lock_file.with_suffix(""))
            finally:
                lock_file.unlink(missing_ok=True)
                os.close(lock)


def _size(root: Path) -> int:
    return sum(
        os.lstat(os.path.join(directory, name)).st_blocks * 512
        for directory, _, names in os.walk(root)
        for name in names
    )


def _key(
    python: Interpreter, packages: Iterable[str], wheels: Mapping[str, bytes], *, bare: bool
) -> str:
    identity: list[object] = [
        LAYOUT,
        python.implementation,
        python.version,
        python.abi,
        python.machine,
        python.base_prefix,
        python.executable,
        sorted({*packages} if bare else {requirements.ALWAYS, *packages}),
    ]
    if bare:
        identity.append("bare")
    if wheels:
        identity.append({name: hashlib.sha256(file).hexdigest() for name, file in wheels.items()})
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:_KEY_LENGTH]


def _load(path: Path, python: Interpreter) -> Environment | None:
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_bytes())
        found = Environment(
            path=path,
            python=python.version,
            base_prefix=Path(python.base_prefix),
            interpreter_in_jail=python.in_jail,
            library_path=manifest["library_path"],
            packages=MappingProxyType(manifest["packages"]),
        )
    except (OSError, ValueError, KeyError):
        return None
    # The directory's own time is the access stamp; a cache that is not ours need not take it.
    with suppress(OSError):
        os.utime(path)
    return found


async def _build_once(
    path: Path,
    python: Interpreter,
    wanted: tuple[str, ...],
    wheels: Mapping[str, bytes],
    on_progress: OnProgress | None,
) -> Environment:
    from . import environment_build

    tell = on_progress or _silent
    environment_build.prepare_home(path.parent)
    async with _sole_builder(path, tell) as lock:
        found = _load(path, python)
        if found is None:
            await anyio.to_thread.run_sync(_make_room, path)
            await environment_build.build(path, python, wanted, wheels, on_progress=tell, lock=lock)
            found = _load(path, python)
    if found is None:
        raise SandboxUnavailable(
            f"The Python environment in {path} was removed while it was being built. Try again."
        )
    return found


@asynccontextmanager
async def _sole_builder(path: Path, tell: OnProgress) -> AsyncGenerator[int]:
    """Hold the lock file of `path`; its descriptor is what a builder's children inherit."""
    lock_file = path.with_suffix(".lock")
    lock = _try_lock(lock_file)
    if lock is None:
        tell("Waiting for another process that builds the same Python environment")
    while lock is None:
        # A thread that waits in flock() could not be cancelled.
        await anyio.sleep(_WAIT_SECONDS)
        lock = _try_lock(lock_file)
    try:
        yield lock
    finally:
        lock_file.unlink(missing_ok=True)
        os.close(lock)


def _try_lock(lock_file: Path) -> int | None:
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    # Its last holder may have unlinked it between our two calls.
    if _names(lock_file, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _names(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _make_room(path: Path) -> None:
    _remove_leftovers(path)
    # Without a manifest it is none of ours.
    if path.exists():
        shutil.rmtree(path)


def _remove_leftovers(path: Path) -> None:
    """Remove what builders of `path` left that died; its lock is held, so none is alive."""
    for leftover in path.parent.glob(f".{path.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _gone() -> SandboxUnavailable:
    return SandboxUnavailable("The Python environment was removed from the cache. Try again.")


def _silent(_line: str) -> None:
    """Progress that nobody watches."""
