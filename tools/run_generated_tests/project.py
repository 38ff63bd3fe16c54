"""What is tested: the files that go into the sandbox, and what each of them is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ROOT = "/home/user/project"
"""Where the files are in the sandbox, and where the tests start."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module under test: its file, relative to the project, and the name to import it by."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that was not sent, and why: `secret`, `ignored`, `size`, `kind` or `link`."""

    path: str
    why: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """Files to send and what they are. All paths are relative to the project, with `/`.

    Attributes:
        files: everything that is sent.
        sources: the modules under test; what the tests are worth is judged by them alone.
        tests: the files that pytest is given, in order.
        roots: folders that imports begin in, "" for the project itself, in the order of `sys.path`.
        arguments: for pytest, from the project's own configuration, as far as they are let through.
        config: the file that configures pytest, "" where there is none.
        packages: what must be installed.
        stayed_home: files that were not sent.
        notes: remarks on all this for whoever reads the report.
    """

    files: Mapping[str, bytes]
    sources: tuple[Module, ...]
    tests: tuple[str, ...]
    roots: tuple[str, ...] = ("",)
    arguments: tuple[str, ...] = ()
    config: str = ""
    packages: tuple[str, ...] = ()
    stayed_home: tuple[Kept, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def text(self, path: str) -> str:
        """The text of a file, undecodable bytes replaced."""
        return self.files[path].decode("utf-8", "replace")
