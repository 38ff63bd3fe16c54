"""Git repositories made of dictionaries, quickly: one process a commit, and no file on disk but git's own.

repo = Repo(tmp_path / "project")
base = repo.commit({"a.py": "x = 1\\n", "link": Link("a.py")})
head = repo.commit({"a.py": "x = 2\\n", "gone.py": None}, on="feature", start=base)
repo.checkout("main")                              # only where files are wanted beside .git
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

FIRST = datetime(2026, 11, 1, 12, tzinfo=UTC)
"""When the first commit is made where nothing is said; each further one is a minute later."""

_ENV = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C",
    **{f"GIT_{who}_NAME": "A Person" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "a@example.org" for who in ("AUTHOR", "COMMITTER")},
}


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link, as it is committed."""

    target: str


@dataclass(frozen=True, slots=True)
class Submodule:
    """Another repository's commit. A `.gitmodules` is the caller's to add."""

    commit: str = "1" * 40


@dataclass(frozen=True, slots=True)
class Script:
    """A file that may be executed."""

    text: str


File = str | bytes | Link | Submodule | Script | None
"""What a commit does to a path; None takes it away."""


class Repo:
    """A repository whose HEAD is `main`."""

    def __init__(self, path: Path, *, bare: bool = False) -> None:
        self.path = path
        self._commits = 0
        kind = ("--bare",) if bare else ()
        _run("init", "-q", "-b", "main", *kind, str(path))

    def commit(
        self,
        files: Mapping[str, File],
        message: str = "A change",
        when: datetime | None = None,
        *,
        on: str = "main",
        start: str = "",
        also: str = "",
    ) -> str:
        """Commit files on top of a branch, or of `start` to begin the branch there; its full name. A branch
        that is new begins at main.

        `also` is a second parent, so that the commit is a merge. Nothing is checked out.
        """
        when = when or FIRST + timedelta(minutes=self._commits)
        self._commits += 1
        ref = on if on.startswith("refs/") else f"refs/heads/{on}"
        parent = start or self.name_of(ref) or self.name_of("refs/heads/main")
        lines = [
            f"commit {ref}\nmark :1\ncommitter A Person <a@example.org> {int(when.timestamp())} +0000\n",
            _data(message.encode()).decode(),
            f"from {parent}\n" if parent else "",
            f"merge {also}\n" if also else "",
        ]
        stream = "".join(lines).encode() + b"".join(map(_entry, files, files.values()))
        self.git("fast-import", "--quiet", "--force", input=stream + b"\ndone\n", first=("--done",))
        return self.name_of(ref)

    def name_of(self, ref: str) -> str:
        """A ref's commit; empty if there is none."""
        done = _run("-C", str(self.path), "rev-parse", "-q", "--verify", ref, check=False)
        return done.stdout.decode().strip()

    def branch(self, name: str, at: str) -> None:
        """Set a branch, or any ref by its full name."""
        ref = name if name.startswith("refs/") else f"refs/heads/{name}"
        self.git("update-ref", ref, at)

    def checkout(self, name: str = "main") -> None:
        """Put a commit's files into the folder."""
        self.git("checkout", "-q", "-f", name)

    def git(self, *arguments: str, input: bytes = b"", first: tuple[str, ...] = ()) -> str:
        """What git prints; it must succeed. `first` are further options of its command."""
        command = (arguments[0], *first, *arguments[1:])
        done = _run("-C", str(self.path), *command, input=input)
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


def _run(
    *arguments: str, input: bytes = b"", check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        ["git", *arguments], input=input, env=_ENV, capture_output=True, check=False, timeout=60
    )
    assert not check or done.returncode == 0, (arguments, done.stderr)
    return done


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _entry(path: str, file: File) -> bytes:
    """A line of git's import format, with the content where there is some."""
    name = path.encode("utf-8", "surrogateescape")
    quoted = b'"%s"' % name.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    match file:
        case None:
            return b"D %s\n" % quoted
        case Submodule():
            return b"M 160000 %s %s\n" % (file.commit.encode(), quoted)
        case Link():
            return b"M 120000 inline %s\n" % quoted + _data(file.target.encode())
        case Script():
            return b"M 100755 inline %s\n" % quoted + _data(file.text.encode())
        case str():
            return b"M 100644 inline %s\n" % quoted + _data(file.encode())
        case bytes():
            return b"M 100644 inline %s\n" % quoted + _data(file)
