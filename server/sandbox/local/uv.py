"""Running `uv` on the host: it gets what it needs to reach an index, and nothing that changes what it does.

It must never run code of a package: whoever calls it asks for wheels only.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from ..errors import SandboxRejected
from . import uv_errors
from .uv_config import index_configuration

CONFIG = "uv.toml"
"""What uv is configured with, in the folder that it works in; it may hold passwords."""

# The kernel kills a child of ours when we die, so that a killed proofbox leaves no uv behind.
_DIE_WITH_US = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
    "os.getppid() == int(sys.argv[1]) or os._exit(1); os.execv(sys.argv[2], sys.argv[2:])"
)

_PASSED_ON = frozenset(
    {
        *("HOME", "PATH", "LANG", "TMPDIR", "NETRC", "XDG_CACHE_HOME", "XDG_DATA_HOME"),
        *("SYSTEMROOT", "LOCALAPPDATA", "APPDATA", "TEMP", "USERPROFILE"),
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


async def ask(
    arguments: Sequence[str],
    folder: Path,
    *,
    cache: Path,
    settings: str = "",
    on_line: Callable[[str], None] | None = None,
    inherited: Sequence[int] = (),
) -> tuple[int, str]:
    """Run uv to its end in `folder`, with the configuration of indexes and `settings` on top (TOML); its
    status and what it wrote to stderr. `cache` is for uv's own, where the user has none.

    Raises:
        SandboxRejected: there is no uv.
    """
    config = folder / CONFIG
    config.touch(mode=0o600)
    config.write_text(settings + index_configuration(os.environ), encoding="utf-8")
    command = [_find(), *arguments]
    position = command.index("--") if "--" in command else len(command)
    command[position:position] = ["--color", "never", "--config-file", str(config)]
    env = _environment(os.environ, cache)
    status, words = await run(command, folder, env=env, on_line=on_line, inherited=inherited)
    if status and uv_errors.is_certificate_error(words):
        # uv brings its own certificates; behind a company's proxy only the system knows the right one.
        env |= {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
        status, words = await run(command, folder, env=env, on_line=on_line, inherited=inherited)
    return status, words


async def run(
    command: Sequence[str],
    folder: Path,
    *,
    env: Mapping[str, str],
    on_line: Callable[[str], None] | None = None,
    inherited: Sequence[int] = (),
) -> tuple[int, str]:
    """Run any program to its end; its status and what it wrote to stderr. It dies with us, and if the caller
    is cancelled.
    """
    launcher = [sys.executable, "-I", "-S", "-c", _DIE_WITH_US, str(os.getpid())]
    process = await anyio.open_process(
        # Requirements are resolved on other systems too, where nothing else is local.
        [*(launcher if sys.platform == "linux" else []), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        cwd=folder,
        env=env,
        start_new_session=os.name == "posix",
        pass_fds=inherited,
        umask=0o022 if os.name == "posix" else -1,
    )
    words: list[str] = []
    try:
        async for line in _lines(process):
            words.append(line)
            if on_line is not None and uv_errors.is_news(line):
                on_line(line.strip())
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
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def _find() -> str:
    from uv import find_uv_bin

    try:
        return find_uv_bin()
    except FileNotFoundError:
        on_path = shutil.which("uv")
    if on_path is None:
        raise SandboxRejected("The uv program is missing. Reinstall proofbox, or install uv.")
    return on_path


def _environment(ours: Mapping[str, str], cache: Path) -> dict[str, str]:
    env = {
        name: value
        for name, value in ours.items()
        if name.upper() in _PASSED_ON or _INDEX_CREDENTIAL.fullmatch(name)
    }
    # uv does not read pip's variables, but many a mirror is known only by them.
    if "PIP_INDEX_URL" in ours and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & env.keys():
        env["UV_DEFAULT_INDEX"] = ours["PIP_INDEX_URL"]
    if not {"HOME", "XDG_CACHE_HOME", "UV_CACHE_DIR"} & env.keys():
        env["UV_CACHE_DIR"] = str(cache / ".uv")
    return env
