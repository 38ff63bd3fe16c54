"""A diff on top of a commit, applied to git's index alone: no file is written."""

import re

from ....server.sandbox import InvalidInput
from .git import Git, GitFailed

_SHOWN = 10
_HEADER = re.compile(r"(?m)^(?:diff --git |--- |GIT binary patch)")
_OUTSIDE = re.compile(r"invalid path '(.*?)'")
_REASONS = (
    (re.compile(r"^patch failed: (?P<path>.*):(?P<line>\d+)$"), "does not fit at line {line}"),
    (re.compile(r"^(?P<path>.*): does not exist in index$"), "is not there"),
    (re.compile(r"^(?P<path>.*): already exists in index$"), "is there already"),
    (re.compile(r"^(?P<path>.*): patch does not apply$"), "does not fit"),
    (re.compile(r"^cannot apply binary patch to '(?P<path>.*)' without full index line$"),
     "is binary, and the diff has not its content (git diff --binary has)"),
)  # fmt: skip


async def apply(git: Git, base: str, diff: str) -> str:
    """The tree of a commit with a unified diff on top, `a/` and `b/` before its paths or not.

    Raises:
        InvalidInput: it is no diff, names paths outside of the repository, or does not fit; which files
            do not, and where, is in the message.
    """
    if not diff.strip():
        return await git.text("rev-parse", f"{base}^{{tree}}")
    if not _HEADER.search(diff):
        raise InvalidInput(
            "The diff has no patch in it. Give a unified diff, as `git diff` prints it."
        )
    text = (diff if diff.endswith("\n") else f"{diff}\n").encode("utf-8", "surrogateescape")
    index = {"GIT_INDEX_FILE": str(git.folder / "index-of-the-diff")}
    await git.finished("read-tree", base, more=index)
    refused = ""
    for strip in ("-p1", "-p0"):
        apply = ("apply", "--cached", "--whitespace=nowarn", strip, "-")
        done = await git.finished(*apply, given=text, more=index, ok=range(256))
        if done.returncode == 0:
            tree = await git.finished("write-tree", more=index)
            return tree.stdout.decode("ascii").strip()
        refused = refused or done.stderr.decode("utf-8", "replace")
        if not re.search(
            r"does not exist in index|find filename|lacks filename|No such file", refused
        ):
            break
    raise InvalidInput(_explained(refused, base))


def _explained(stderr: str, base: str) -> str:
    lines = [line.removeprefix("error: ") for line in stderr.splitlines() if line.strip()]
    outside = sorted({found[1] for line in lines if (found := _OUTSIDE.search(line))})
    if outside:
        shown = ", ".join(map(repr, outside[:_SHOWN]))
        return f"The diff names what no diff may change: {shown}. Nothing of it was applied."
    by_path: dict[str, str] = {}
    others: list[str] = []
    for line in lines:
        found = next(
            ((rule.match(line), words) for rule, words in _REASONS if rule.match(line)), None
        )
        if found is None or found[0] is None:
            others.append(line)
        else:
            facts = found[0].groupdict()
            by_path.setdefault(facts["path"], found[1].format(**facts))
    told = [f"{path} {why}" for path, why in sorted(by_path.items())] or others
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    shown = "; ".join(told[:_SHOWN])
    return f"The diff does not apply to {base[:12]}: {shown}{more}. Make it anew from that commit."


async def committed(git: Git, tree: str, parent: str) -> str:
    """A commit of ours with the tree, so that it can be merged."""
    try:
        return await git.text(
            *("-c", "user.name=proofbox", "-c", "user.email=proofbox@localhost"),
            *("commit-tree", "-p", parent, "-m", "A diff", tree),
        )
    except GitFailed as failed:  # it has been read and written before
        raise InvalidInput(f"The diff cannot be applied: git says: {failed.words}") from failed
