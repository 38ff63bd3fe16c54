"""git, run so that nothing of a repository, of the user's configuration or of our environment steers it.

It works in bare repositories that we made, with a configuration of our own; from a repository of somebody
else only objects and names of commits are taken. Nothing is ever checked out.
"""

import os
import re
import shutil
import subprocess
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from anyio.abc import ByteReceiveStream, Process

from ....server.sandbox import InvalidInput, SandboxRejected, SandboxUnavailable
from ...run_generated_tests.uploads import FILE_BYTES
from ..review.plain import one_line

OLDEST: tuple[int, int] = (2, 32)
"""GIT_CONFIG_GLOBAL, without which the user's own configuration is read, came with it."""
MERGES: tuple[int, int] = (2, 38)
"""`git merge-tree --write-tree` came with it."""

MOST_BYTES = 128 * 1024**2
"""What one command of git may print."""

_SECONDS = 300.0
_PASSED_ON = (
    *("PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
_ALWAYS = {
    "HOME": os.devnull,
    "LC_ALL": "C",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_FLUSH": "1",
}
# Nothing is fetched but where a remote is given: configuration could name a program as one.
_ALONE = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
_CONFIG = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.pager=cat", "core.quotePath=false"),
    *("core.attributesFile=/dev/null", "gc.auto=0", "maintenance.auto=false"),
    *("diff.renames=true", "diff.renameLimit=2000", "protocol.version=2", "credential.helper="),
    # Larger files stay home; their lines are not compared either.
    f"core.bigFileThreshold={FILE_BYTES + 1}",
    *("fetch.recurseSubmodules=false", "submodule.recurse=false", "advice.detachedHead=false"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Remote:
    """Where missing objects are fetched from. `header` holds the token: it is given to git in its
    environment, for that server alone, and redirects are not followed.
    """

    url: str
    header: str = field(default="", repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What git needs to know of it."""
        config = {
            "http.followRedirects": "false",
            "http.lowSpeedLimit": "1",
            "http.lowSpeedTime": "60",
        }
        if self.header:
            config[f"http.{self.url}.extraHeader"] = self.header
        pairs = list(config.items())
        env = {"GIT_ALLOW_PROTOCOL": "https:http", "GIT_CONFIG_COUNT": str(len(pairs))}
        for number, (key, value) in enumerate(pairs):
            env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return env


class GitFailed(Exception):
    """git ended with a status that was not expected; `words` is what it said, one line, without secrets."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


@dataclass(frozen=True, slots=True)
class Git:
    """git in one bare repository of ours."""

    folder: Path
    remote: Remote | None = None

    async def run(
        self,
        *arguments: str,
        given: bytes = b"",
        ok: Iterable[int] = (0,),
        seconds: float = _SECONDS,
    ) -> bytes:
        """What git prints.

        Raises:
            GitFailed: its status is not one of `ok`.
            SandboxUnavailable: it did not end in time.
        """
        return (await self.finished(*arguments, given=given, ok=ok, seconds=seconds)).stdout

    async def finished(
        self,
        *arguments: str,
        given: bytes = b"",
        ok: Iterable[int] = (0,),
        seconds: float = _SECONDS,
        more: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """The same with status and stderr; `more` is added to its environment."""
        env = {key: os.environ[key] for key in _PASSED_ON if key in os.environ} | _ALWAYS
        env |= {"GIT_DIR": str(self.folder), **(more or {})}
        env |= _ALONE if self.remote is None else self.remote.environment
        config = [word for each in _CONFIG for word in ("-c", each)]
        command = ["git", "--no-pager", "--literal-pathspecs", *config, *arguments]
        try:
            with anyio.fail_after(seconds):
                done = await _run(command, given, env)
        except TimeoutError:
            raise SandboxUnavailable(
                f"git {arguments[0]} did not end within {seconds:g} s. Try again."
            ) from None
        if done.returncode not in tuple(ok):
            raise GitFailed(done.returncode, self._words(done.stderr))
        return done

    def _words(self, stderr: bytes) -> str:
        words = one_line(stderr.decode("utf-8", "replace").strip()) or "it said nothing"
        secret = self.remote.header if self.remote else ""
        for part in (secret, secret.rpartition(" ")[2]) if secret else ():
            words = words.replace(part, "[the token]")
        return words

    async def text(self, *arguments: str, given: bytes = b"") -> str:
        """What git prints, as text without the last newline."""
        out = await self.run(*arguments, given=given)
        return out.decode("utf-8", "surrogateescape").rstrip("\n")

    async def commit(self, name: str) -> str:
        """The full name of the commit that a name means; empty if there is none."""
        try:
            return await self.text(
                "rev-parse", "-q", "--verify", "--end-of-options", f"{name}^{{commit}}"
            )
        except GitFailed:
            return ""

    async def has(self, commit: str) -> bool:
        """Whether a commit is here, without fetching it."""
        done = await Git(self.folder).finished(
            "cat-file", "-e", f"{commit}^{{commit}}", ok=range(256)
        )
        return done.returncode == 0


async def _run(
    command: list[str], given: bytes, env: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    """Run to the end, with what it prints: a tree of a few objects may stand for billions of files."""
    out, err = bytearray(), bytearray()

    async def read(stream: ByteReceiveStream, into: bytearray) -> None:
        async for piece in stream:
            into += piece
            if len(into) > MOST_BYTES:
                with suppress(ProcessLookupError):  # it has ended by itself
                    process.kill()
                return

    # Given up while it starts, it would be killed and nobody would wait for its end.
    opened: Process | None = None
    with anyio.CancelScope(shield=True):
        opened = await anyio.open_process(command, env=env, cwd="/")
    assert opened is not None
    async with opened as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        async with anyio.create_task_group() as reading:
            reading.start_soon(read, process.stdout, out)
            reading.start_soon(read, process.stderr, err)
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await process.stdin.send(given)
            await process.stdin.aclose()
        status = await process.wait()
    if max(len(out), len(err)) > MOST_BYTES:
        raise InvalidInput(
            f"The repository or the change is too large: git lists more than {MOST_BYTES:,} bytes of it."
        )
    return subprocess.CompletedProcess(command, status, bytes(out), bytes(err))


_versions: dict[str | None, tuple[int, int]] = {}


async def version() -> tuple[int, int]:
    """git's own version, asked once.

    Raises:
        SandboxRejected: there is none, or it is too old.
    """
    where = shutil.which("git")
    if where in _versions:
        return _versions[where]
    try:
        done = await anyio.run_process(
            ["git", "--version"], env={"PATH": os.environ.get("PATH", os.defpath)}, check=False
        )
    except OSError:
        raise SandboxRejected(
            "check_pr needs git, and it cannot be started. Install git, or put it on the PATH of proofbox."
        ) from None
    found = re.search(r"(\d+)\.(\d+)", done.stdout.decode("utf-8", "replace"))
    numbers = (int(found[1]), int(found[2])) if found is not None else (0, 0)
    if numbers < OLDEST:
        raise SandboxRejected(
            f"git is of version {numbers[0]}.{numbers[1]}, and check_pr needs {OLDEST[0]}.{OLDEST[1]} or newer: "
            "older ones cannot be kept from reading the user's configuration. Install a newer git."
        )
    _versions[where] = numbers
    return numbers


@asynccontextmanager
async def scratch(object_format: str = "sha1") -> AsyncGenerator[Git]:
    """An empty repository for as long as the block runs."""
    with TemporaryDirectory(prefix="proofbox-pr-", ignore_cleanup_errors=True) as folder:
        yield await made(Path(folder, "repository.git"), object_format)


async def made(folder: Path, object_format: str = "sha1", remote: Remote | None = None) -> Git:
    """A new bare repository, without the templates and hooks that git puts into others."""
    git = Git(folder, remote)
    init = ("init", "-q", "--bare", "--template=", f"--object-format={object_format}", str(folder))
    await Git(folder).run(*init)
    (folder / "info").mkdir(exist_ok=True)
    return git


def refused(what: str, failed: GitFailed) -> InvalidInput:
    """The failure as an error of whoever named the repository."""
    return InvalidInput(f"{what}: git says: {failed.words}")
