"""What to run before a snippet: the ladder from nothing over the author's setup to the whole page.

A snippet is tried on the lowest rung that can hold it. Which rung was needed is part of its verdict, so
an attempt says what it adds and why.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Literal

from .aliases import imports_for
from .choices import Mode
from .names import analyse
from .snippet import Home, Snippet

Rung = Literal["alone", "author", "earlier", "touching", "page"]
RUNGS: tuple[Rung, ...] = ("alone", "author", "earlier", "touching", "page")
"""From the least setup to the most.

alone: nothing. author: what marks, groups and hidden blocks ask for. earlier: the fewest earlier
snippets that define the missing names. touching: and those that change the same objects. page: all that
stands before it. Conventional imports fill what no snippet defines.
"""

_NAME_ERROR = re.compile(r"name '(?P<name>\w+)' is not defined|free variable '(?P<free>\w+)'")
_WORD = re.compile(r"[^\W\d]\w*")
_STATEFUL = frozenset({"FileNotFoundError", "ModuleNotFoundError", "KeyError", "LookupError"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to run a snippet.

    `before` are the indexes of the snippets to run first, in order; `imports` are lines to run before
    them all; `supplied` are the missing names that this attempt provides, `missing` those it does not.
    `given` is what the project's own configuration runs before every example.
    """

    rung: Rung
    before: tuple[int, ...] = ()
    imports: tuple[str, ...] = ()
    supplied: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    given: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt ended: the exception's name and message, both empty for output that differs."""

    name: str = ""
    message: str = ""

    @property
    def missing(self) -> str:
        """The name that was not defined, "" if the failure is another."""
        match = _NAME_ERROR.search(self.message) if "Name" in self.name else None
        return (match["name"] or match["free"] or "") if match else ""


def plan(
    page: Sequence[Snippet],
    index: int,
    *,
    mode: Mode = "auto",
    modules: Collection[str] = (),
    home: Home | None = None,
    failures: Sequence[Failure] = (),
    broken: Collection[int] = (),
    given: str = "",
) -> tuple[Attempt, ...]:
    """Return the attempts for the snippet at `index`, least setup first, no two alike.

    Attempts that cannot succeed are left out: those that leave a name undefined which a higher rung
    supplies. `modules` may be imported under their own name; `home` is the page's module, whose names its
    examples see on every rung. `failures` are those of the attempts so far; the names that they miss count as needed, and an
    unforeseen failure opens the higher rungs. `broken` snippets are run first only if no others will do; `given` runs
    before all.
    """
    snippet = page[index]
    dynamic = {failure.missing for failure in failures} - {""}
    sources = _Sources(page, snippet, dynamic, modules, home, given)
    author = _author(page, snippet)
    first = sources.attempt("author" if author else "alone", author)
    if mode == "page":
        sound = [earlier for earlier in _usable(page, snippet) if earlier not in broken]
        return (sources.attempt("page", sound),)
    if mode == "isolated":
        return (first,)
    definers = _definers(page, snippet, author, dynamic)
    sound = _definers(page, snippet, author, dynamic, broken) if broken else definers
    attempts = [
        first,
        sources.attempt("earlier", sound),
        sources.attempt("earlier", definers),
        sources.attempt("touching", _touching(page, snippet, definers)),
    ]
    if _may_depend(page, snippet, failures):
        everything = {*author, *_usable(page, snippet)}
        rest = sorted(everything - (set(broken) - set(author)))
        attempts.append(sources.attempt("page", rest))
        attempts.append(sources.attempt("page", sorted(everything)))
    return _worthwhile(attempts)


def next_attempt(
    page: Sequence[Snippet],
    index: int,
    tried: Sequence[Attempt],
    failures: Sequence[Failure],
    *,
    mode: Mode = "auto",
    modules: Collection[str] = (),
    home: Home | None = None,
    broken: Collection[int] = (),
    given: str = "",
) -> Attempt | None:
    """Return what to try after these attempts failed in these ways, None when nothing is left."""
    if not tried and mode == "auto":
        # Most snippets need no more than that, and to look for more takes the time of the whole page.
        first = _first(page, index, modules=modules, home=home, given=given)
        if not first.missing:
            return first
    done = {(attempt.before, attempt.imports) for attempt in tried}
    attempts = plan(
        page, index, mode=mode, modules=modules, home=home, failures=failures, broken=broken,
        given=given,
    )  # fmt: skip
    lowest = RUNGS.index(tried[-1].rung) if tried else 0
    for attempt in attempts:
        new = (attempt.before, attempt.imports) not in done
        if new and RUNGS.index(attempt.rung) >= lowest:
            return attempt
    return None


def _first(
    page: Sequence[Snippet],
    index: int,
    *,
    modules: Collection[str],
    home: Home | None,
    given: str,
) -> Attempt:
    author = _author(page, page[index])
    sources = _Sources(page, page[index], set(), modules, home, given)
    return sources.attempt("author" if author else "alone", author)


def _worthwhile(attempts: Sequence[Attempt]) -> tuple[Attempt, ...]:
    fewest = min(len(attempt.missing) for attempt in attempts)
    kept: dict[tuple[tuple[int, ...], tuple[str, ...]], Attempt] = {}
    for attempt in attempts:
        if len(attempt.missing) == fewest:
            kept.setdefault((attempt.before, attempt.imports), attempt)
    return tuple(kept.values())


@dataclass(frozen=True, slots=True)
class _Sources:
    """Everything that can supply a snippet's names."""

    page: Sequence[Snippet]
    snippet: Snippet
    dynamic: set[str]
    modules: Collection[str]
    home: Home | None
    given: str = ""

    def attempt(self, rung: Rung, before: Sequence[int]) -> Attempt:
        """Return an attempt, with imports for what its snippets leave undefined."""
        defined = set(analyse(self.given).defines)
        open_names: set[str] = set()
        starred = False
        for index in before:
            names = analyse(self.page[index].source)
            open_names |= names.needs - defined
            defined |= names.defines
            starred = starred or bool(names.stars)
        own = analyse(self.snippet.source)
        wanted = own.needs | self.dynamic
        open_names |= wanted - defined
        imports = self._imports(open_names, rung, before)
        missing = wanted - defined - set(imports)
        if starred or own.stars:
            # A star import may supply anything that no failure has named yet.
            missing &= self.dynamic
        return Attempt(
            rung,
            tuple(before),
            tuple(dict.fromkeys(imports.values())),
            tuple(sorted(wanted & (defined | set(imports)))),
            tuple(sorted(missing)),
            self.given,
        )

    def _imports(self, names: Collection[str], rung: Rung, before: Sequence[int]) -> dict[str, str]:
        own = self._from_home(names, imported=False)
        if rung in {"alone", "author"}:
            return own
        text = "".join(self.page[index].source for index in (*before, self.snippet.index))
        conventional = imports_for(set(names) - set(own), text, self.modules)
        rest = set(names) - set(own) - set(conventional)
        return own | conventional | self._from_home(rest, imported=True)

    def _from_home(self, names: Collection[str], *, imported: bool) -> dict[str, str]:
        if self.home is None:
            return {}
        # A module's own imports come last: `pl` is another thing inside polars than for its users.
        known = self.home.imported if imported else self.home.names
        return {
            name: f"from {self.home.module} import {name}"
            for name in sorted(names)
            if name in known
        }


class _Layout:
    """What holds for a whole page, so that it need not be found out for each of its snippets.

    `namespaces` are by index, `usable` can be run before others, and `marked` of these are asked for by marks.
    """

    def __init__(self, page: Sequence[Snippet]) -> None:
        self.namespaces: list[range] = []
        for _, run in groupby(page, lambda snippet: snippet.document):
            start = len(self.namespaces)
            stop = start + sum(1 for _ in run)
            self.namespaces += [range(start, stop)] * (stop - start)
        self.usable = [index for index, snippet in enumerate(page) if can_run(snippet)]
        self.marked = [i for i in self.usable if page[i].marks.setup or page[i].marks.groups]


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    page: Sequence[Snippet]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and self.page is other.page

    def __hash__(self) -> int:
        return id(self.page)


@lru_cache(maxsize=4)  # they are planned one page after another
def _laid_out(known: _Known) -> _Layout:
    return _Layout(known.page)


def _layout(page: Sequence[Snippet]) -> _Layout:
    return _laid_out(_Known(page))


def _between(indexes: Sequence[int], start: int, stop: int) -> Sequence[int]:
    """The indexes, which are in order, from `start` to before `stop`."""
    return indexes[bisect_left(indexes, start) : bisect_left(indexes, stop)]


def namespace(page: Sequence[Snippet], snippet: Snippet) -> range:
    """Return the indexes of the snippet's namespace, which lie together."""
    return _layout(page).namespaces[snippet.index]


def _usable(page: Sequence[Snippet], snippet: Snippet) -> Sequence[int]:
    """Return the earlier snippets of the same namespace that can be run first."""
    return _between(_layout(page).usable, namespace(page, snippet).start, snippet.index)


def can_run(snippet: Snippet) -> bool:
    """Whether a snippet may run before another."""
    runnable = snippet.language in {"python", "pycon"} and snippet.kind not in {"cleanup", "output"}
    said = snippet.marks
    if not runnable or said.skip is not None or said.raises or snippet.unresolved:
        return False
    return analyse(snippet.source).parses


def _author(page: Sequence[Snippet], snippet: Snippet) -> list[int]:
    """Return what the author asks to run first: setup blocks, the group so far, what it continues."""
    groups = set(snippet.marks.groups)
    # Sphinx puts examples in running text into its group `default`, and no other group's setup is for them.
    is_default = snippet.kind == "doctest" and not snippet.info
    layout, own = _layout(page), namespace(page, snippet)
    wanted: set[int] = set()
    for index in _between(layout.usable if "*" in groups else layout.marked, own.start, own.stop):
        theirs = set(page[index].marks.groups)
        shared = bool(groups & theirs) or "*" in theirs or "*" in groups
        earlier = index < snippet.index
        if index == snippet.index:
            continue
        if page[index].marks.setup:
            # Sphinx runs a group's setup first, wherever it stands; other setup counts from its place.
            for_all = not groups and (not is_default or bool(theirs & {"default", "*"}))
            if (shared or for_all) if theirs else earlier:
                wanted.add(index)
        elif groups and shared and earlier:
            wanted.add(index)
    if snippet.marks.continues:
        wanted |= set(_continued(page, snippet))
    return sorted(wanted, key=lambda index: (page[index].kind != "setup", index))


def _continued(page: Sequence[Snippet], snippet: Snippet) -> list[int]:
    chain: list[int] = []
    for index in reversed(_usable(page, snippet)):
        if page[index].kind != "setup":
            chain.append(index)
            if not page[index].marks.continues:
                break
    return chain


def _definers(
    page: Sequence[Snippet],
    snippet: Snippet,
    author: Sequence[int],
    dynamic: set[str],
    avoided: Collection[int] = (),
) -> list[int]:
    """Return the fewest earlier snippets that define what is missing: the nearest one for each name."""
    wanted = analyse(snippet.source).needs | dynamic
    shadowed = analyse(snippet.source).builtins
    chosen = set(author)
    for index in author:
        wanted -= analyse(page[index].source).defines
    for index in reversed(_usable(page, snippet)):
        names = analyse(page[index].source)
        if index in avoided and index not in chosen:
            continue
        if index in chosen or names.defines & (wanted | shadowed):
            wanted = (wanted - names.defines) | (
                names.needs if index not in chosen else frozenset[str]()
            )
            shadowed -= names.defines
            chosen.add(index)
    return _ordered(chosen, author)


def _touching(page: Sequence[Snippet], snippet: Snippet, definers: Sequence[int]) -> list[int]:
    """Add the snippets that change an object which the chosen ones define, and what those need."""
    chosen = set(definers)
    if not chosen:
        return []
    shared = analyse(snippet.source).needs.union(
        *(analyse(page[index].source).needs for index in chosen)
    )
    wanted: frozenset[str] = frozenset()
    for index in reversed(_usable(page, snippet)):
        names = analyse(page[index].source)
        if index in chosen or names.touches & shared or names.defines & wanted:
            wanted = (wanted - names.defines) | (
                names.needs if index not in chosen else frozenset[str]()
            )
            chosen.add(index)
    return _ordered(chosen, definers)


def _ordered(chosen: Collection[int], author: Sequence[int]) -> list[int]:
    # The author's order stands: Sphinx's setup may come from further down the page.
    late = [index for index in author if any(index > other for other in chosen)]
    if late and list(author) != sorted(author):
        return [*author, *sorted(set(chosen) - set(author))]
    return sorted(chosen)


def _may_depend(page: Sequence[Snippet], snippet: Snippet, failures: Sequence[Failure]) -> bool:
    """Whether more of the page can change how the snippet ends.

    It can if they share a name, or if files or registries are missing that an earlier one made.
    """
    if any(failure.name in _STATEFUL for failure in failures):
        return True
    # Words, not only names: SQL in a string can mean a variable of the page, and shown output can name it.
    shown = " ".join(expected.text for expected in snippet.expected)
    words = {failure.missing for failure in failures} | set(
        _WORD.findall(f"{snippet.code} {shown}")
    )
    if not failures:
        words &= analyse(snippet.source).needs
    earlier = (analyse(page[index].source) for index in _usable(page, snippet))
    return any(names.stars or names.defines & words for names in earlier)
