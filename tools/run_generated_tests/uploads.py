"""Which files of a folder are sent into the sandbox. What is not allowed stays home, and is named."""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import confidential
from .manifest import version_file
from .project import Kept

FILE_BYTES = 1024**2
TOTAL_BYTES = 16 * 1024**2
MOST_FILES = 4000

_SUFFIXES = {
    "", ".py", ".pyi", ".toml", ".cfg", ".ini", ".txt", ".md", ".rst", ".json", ".jsonl", ".ndjson", ".yaml",
    ".yml", ".csv", ".tsv", ".xml", ".html", ".htm", ".css", ".js", ".sql", ".j2", ".jinja", ".jinja2",
    ".tmpl", ".template", ".mako", ".po", ".mo", ".pot", ".ipynb", ".typed", ".lock", ".in", ".tex", ".svg",
    ".png", ".jpg", ".gif", ".bin", ".dat", ".log", ".snap", ".ambr", ".graphql", ".proto", ".lark", ".ebnf",
    ".example", ".sample", ".golden", ".expected", ".out", ".diff", ".patch", ".srt", ".ics", ".eml",
}  # fmt: skip
FIRST = (".py", ".toml", ".cfg", ".ini")
_NEVER_FOLDERS = {
    "__pycache__", ".git", ".hg", ".svn", ".tox", ".nox", ".venv", "venv", "node_modules", ".mypy_cache",
    ".pytest_cache", ".ruff_cache", ".eggs", "site-packages", ".idea", ".vscode",
}  # fmt: skip
_GIT_SECONDS = 30
# A repository's own configuration names programs that git would run.
_GIT = (
    "git",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.pager=cat",
)


def collect(folder: Path) -> tuple[dict[str, bytes], list[Kept], list[str]]:
    """The files of a folder to send, those that stay home, and remarks. Reads; runs nothing but git."""
    names, ignored, notes = _listed(folder)
    made = _made_by_the_build(folder)
    around = [
        name for name in ignored if name == made or (name[-1:] == "/" and made.startswith(name))
    ]
    if made and around:
        ignored = [name for name in ignored if name not in around]
        names.append(made)
    kept = [Kept(name, "ignored") for name in ignored]
    files: dict[str, bytes] = {}
    total = 0
    for name in sorted(names, key=lambda name: (not name.endswith(FIRST), name)):
        content = _judged(folder, name)
        if isinstance(content, Kept):
            kept.append(content)
        elif total + len(content) > TOTAL_BYTES or len(files) >= MOST_FILES:
            kept.append(Kept(name, "size", "The project is larger than what is sent."))
        else:
            total += len(content)
            files[name] = content
    return files, kept, notes


def _made_by_the_build(folder: Path) -> str:
    """The package does not import without it, and it holds the version alone."""
    try:
        return version_file((folder / "pyproject.toml").read_bytes())
    except OSError:
        return ""


def _judged(folder: Path, name: str) -> bytes | Kept:
    path = folder / name
    if confidential.by_name(name):
        return Kept(name, "secret", "It is called as files with secrets are.")
    if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
        return Kept(name, "link")
    if path.suffix.lower() not in _SUFFIXES:
        return Kept(name, "kind", f"Files that end in {path.suffix} are not sent.")
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= FILE_BYTES and path.is_file() else b""
    except OSError as error:
        return Kept(name, "kind", f"It cannot be read: {error.strerror}.")
    if size > FILE_BYTES:
        return Kept(name, "size", f"It has {size:,} bytes; at most {FILE_BYTES:,} are sent.")
    if secret := confidential.by_content(content):
        return Kept(name, "secret", f"It holds {secret}.")
    return content


def _listed(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Names of files that git does not ignore, of those that it does, and remarks."""
    with tempfile.TemporaryDirectory(prefix="proofbox-") as scratch:
        try:
            if not _run(folder, "rev-parse", "--is-inside-work-tree"):
                subprocess.run(
                    [*_GIT, "init", "-q", scratch], check=True, capture_output=True, env=_env(),
                    timeout=_GIT_SECONDS,
                )  # fmt: skip
                there = (f"--git-dir={scratch}/.git", f"--work-tree={folder}")
            else:
                there = ()
            listing = ("ls-files", "-z", "--exclude-standard")
            names = _run(folder, *there, *listing, "--cached", "--others")
            ignored = _run(folder, *there, *listing, "--others", "--ignored", "--directory")
        except (OSError, subprocess.SubprocessError):
            note = "git is not here, so .gitignore was not heeded: only Python and its configuration was sent."
            return [n for n in _walk(folder) if n.endswith(FIRST)], [], [note]
    return [name for name in names if not _left_out(name)], ignored, []


def _run(folder: Path, *arguments: str) -> list[str]:
    """What git lists; nothing where it refuses."""
    done = subprocess.run(
        [*_GIT, *arguments],
        cwd=folder,
        check=False,
        capture_output=True,
        env=_env(),
        timeout=_GIT_SECONDS,
    )
    text = done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
    return [name for name in text.strip("\n").split("\0") if name]


def _env() -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return {**own, "GIT_CONFIG_NOSYSTEM": "1", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def _left_out(name: str) -> bool:
    return bool(_NEVER_FOLDERS & set(name.split("/")[:-1])) or name.endswith((".pyc", ".pyo"))


def _walk(folder: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if f not in _NEVER_FOLDERS and not f.startswith(".")]
        yield from (Path(parent, name).relative_to(folder).as_posix() for name in names)


def summary(kept: Iterable[Kept]) -> dict[str, list[str]]:
    """Names of what stayed home, by why; of the ignored only some."""
    found: dict[str, list[str]] = {}
    for each in kept:
        found.setdefault(each.why, []).append(each.path)
    return found
