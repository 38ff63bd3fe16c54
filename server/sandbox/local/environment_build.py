"""Build one environment with `uv`: wheels only, so nothing of a package runs on the host.

The directory is filled under a temporary name, made to fit the jail's layout (`/env` and
`/opt/python`), and renamed to its final name last.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from ..errors import ProofboxError, SandboxRejected, SandboxUnavailable
from . import compile_tree, environment_layout, uv, uv_errors
from .environments import ENV_IN_JAIL, OnProgress
from .interpreters import Interpreter

_LONGEST_LIST = 300


def prepare_home(home: Path) -> None:
    """Make the directory that environments live in.

    Raises:
        SandboxRejected: it cannot be made or written, or nothing may be executed from it.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        writable = os.access(home, os.W_OK | os.X_OK)
        executable = not os.statvfs(home).f_flag & os.ST_NOEXEC
    except OSError as error:
        raise SandboxRejected(
            f"The cache directory {home} cannot be made: {error.strerror}. Set PROOFBOX_CACHE_DIR or "
            "XDG_CACHE_HOME to a directory that you may write."
        ) from error
    if not writable or not executable:
        what = "is mounted noexec, so no package in it would load" if writable else "is read-only"
        raise SandboxRejected(
            f"The cache directory {home} {what}. Set PROOFBOX_CACHE_DIR or XDG_CACHE_HOME to "
            "another directory."
        )


async def build(
    path: Path,
    python: Interpreter,
    wanted: Sequence[str],
    wheels: Mapping[str, bytes],
    *,
    on_progress: OnProgress,
    lock: int,
) -> None:
    """Build the environment at `path`, which does not exist; all of it or nothing.

    `wheels` are files by their names, installed besides. Children inherit `lock`, so whoever gets it next knows that they are gone too.

    Raises:
        InvalidInput: the requirements cannot be met.
        SandboxRejected: a person must change something.
        SandboxUnavailable: the index cannot be reached, or the disk is full.
    """
    names = ", ".join([*wanted, *wheels])
    shown = names if len(names) <= _LONGEST_LIST else f"{len(wanted) + len(wheels)} packages"
    on_progress(f"Building a Python {python.version} environment: {shown or 'without packages'}")
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        environment_layout.lay_out(temporary, python)
        await _install(temporary, wanted, wheels, on_progress=on_progress, lock=lock)
        on_progress("Compiling it, so that it starts fast")
        await _compile(temporary, python, lock=lock)
        await anyio.to_thread.run_sync(
            partial(environment_layout.finish, temporary, python, wanted), abandon_on_cancel=False
        )
        temporary.rename(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, temporary, ignore_errors=True))


async def _install(
    temporary: Path,
    wanted: Sequence[str],
    wheels: Mapping[str, bytes],
    *,
    on_progress: OnProgress,
    lock: int,
) -> None:
    files = [temporary / ".wheels" / os.path.basename(name) for name in wheels]
    for file, content in zip(files, wheels.values(), strict=True):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    if not wanted and not files:
        return
    status, words = await uv.ask(
        [
            *("pip", "install", "--python", str(temporary / "bin" / "python")),
            *("--only-binary", ":all:", "--no-compile-bytecode"),
            *("--", *wanted, *map(str, files)),
        ],
        temporary,
        cache=temporary.parent,
        on_line=on_progress,
        inherited=(lock,),
    )
    if status:
        raise uv_errors.explain(words, returncode=status)
    shutil.rmtree(temporary / ".wheels", ignore_errors=True)


async def _compile(temporary: Path, python: Interpreter, *, lock: int) -> None:
    script = [compile_tree.__file__, str(temporary), ENV_IN_JAIL]
    command = [python.executable, "-I", "-S", *script]
    # What does not compile is compiled, or reported, when it is imported.
    await uv.run(command, temporary, env={}, inherited=(lock,))


def _cannot_write(path: Path, error: OSError) -> ProofboxError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SandboxUnavailable(
            f"The Python environment {path} could not be written: the disk is full. Free some space, "
            "or set XDG_CACHE_HOME to a larger disk."
        )
    return SandboxUnavailable(f"The Python environment {path} could not be built: {error}.")
