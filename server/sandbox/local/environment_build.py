"""Build one environment with `uv`: wheels only, so nothing of a package runs on the host.

The directory is filled under a temporary name, made to fit the jail's layout (`/env` and
`/opt/python`), and renamed to its final name last.
"""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from ..errors import ProofboxError, SandboxRejected, SandboxUnavailable
from . import compile_tree, environment_layout, uv_errors
from .environments import ENV_IN_JAIL, OnProgress
from .interpreters import Interpreter
from .uv_config import index_configuration

# The kernel kills a child of ours when we die, so that a killed proofbox leaves no uv behind.
_DIE_WITH_US = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
    "os.getppid() == int(sys.argv[1]) or os._exit(1); os.execv(sys.argv[2], sys.argv[2:])"
)

_PASSED_ON = frozenset(
    {
        *("HOME", "PATH", "LANG", "TMPDIR", "NETRC", "XDG_CACHE_HOME", "XDG_DATA_HOME"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("UV_CACHE_DIR", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"),
        *("UV_INDEX_STRATEGY", "UV_FIND_LINKS", "UV_OFFLINE", "UV_KEYRING_PROVIDER"),
        *("UV_SYSTEM_CERTS", "UV_NATIVE_TLS", "UV_INSECURE_HOST", "UV_HTTP_TIMEOUT"),
        *("UV_HTTP_RETRIES", "UV_LINK_MODE", "UV_EXCLUDE_NEWER"),
        *("UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_INSTALLS"),
    }
)
"""What uv is given of our environment: where things are and how to reach an index. Not UV_NO_BINARY,
UV_PYTHON, UV_TARGET and the like, which would change what is built and where.
"""
_INDEX_CREDENTIAL = re.compile(r"UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)")


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
    *,
    on_progress: OnProgress,
    lock: int,
) -> None:
    """Build the environment at `path`, which does not exist; all of it or nothing.

    Children inherit `lock`, so whoever gets it next knows that they are gone too.

    Raises:
        InvalidInput: the requirements cannot be met.
        SandboxRejected: a person must change something.
        SandboxUnavailable: the index cannot be reached, or the disk is full.
    """
    on_progress(f"Building a Python {python.version} environment: {', '.join(wanted)}")
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        environment_layout.lay_out(temporary, python)
        await _install(temporary, wanted, on_progress=on_progress, lock=lock)
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
    temporary: Path, wanted: Sequence[str], *, on_progress: OnProgress, lock: int
) -> None:
    config = temporary / environment_layout.UV_CONFIG
    config.touch(mode=0o600)
    config.write_text(index_configuration(os.environ), encoding="utf-8")
    command = [
        *(_uv(), "pip", "install", "--python", str(temporary / "bin" / "python")),
        *("--only-binary", ":all:", "--no-compile-bytecode", "--color", "never"),
        *("--config-file", str(config)),
        *("--", *wanted),
    ]
    env = _environment(os.environ, temporary.parent)
    status, words = await _run(command, temporary, env=env, on_progress=on_progress, lock=lock)
    if status and uv_errors.is_certificate_error(words):
        # uv brings its own certificates; behind a company's proxy only the system knows the right one.
        env |= {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
        status, words = await _run(command, temporary, env=env, on_progress=on_progress, lock=lock)
    if status:
        raise uv_errors.explain(words, returncode=status)


async def _compile(temporary: Path, python: Interpreter, *, lock: int) -> None:
    script = [compile_tree.__file__, str(temporary), ENV_IN_JAIL]
    command = [python.executable, "-I", "-S", *script]
    # What does not compile is compiled, or reported, when it is imported.
    await _run(command, temporary, env={}, on_progress=None, lock=lock)


async def _run(
    command: Sequence[str],
    cwd: Path,
    *,
    env: Mapping[str, str],
    on_progress: OnProgress | None,
    lock: int,
) -> tuple[int, str]:
    """Run to the end; its status and what it wrote to stderr."""
    launcher = [sys.executable, "-I", "-S", "-c", _DIE_WITH_US, str(os.getpid())]
    process = await anyio.open_process(
        [*launcher, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        cwd=cwd,
        env=env,
        start_new_session=True,
        pass_fds=(lock,),
        umask=0o022,
    )
    words: list[str] = []
    try:
        async for line in _lines(process):
            words.append(line)
            if on_progress is not None and uv_errors.is_news(line):
                on_progress(line.strip())
        status = await process.wait()
    finally:
        with anyio.CancelScope(shield=True):
            _kill_group(process)
            await process.aclose()
    return status, "\n".join(words)


async def _lines(process: Process) -> AsyncGenerator[str]:
    assert process.stderr is not None
    pending = ""
    async for text in TextReceiveStream(process.stderr, errors="replace"):
        *lines, pending = (pending + text).split("\n")
        for line in lines:
            yield line
    if pending:
        yield pending


def _kill_group(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _uv() -> str:
    from uv import find_uv_bin

    try:
        return find_uv_bin()
    except FileNotFoundError:
        on_path = shutil.which("uv")
    if on_path is None:
        raise SandboxRejected("The uv program is missing. Reinstall proofbox, or install uv.")
    return on_path


def _environment(ours: Mapping[str, str], home: Path) -> dict[str, str]:
    env = {
        name: value
        for name, value in ours.items()
        if name.upper() in _PASSED_ON or _INDEX_CREDENTIAL.fullmatch(name)
    }
    # uv does not read pip's variables, but many a mirror is known only by them.
    if "PIP_INDEX_URL" in ours and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & env.keys():
        env["UV_DEFAULT_INDEX"] = ours["PIP_INDEX_URL"]
    if not {"HOME", "XDG_CACHE_HOME", "UV_CACHE_DIR"} & env.keys():
        env["UV_CACHE_DIR"] = str(home / ".uv")
    return env


def _cannot_write(path: Path, error: OSError) -> ProofboxError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SandboxUnavailable(
            f"The Python environment {path} could not be written: the disk is full. Free some space, "
            "or set XDG_CACHE_HOME to a larger disk."
        )
    return SandboxUnavailable(f"The Python environment {path} could not be built: {error}.")
