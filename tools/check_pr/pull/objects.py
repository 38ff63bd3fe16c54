"""Objects of git, many at a time: what a commit has, how large it is, and the bytes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ....server.sandbox import InvalidInput, SandboxUnavailable
from .git import Git, GitFailed

LINK, SUBMODULE, TREE = "120000", "160000", "040000"


@dataclass(frozen=True, slots=True)
class Entry:
    """A path of a commit, as git has it."""

    path: bytes
    mode: str
    name: str

    @property
    def shown(self) -> str:
        """The path as text."""
        return self.path.decode("utf-8", "replace")


async def entries(git: Git, tree: str) -> list[Entry]:
    """Everything in a commit or tree but the folders themselves, in git's order."""
    listed = await git.run("ls-tree", "-r", "-z", "--full-tree", tree)
    found: list[Entry] = []
    for line in listed.split(b"\0")[:-1]:
        facts, _, path = line.partition(b"\t")
        mode, _kind, name = facts.decode("ascii").split(" ")
        found.append(Entry(path, mode, name))
    return found


async def bring(git: Git, trees: Sequence[str], wanted: Collection[str]) -> None:
    """Fetch those of the wanted blobs of some trees that are not here, all in one request.

    Raises:
        InvalidInput: they are missing, and nothing is known to fetch them from.
        SandboxUnavailable: the remote does not give them.
    """
    if not wanted:
        return
    listed = await git.text("rev-list", "--objects", "--missing=print", "--no-object-names", *trees)
    gone = [line[1:] for line in listed.split("\n") if line.startswith("?")]
    missing = sorted(set(gone) & set(wanted))
    if not missing:
        return
    if git.remote is None:
        raise InvalidInput(
            f"The repository is a partial clone, and {len(missing):,} files of what is compared are not in it. "
            "Fetch them (`git fetch --refetch --no-filter`), or check out both commits once."
        )
    try:
        await git.run(
            *(
                "-c",
                "fetch.negotiationAlgorithm=noop",
                "fetch",
                "-q",
                "--no-tags",
                "--no-write-fetch-head",
            ),
            *("--filter=blob:none", "--no-auto-maintenance", "--stdin", "origin"),
            given="".join(f"{name}\n" for name in missing).encode(),
        )
    except GitFailed as failed:
        raise SandboxUnavailable(
            f"{len(missing):,} files could not be fetched: git says: {failed.words}. Try again."
        ) from failed


async def sizes(git: Git, names: Iterable[str]) -> dict[str, int]:
    """How many bytes each blob has; one that is not here is left out."""
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    given = "".join(f"{name}\n" for name in wanted).encode()
    listed = await git.text("cat-file", "--batch-check=%(objectname) %(objectsize)", given=given)
    pairs = (line.split(" ") for line in listed.split("\n") if line)
    return {name: int(size) for name, size in pairs if size != "missing"}


async def contents(git: Git, names: Iterable[str]) -> Mapping[str, bytes]:
    """The bytes of blobs that are here."""
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    given = "".join(f"{name}\n" for name in wanted).encode()
    out = await git.run("cat-file", "--batch", given=given)
    found: dict[str, bytes] = {}
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        name, kind, size = out[at:end].decode("ascii").split(" ")
        assert kind == "blob", kind
        found[name] = out[end + 1 : end + 1 + int(size)]
        at = end + 1 + int(size) + 1
    return found
