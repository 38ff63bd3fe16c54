"""What the extractors find: snippets, what they are said to print, and where every line stands."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["code", "doctest", "console", "data", "setup", "cleanup", "output", "other"]
"""What a snippet is.

code: to run as it stands. doctest: `>>>` examples. console: commands behind prompts. data: a document
to parse (JSON, YAML, TOML). setup, cleanup: run for others, judged only through them. output: shown
output that belongs to no snippet. other: nothing that can be checked, like a block without a language.
"""

ExpectedSource = Literal[
    "doctest", "comment", "trailing", "string", "block", "testoutput", "console"
]
# Those that stand in the code itself: in comments on lines of their own, behind code on its line, in strings.
IN_CODE: frozenset[ExpectedSource] = frozenset({"comment", "trailing", "string"})


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive lines of a snippet that come from one file.

    `first` is the snippet's line (from 1) at which the span starts. `numbers` are the file's line
    numbers, `columns` how many characters stand before each line's text there.
    """

    file: str
    first: int
    numbers: Sequence[int]
    columns: Sequence[int]


@dataclass(frozen=True, slots=True)
class LineMap:
    """Where each line of a snippet stands. A snippet has several spans when it includes files."""

    spans: tuple[Span, ...]

    def position(self, line: int) -> Position:
        """Return where the snippet's line `line` (from 1) stands; beyond the ends, the nearest line."""
        starts = [span.first for span in self.spans]
        span = self.spans[max(0, bisect_right(starts, line) - 1)]
        index = min(max(line - span.first, 0), len(span.numbers) - 1)
        return Position(span.file, span.numbers[index], span.columns[index] + 1)

    def __len__(self) -> int:
        return sum(len(span.numbers) for span in self.spans)


@dataclass(frozen=True, slots=True)
class Expected:
    """Output that the document shows.

    `after_line` is the snippet's line (from 1) that prints it, 0 when it is the output of the whole
    snippet. It takes up the lines `line` to `end_line` of `file`, both included, and each of them
    begins with `column` characters that are not part of the output. `exception` is set for a shown
    traceback and holds its last part, `ValueError: no`. `flags` are doctest's, by name.
    """

    source: ExpectedSource
    text: str
    file: str
    line: int
    end_line: int
    column: int
    after_line: int = 0
    exception: str | None = None
    flags: Mapping[str, bool] = field(default_factory=dict[str, bool])


@dataclass(frozen=True, slots=True)
class Example:
    """One `>>>` statement. `line` counts from 1 in the snippet; `want` is None where nothing is shown."""

    source: str
    line: int
    want: Expected | None = None
    flags: Mapping[str, bool] = field(default_factory=dict[str, bool])


@dataclass(frozen=True, slots=True)
class Command:
    """One shell command behind a prompt. `line` counts from 1 in the snippet."""

    source: str
    line: int
    output: Expected | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that the author said about a snippet, where and in whose syntax."""

    name: str
    value: str = ""
    line: int = 0
    by: str = "proofbox"


@dataclass(frozen=True, slots=True)
class Marks:
    """All that the author said about a snippet.

    `skip` is the reason, set exactly when the author skips it; `skip_if` holds the condition, an
    expression that only the sandbox may evaluate. `continues` means: run after the snippet before it.
    `groups` share a namespace, in the order of the page; `*` belongs to every group. `raises` is the
    expected exception, `ValueError` or `ValueError: part of the message`, or `*` for any. `python` is a version specifier like `>=3.12`, `needs` are
    modules without which to skip. `output` is "" (compare), "ignore" or "unordered".
    """

    skip: str | None = None
    skip_if: str = ""
    setup: bool = False
    cleanup: bool = False
    hidden: bool = False
    continues: bool = False
    groups: tuple[str, ...] = ()
    raises: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    python: str = ""
    needs: tuple[str, ...] = ()
    fixtures: tuple[str, ...] = ()
    output: str = ""
    timeout: float | None = None
    exit_code: int | None = None
    flags: Mapping[str, bool] = field(default_factory=dict[str, bool])
    said: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Snippet:
    """One snippet of a document.

    `index` counts from 0 in its file. `document` numbers the namespaces of a file: a page is one, every
    docstring is its own, and a mark that clears the namespace starts another; `scope` is the docstring's
    object. `code` has its container's indentation removed and keeps its prompts. `line`, `column` and
    `end_line` are those of the code, `opening_line` that of the fence or directive. `unresolved` names
    the include that could not be read: then the code is only a pointer.
    """

    file: str
    index: int
    language: str
    kind: Kind
    code: str
    line: int
    column: int
    end_line: int
    opening_line: int
    map: LineMap
    info: str = ""
    document: int = 0
    scope: str = ""
    marks: Marks = field(default_factory=Marks)
    examples: tuple[Example, ...] = ()
    commands: tuple[Command, ...] = ()
    expected: tuple[Expected, ...] = ()
    unresolved: str = ""

    def position(self, line: int) -> Position:
        """Return where line `line` (from 1) of the code stands in its file."""
        return self.map.position(line)

    @property
    def source(self) -> str:
        """The Python to analyse or run as a whole: the code, or the examples without their prompts."""
        if self.kind != "doctest" and not self.examples:
            return self.code
        return "".join(e.source for e in self.examples if not e.flags.get("SKIP"))


ProblemKind = Literal[
    "unclosed_fence",
    "escaped_fence",
    "bad_directive",
    "bad_prompt",
    "include_not_found",
    "include_refused",
    "undecodable",
    "unreadable_notebook",
    "unparsable_module",
    "unresolved_macro",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that kept a snippet from being found or read as its author meant it."""

    kind: ProblemKind
    position: Position
    message: str


@dataclass(frozen=True, slots=True)
class Home:
    """The module whose docstrings a page is: its examples see its names, as doctest has it.

    `names` are those that it defines, `imported` those that it imports for itself. `source` is set for a
    file by itself, which is in no package that could be installed: it comes along.
    """

    module: str
    names: frozenset[str]
    imported: frozenset[str] = frozenset()
    source: str = ""

    def files(self, imports: Iterable[str]) -> Mapping[str, bytes]:
        """What these lines of code need beside them, by name."""
        if not self.source or not any(f"from {self.module} " in line for line in imports):
            return {}
        return {f"{self.module}.py": self.source.encode("utf-8", "surrogateescape")}


@dataclass(frozen=True, slots=True)
class Page:
    """What was found in one file, in the order of the file. `home` is set for an importable module."""

    file: str
    snippets: tuple[Snippet, ...] = ()
    problems: tuple[Problem, ...] = ()
    home: Home | None = None
