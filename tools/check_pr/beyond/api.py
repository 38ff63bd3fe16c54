"""What a pull request does to the names that others import: removed, added, changed, and the calls that break."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import griffe

from ..._text import clean
from ..pull.pull import Pull
from . import things
from .annotations import normal
from .beyond import ApiChange
from .calls import broken, parameters
from .modules import Source, both_sides
from .surface import Named, Surface

logger = logging.getLogger(__name__)

_LONGEST = 300


def api_changes(pull: Pull) -> tuple[ApiChange, ...]:
    """Public names that head has not, has anew or has with another signature. Runs nothing.

    Path and line of a removed name are those at base. Modules that this Python cannot parse are left out.
    """
    before, after = both_sides(pull)
    return compared(before, after)


def compared(before: Mapping[str, Source], after: Mapping[str, Source]) -> tuple[ApiChange, ...]:
    """The same for modules, by the names that they are imported by; what breaks calls comes first."""
    order = {"removed": 0, "changed": 1, "added": 2}
    with griffe.logger.disable():  # what it says of hostile text is nothing for our log
        found = list(_Comparison(Surface(before), Surface(after)).changes())
    return tuple(sorted(found, key=lambda one: (not one.breaks, order[one.kind], one.name)))


class _Comparison:
    """Walks public names, the shortest first: what has several is told of once."""

    def __init__(self, before: Surface, after: Surface) -> None:
        self._before = before
        self._after = after
        self._told: set[tuple[str, ...]] = set()
        self._around: list[str] = []

    def changes(self) -> Iterator[ApiChange]:
        old, new = self._before.public(), self._after.public()
        for path in sorted(old, key=lambda path: _order(old[path])):
            now = new.get(path) or self._after.find(path)
            if now is not None:
                yield from _as_far(self._kept(old[path], now))
            elif self._is_news("removed", old[path]):
                yield _removed(old[path])
        self._around.clear()
        for path in sorted(new.keys() - old.keys(), key=lambda path: _order(new[path])):
            if self._before.find(path) is None and self._is_news("added", new[path]):
                yield _change(new[path], "added", after=_text(new[path]))

    def _is_news(self, what: str, *named: Named) -> bool:
        """Whether it has not been told yet, under this name or another, or with what it is in."""
        key = (what, *(one.thing.path if one.thing is not None else one.name for one in named))
        name = named[0].name
        inside = any(name.startswith(f"{one}.") for one in self._around)
        if inside or key in self._told:
            return False
        self._told.add(key)
        if what != "kept":
            self._around.append(name)
        return True

    def _kept(self, was: Named, now: Named) -> Iterator[ApiChange]:
        old, new = was.thing, now.thing
        if old is None or new is None or not self._is_news("kept", was, now):
            return
        if isinstance(old, griffe.Class) and isinstance(new, griffe.Class):
            yield from _bases(was, old, now, new)
            yield from self._calls_of_class(was, old, now, new)
            yield from self._members(was, old, new)
        elif isinstance(old, griffe.Function) and isinstance(new, griffe.Function):
            yield from self._function(was, old, now, new)
        elif isinstance(old, griffe.Attribute) and isinstance(new, griffe.Attribute):
            yield from _value(was, old, now, new)
        elif things.kind(old) != things.kind(new):
            yield _another_kind(was, old, now, new)

    def _function(
        self, was: Named, old: griffe.Function, now: Named, new: griffe.Function
    ) -> Iterator[ApiChange]:
        name = was.name.rpartition(".")[2]
        pairs = self._pairs(old, new)
        before = [things.signature(name, one) for one, _ in pairs]
        after = [things.signature(name, one) for _, one in pairs]
        bound = things.binding(old), things.binding(new)
        if all(things.same(*pair) for pair in pairs):
            if things.same_overloads(old, new) and bound[0] == bound[1]:
                return
            before, after = things.overloads(name, old), things.overloads(name, new)
        clauses = [text for a, b in pairs for text in broken(parameters(a), parameters(b))]
        clauses += _awaiting(old, new)
        if bound[0] != "method" and bound[1] == "method" and old.parent and old.parent.is_class:
            clauses.append("calls on the class fail, since it needs an instance")
        yield _change(
            now, "changed", "\n".join(before), "\n".join(after), _sentence(was.name, clauses)
        )

    def _pairs(
        self, old: griffe.Function, new: griffe.Function
    ) -> Sequence[tuple[griffe.Function, griffe.Function]]:
        """Definitions of which conditions choose one, each with the one in its place."""
        olds, news = self._before.variants(old), self._after.variants(new)
        return list(zip(olds, news, strict=True)) if len(olds) == len(news) else [(old, new)]

    def _calls_of_class(
        self, was: Named, old: griffe.Class, now: Named, new: griffe.Class
    ) -> Iterator[ApiChange]:
        makers = things.maker(old), things.maker(new)
        if makers[0] is not None and makers[1] is not None:
            yield from self._function(was, makers[0], now, makers[1])
            return
        before, after = things.made_with(old), things.made_with(new)
        if before is None or after is None or list(before) == list(after):
            return
        name = was.name.rpartition(".")[2]
        texts = [things.signature(name, one) if one else f"{name}()" for one in makers]
        breaks = _sentence(was.name, broken(before, after))
        yield _change(now, "changed", texts[0], texts[1], breaks)

    def _members(self, was: Named, old: griffe.Class, new: griffe.Class) -> Iterator[ApiChange]:
        before, after = things.members(old), things.members(new)
        for name, member in before.items():
            here = self._before.named(f"{was.name}.{name}", member)
            if name in after:
                yield from self._kept(here, self._after.named(here.name, after[name]))
            elif things.has_all_members(new) and self._is_news("removed", here):
                yield _removed(here)
            elif name in old.members and self._is_news("removed", here):
                maybe = "inherited, if a base outside of the project has it"
                yield _change(here, "removed", _text(here), maybe)
        for name, member in after.items():
            there = self._after.named(f"{was.name}.{name}", member)
            if name not in before and self._is_news("added", there):
                yield _change(there, "added", after=_text(there))


def _as_far(changes: Iterator[ApiChange]) -> Iterator[ApiChange]:
    """Those up to what nobody can make sense of."""
    try:
        yield from changes
    except Exception:
        logger.info("A public name could not be compared", exc_info=True)


def _removed(was: Named) -> ApiChange:
    if isinstance(was.thing, griffe.Module):
        breaks = f"Importing {was.name} fails, since there is no such module any more."
    else:
        breaks = f"Whatever uses {was.name} fails, since there is no such name any more."
    return _change(was, "removed", _text(was), breaks=breaks)


def _bases(was: Named, old: griffe.Class, now: Named, new: griffe.Class) -> Iterator[ApiChange]:
    lost = [name for name in things.bases(old) if name not in things.bases(new)]
    lost = [name for name in lost if name not in {"object", "Generic", "Protocol"}]
    if lost:
        names = " or ".join(lost)
        clauses = [f"isinstance and except no longer take it for {names}"]
        yield _change(now, "changed", _text(was), _text(now), _sentence(was.name, clauses))


def _value(
    was: Named, old: griffe.Attribute, now: Named, new: griffe.Attribute
) -> Iterator[ApiChange]:
    if things.is_settable(old) and not things.is_settable(new):
        breaks = _sentence(was.name, ["assigning to it fails"])
        yield _change(now, "changed", _text(was), _text(now), breaks)
    elif old.annotation and new.annotation and not _says_the_same(old, new):
        yield _change(now, "changed", _text(was), _text(now))


def _says_the_same(old: griffe.Attribute, new: griffe.Attribute) -> bool:
    return normal(str(old.annotation)) == normal(str(new.annotation))


def _another_kind(was: Named, old: griffe.Object, now: Named, new: griffe.Object) -> ApiChange:
    kinds = things.kind(old), things.kind(new)
    clauses: list[str] = []
    if kinds[1] == "a property" and kinds[0] == "a function":
        clauses = ["calling it fails, since it is a property now"]
    elif kinds[1] == "a function" and kinds[0] in {"a property", "a value"}:
        clauses = ["reading it gives a function, which must be called now"]
    elif kinds == ("a class", "a function"):
        clauses = ["isinstance and subclassing fail, since it is a function now"]
    elif "a module" in kinds:
        clauses = [f"it is {kinds[1]} now and was {kinds[0]}"]
    before, after = (f"{kind}: {_text(one)}" for kind, one in zip(kinds, (was, now), strict=True))
    return _change(now, "changed", before, after, _sentence(was.name, clauses))


def _awaiting(old: griffe.Function, new: griffe.Function) -> Iterator[str]:
    if "async" in new.labels and "async" not in old.labels:
        yield "callers get a coroutine that they must await"
    if "async" in old.labels and "async" not in new.labels:
        yield "awaiting its result fails, since it gives no coroutine any more"


def _change(
    at: Named,
    kind: Literal["removed", "added", "changed"],
    before: str = "",
    after: str = "",
    breaks: str = "",
) -> ApiChange:
    name, before, after, breaks = (_shown(text) for text in (at.name, before, after, breaks))
    return ApiChange(name, kind, before, after, breaks, at.path, at.line)


def _shown(text: str) -> str:
    plain = clean(text)
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 3]}..."


def _text(named: Named) -> str:
    return things.written(named.name, named.thing)


def _sentence(name: str, clauses: Sequence[str]) -> str:
    return f"Of {name}, {'; '.join(dict.fromkeys(clauses))}." if clauses else ""


def _order(named: Named) -> tuple[int, int, str]:
    """The shortest name first, and a class before those that inherit from it."""
    bases = len(things.bases(named.thing)) if isinstance(named.thing, griffe.Class) else 0
    return named.name.count("."), bases, named.name
