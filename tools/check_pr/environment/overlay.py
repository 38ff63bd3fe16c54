"""What a built wheel has and the tree has not: laid over the tree where its imports begin."""

import io
import posixpath
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import compat32

_MOST_FILES = 20_000
_MOST_BYTES = 96 * 1024**2
_INSTALLED = ("purelib", "platlib")
# Of those that lie in the tree base's are used; nobody could see what a build makes.
_DECIDE_TESTS = {
    "conftest.py",
    "sitecustomize.py",
    "usercustomize.py",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
}


class BadWheel(ValueError):
    """It is no wheel, or none that anybody would install."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel's files by their paths where imports begin, and what its metadata says."""

    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    name: str = ""
    version: str = ""
    requires: tuple[str, ...] = ()


def read_wheel(content: bytes) -> Wheel:
    """What is in a wheel that a stranger has built; nothing is written anywhere.

    Raises:
        BadWheel: it cannot be read, or is far too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = dict(_files(archive))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise BadWheel(f"it is no zip file that can be read ({error})") from error
    metadata = [
        path for path in files if path.endswith(".dist-info/METADATA") and path.count("/") == 1
    ]
    if not metadata:
        raise BadWheel("it has no metadata")
    told = BytesParser(policy=compat32).parsebytes(files[metadata[0]])
    return Wheel(
        files=files,
        name=str(told.get("Name", "")),
        version=str(told.get("Version", "")),
        requires=tuple(str(each) for each in told.get_all("Requires-Dist", [])),
    )


def _files(archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    entries = archive.infolist()
    if len(entries) > _MOST_FILES:
        raise BadWheel(f"it has {len(entries):,} files")
    left = _MOST_BYTES
    for entry in entries:
        path = _installed(entry.filename)
        if entry.is_dir() or not path:
            continue
        # What the directory says of a size need not be true.
        with archive.open(entry) as file:
            content = file.read(left + 1)
        left -= len(content)
        if left < 0:
            raise BadWheel(f"it has more than {_MOST_BYTES:,} bytes")
        yield path, content


def _installed(name: str) -> str:
    """Where a file of a wheel goes below the folder of packages; empty if not there, or nowhere."""
    first, _, rest = name.partition("/")
    if first.endswith(".data"):
        kind, _, name = rest.partition("/")
        if kind not in _INSTALLED:
            return ""
    plain = posixpath.normpath(name)
    outside = plain.startswith(("/", "..")) or plain == "."
    return "" if outside or "\\" in name or "\0" in name or name.endswith(".pyc") else plain


def lay_over(wheel: Wheel, tree: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files of the wheel that the tree has not, by their paths in the tree. What the tree has wins: it is
    what the pull request changes. What decides how tests are run is left out.
    """
    roots = _roots(wheel.files, tree)
    usual = Counter(roots.values()).most_common(1)[0][0] if roots else ""
    found: dict[str, bytes] = {}
    for path, content in wheel.files.items():
        place = posixpath.join(roots.get(path.split("/")[0], usual), path)
        if place not in tree and posixpath.basename(place) not in _DECIDE_TESTS:
            found[place] = content
    return found


def _roots(files: Mapping[str, bytes], tree: Mapping[str, bytes]) -> dict[str, str]:
    """For each package or module of the wheel, the folder of the tree that it is imported from."""
    by_name: dict[str, list[str]] = {}
    for path in tree:
        by_name.setdefault(posixpath.basename(path), []).append(path)
    votes: dict[str, Counter[str]] = {}
    for path, content in files.items():
        for other in by_name.get(posixpath.basename(path), []):
            if (other == path or other.endswith(f"/{path}")) and tree[other] == content:
                root = other[: len(other) - len(path)].rstrip("/")
                votes.setdefault(path.split("/")[0], Counter())[root] += 1
    # Of two copies the one less deep: a build's own leavings are deeper.
    return {
        top: min(count, key=lambda root: (-count[root], len(root))) for top, count in votes.items()
    }
