"""Settings: read once from the environment or from flags of the same names, never written back.

`Settings` is the one table. Each field carries its parser and its help; the names of environment
variables (`PROOFBOX_IDLE_SECONDS`), of flags (`--idle-seconds`) and the README's table come from it.
What only the HTTP service needs has a table of its own, in `http.settings`.
"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .github import GITHUB, GitHubAccess
from .http.settings import HTTP_OPTIONS
from .sandbox import Limits
from .sandbox.local import DEFAULT_PACKAGES
from .values import (
    PREFIX,
    SettingsError,
    choice,
    executable_folder,
    folders,
    https_address,
    number,
    options_of,
    requirements,
    seconds,
    setting,
    size,
    values_of,
    whole,
    word,
    writable_folder,
)

KEY_VARIABLES = ("E2B_API_KEY", "E2B_KEY")
TOKEN_VARIABLES = ("PROOFBOX_GITHUB_TOKEN", "GITHUB_TOKEN")

BackendName = Literal["local", "e2b"]


_LIMITS = Limits()
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Settings:
    """What one proofbox process works with. Sizes in bytes, times in seconds."""

    backend: Literal["auto", "e2b", "local"] = setting(
        "auto", choice("auto", "e2b", "local"), "auto",
        "Where code runs: e2b, local, or auto, which is e2b when a key is set.",
    )  # fmt: skip
    packages: tuple[str, ...] | None = setting(
        None, requirements, " ".join(DEFAULT_PACKAGES),
        "Packages that every sandbox has, separated by spaces; replaces the default.",
    )  # fmt: skip
    roots: tuple[Path, ...] | None = setting(
        None, folders, "working directory on stdio, none on HTTP",
        f"Folders that path arguments may name, separated by {os.pathsep!r}.",
    )  # fmt: skip
    memory: int = setting(_LIMITS.memory_bytes, size(64 * 1024**2), "2G", "Memory of a sandbox.")
    processes: int = setting(
        _LIMITS.processes, whole(4, 65_536), "128", "Processes and threads of a sandbox."
    )
    disk: int = setting(_LIMITS.disk_bytes, size(1024**2), "512M", "Disk space of a sandbox.")
    file_size: int = setting(_LIMITS.file_bytes, size(1024), "256M", "Size of one file.")
    open_files: int = setting(
        _LIMITS.open_files, whole(64, 1_048_576), "1024", "Open files of a process."
    )
    cpu_seconds: int = setting(
        _LIMITS.cpu_seconds, whole(1, _DAY), "3600", "Processor seconds of a process."
    )
    output: int = setting(
        _LIMITS.output_bytes, size(1024), "1M", "What is kept of each of stdout and stderr."
    )
    idle_seconds: float = setting(
        900.0, seconds(1, _DAY), "900", "A session that is not used for so long is closed."
    )
    max_age_seconds: float = setting(
        21_600.0, seconds(60, _DAY), "21600", "A sandbox older than this is replaced by a new one."
    )
    max_sessions: int = setting(
        32, whole(1, 1000), "32", "Open sessions; above it the longest idle one is closed."
    )
    queue: int = setting(16, whole(0, 1000), "16", "Calls that may wait for a free session.")
    queue_seconds: float = setting(
        30.0, seconds(0, 600), "30", "How long such a call waits before it is told 'busy'."
    )
    e2b_template: str | None = setting(
        None, word, "E2B's code interpreter", "The E2B template that sandboxes start from."
    )
    e2b_sandboxes: int = setting(
        20, whole(1, 10_000), "20", "Sandboxes at one time that the E2B plan allows."
    )
    e2b_create_rate: float = setting(
        1.0, number(0.01, 1000), "1", "New sandboxes a second that the E2B plan allows."
    )
    e2b_max_age_seconds: float = setting(
        3600.0, seconds(60, 30 * _DAY), "3600", "The longest life that the E2B plan allows."
    )
    cache_dir: Path | None = setting(  # noqa: RUF009 - it makes a field
        None, executable_folder, "the user's cache directory",
        "Where built Python environments are kept.",
    )  # fmt: skip
    data_dir: Path | None = setting(  # noqa: RUF009 - it makes a field
        None, writable_folder, "the user's data directory", "Where reports of jobs are kept."
    )  # fmt: skip
    github_url: str = setting(
        GITHUB, https_address, GITHUB, "GitHub, or a GitHub Enterprise server in its place."
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "warning", choice("debug", "info", "warning", "error"), "warning",
        "What is logged, always to stderr.",
    )  # fmt: skip
    e2b_api_key: str = field(default="", repr=False)
    github_token: str = field(default="", repr=False)

    @property
    def chosen_backend(self) -> BackendName:
        """The backend that `backend` and the key come to."""
        if self.backend != "auto":
            return self.backend
        return "e2b" if self.e2b_api_key else "local"

    @property
    def github(self) -> GitHubAccess:
        """GitHub as pull requests are had from it."""
        return GitHubAccess(self.github_url, self.github_token)

    @property
    def limits(self) -> Limits:
        """The limits as the sandbox port takes them."""
        return Limits(
            memory_bytes=self.memory,
            processes=self.processes,
            disk_bytes=self.disk,
            file_bytes=self.file_size,
            open_files=self.open_files,
            cpu_seconds=self.cpu_seconds,
            output_bytes=self.output,
        )


OPTIONS = options_of(Settings)


def read_settings(
    environment: Mapping[str, str], flags: Mapping[str, str | None] | None = None
) -> Settings:
    """Settings from the environment; `flags` (by field name) win over it. Empty means not set.

    Raises:
        SettingsError: a variable is unknown or a value cannot be used.
    """
    _refuse_unknown(environment)
    values = values_of(OPTIONS, environment, flags)
    key, token = (
        next((environment[name].strip() for name in names if environment.get(name)), "")
        for names in (KEY_VARIABLES, TOKEN_VARIABLES)
    )
    if not token.isascii() or any(sign.isspace() for sign in token):
        raise SettingsError(f"{' or '.join(TOKEN_VARIABLES)} has signs that no token has.")
    settings = Settings(**values, e2b_api_key=key, github_token=token)
    if settings.backend == "e2b" and not settings.e2b_api_key:
        raise SettingsError(
            "The backend is set to e2b but neither E2B_API_KEY nor E2B_KEY is set; "
            "set one (e2b.dev gives keys), or choose the backend local."
        )
    return settings


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    options = (*OPTIONS, *HTTP_OPTIONS)
    known = {option.variable.removeprefix(PREFIX): option.variable for option in options}
    for name in sorted(environment):
        if name in TOKEN_VARIABLES:
            continue
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in known:
            near = difflib.get_close_matches(name.removeprefix(PREFIX), known, 1)
            advice = (
                f"did you mean {known[near[0]]}?"
                if near
                else f"known are {', '.join(known.values())}."
            )
            raise SettingsError(f"{name} is not a setting of proofbox; {advice}")
