"""Symbolic links of a tree: what each stands for, if that is in the tree."""

from collections.abc import Collection, Iterator, Mapping

LEAVES = "It leads out of the tree."
LOOPS = "It leads back to itself."
NOTHING = "It leads to nothing in the tree."
MANY = "It stands for more files than are copied."

_HOPS = 40
"""As many as the kernel follows."""


class Links:
    """The links of one tree. `copies` has what is in the place of links: path to the file it is a copy of;
    `refused` the links that stand for nothing, and why.
    """

    def __init__(self, targets: Mapping[str, str], files: Collection[str], most: int) -> None:
        self.copies: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self._targets = targets
        self._files = files
        self._most = most
        self._below: dict[str, list[str]] = {"": []}
        for path in (*files, *targets):
            parts = path.split("/")
            for depth in range(len(parts)):
                self._below.setdefault("/".join(parts[:depth]), []).append(path)
        for path in sorted(targets):
            self._follow(path)

    def _follow(self, path: str) -> None:
        real, why = self._real(path)
        if real in self._files:
            self.copies[path] = real
        elif why or real not in self._below:
            self.refused[path] = why or NOTHING
        else:
            self._copy_folder(path, real)

    def _copy_folder(self, path: str, real: str) -> None:
        if _is_below(path, real):
            self.refused[path] = LOOPS
            return
        found: dict[str, str] = {}
        for copy, source in self._folder(path, real, frozenset({real})):
            found[copy] = source
            if len(self.copies) + len(found) > self._most:
                self.refused[path] = MANY
                return
        self.copies |= found

    def _folder(self, path: str, real: str, within: frozenset[str]) -> Iterator[tuple[str, str]]:
        """What a folder holds, as it is seen at another path; a link that closes a circle is left out."""
        for member in self._below[real]:
            place = path + member[len(real) :] if real else f"{path}/{member}"
            if member in self._files:
                yield place, member
                continue
            target, _ = self._real(member)
            if target in self._files:
                yield place, target
            elif target in self._below and not any(_is_below(each, target) for each in within):
                yield from self._folder(place, target, within | {target})

    def _real(self, path: str) -> tuple[str, str]:
        """The path without links, as the kernel would find it, or why there is none."""
        left = path.split("/")[::-1]
        found: list[str] = []
        hops = 0
        while left:
            part = left.pop()
            if part == ".." and not found:
                return "\0", LEAVES
            if part == "..":
                found.pop()
            elif part not in ("", "."):
                target = self._targets.get("/".join([*found, part]))
                if target is None:
                    found.append(part)
                    continue
                hops += 1
                if hops > _HOPS:
                    return "\0", LOOPS
                if target.startswith("/"):
                    return "\0", LEAVES
                left += target.split("/")[::-1]
        return "/".join(found), ""


def _is_below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")
