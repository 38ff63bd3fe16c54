"""The stand-in for GitHub: what it knows of a repository, and git over HTTP."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ENV = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C",
}
# As GitHub is configured: partial clones, and any commit by its name.
_CONFIG = {"uploadpack.allowFilter": "true", "uploadpack.allowAnySHA1InWant": "true"}


@dataclass(frozen=True, slots=True)
class Row:
    """A changed file, as `/files` tells it; `text` is its part of the diff, with its header."""

    path: str
    old_path: str
    status: str
    sha: str
    text: str

    @property
    def patch(self) -> str:
        """The hunks alone."""
        start = self.text.find("\n@@ ")
        return "" if start < 0 else self.text[start + 1 :].rstrip("\n")

    @property
    def additions(self) -> int:
        return sum(line.startswith("+") for line in self.patch.splitlines())

    @property
    def deletions(self) -> int:
        return sum(line.startswith("-") for line in self.patch.splitlines())

    def lines(self, side: str) -> set[int]:
        """The numbers of the lines that are in hunks, those at base (`LEFT`) or at head (`RIGHT`)."""
        found: set[int] = set()
        left = right = 0
        for line in self.patch.split("\n"):
            if hunk := re.match(r"@@ -(\d+)(?:,\d+)? \+(\d+)", line):
                left, right = int(hunk[1]), int(hunk[2])
                continue
            if line[:1] in {" ", "-"}:
                found |= {left} if side == "LEFT" else set()
                left += 1
            if line[:1] in {" ", "+"}:
                found |= {right} if side == "RIGHT" else set()
                right += 1
        return found

    def facts(self, contents: str, *, patch: bool) -> dict[str, Any]:
        """The row as JSON has it."""
        added, removed = (self.additions, self.deletions) if patch else (0, 0)
        facts = {
            "sha": self.sha,
            "filename": self.path,
            "status": self.status,
            "additions": added,
            "deletions": removed,
            "changes": added + removed,
            "contents_url": contents + self.path,
        }
        if self.old_path != self.path:
            facts["previous_filename"] = self.old_path
        if patch and self.patch:
            facts["patch"] = self.patch
        return facts


def git(path: Path, *arguments: str) -> str:
    """What git prints, empty where it fails."""
    done = subprocess.run(
        ["git", "-C", str(path), *arguments], capture_output=True, check=False, env=_ENV, timeout=60
    )
    return done.stdout.decode("utf-8", "surrogateescape").strip("\n") if not done.returncode else ""


def rows_of(path: Path, base: str, head: str) -> list[Row]:
    """The files that differ between the merge base and head."""
    there = git(path, "merge-base", base, head)
    listed = git(path, "diff", "--raw", "-z", "-M", "--abbrev=40", there, head).strip("\0")
    words = iter(listed.split("\0") if listed else [])
    whole = git(path, "diff", "-M", "--full-index", there, head)
    texts = [text for text in re.split(r"(?m)^(?=diff --git )", whole + "\n") if text.strip()]
    rows: list[Row] = []
    for facts, text in zip(_facts_of(words), texts, strict=True):
        code, old, new, sha = facts
        status = {"A": "added", "D": "removed", "R": "renamed"}.get(code, "modified")
        rows.append(Row(new, old, status, sha, text))
    return rows


def _facts_of(words: Iterator[str]) -> list[tuple[str, str, str, str]]:
    """Status, both paths and the blob of each line of `git diff --raw -z`."""
    found: list[tuple[str, str, str, str]] = []
    for head in words:
        *_, before, after, code = head.split(" ")
        old = next(words)
        new = next(words) if code[0] == "R" else old
        found.append((code[0], old, new, before if code[0] == "D" else after))
    return found


def serve_git(
    repository: Path, rest: str, method: str, query: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    """One request, by git's own CGI program: status, headers, content."""
    config = {"GIT_CONFIG_COUNT": str(len(_CONFIG))}
    for number, (key, value) in enumerate(_CONFIG.items()):
        config |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    where = repository if (repository / "objects").is_dir() else repository / ".git"
    env = {
        **_ENV,
        **config,
        "GIT_PROJECT_ROOT": str(where),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{rest}",
        "QUERY_STRING": query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = subprocess.run(
        ["git", "http-backend"], input=body, env=env, capture_output=True, check=False, timeout=60
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    found = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
    status = int(found.pop("Status", "200 OK").split(" ")[0])
    return status, found, content
