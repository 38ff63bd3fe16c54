"""Tests that head's own conftest files and configuration decide: what they are needed for, and what they hide."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ....server.programs import OpenSandbox
from ...run_generated_tests.project import Project
from ..pull.pull import Change
from .evidence import Suspect
from .ground import Ground, narrowed
from .kinds import BAD, GOOD
from .runs import Told, carry_out
from .table import Ran
from .trees import changed_conftests

_FEW = 5


async def with_own_harness(
    ground: Ground, ran: Ran, at_base: OpenSandbox, at_head: OpenSandbox
) -> list[Suspect]:
    """Run what fails at head again as head wants it to be run, and let it count where base's way cannot be used:

    where a test, or its file, could not even begin; where it is new; where it was changed and base's version of
    it passes at head. What remains is a failure that head's way hides. Changes `ran`.
    """
    trees = ground.trees
    if trees.own_head is None or trees.own_base_with_head is None:
        return []
    ids, files = _to_run(ground, ran)
    if not files:
        return []
    own = Told()
    for some in ground.apart(files if ids is None else ids):
        mine = None if ids is None else some
        own.add(await _run(ground, trees.own_head, mine, map(_file, some), at_head))
    if own.rigged and not ran.base.rigged:
        return [_hiding(ground, own.rigged[0])]
    hidden = _adopt(ground, ran, own)
    changed = tuple(path for path in files if path in ground.selection.changed_head)
    if ran.own and changed:
        mixed = await _run(ground, trees.own_base_with_head, None, changed, at_base)
        ran.own_at_base |= ran.own & mixed.ids
        _put(ran.base_with_head, mixed, ran.own_at_base)
    if not hidden:
        return []
    more = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
    said = (
        f"{hidden[0]}{more}: fails with base's conftest.py and configuration, and not with head's"
    )
    return [_hiding(ground, said)]


async def _run(
    ground: Ground,
    project: Project,
    ids: Sequence[str] | None,
    files: Iterable[str],
    opened: OpenSandbox,
) -> Told:
    wanted = narrowed(project, files)
    plan = replace(ground.plan(wanted), ids=None if ids is None else tuple(ids))
    return await carry_out(wanted, plan, opened)


def _to_run(ground: Ground, ran: Ran) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Tests that fail at head and their files, None for all tests of these; a few others if none does, since
    what hides failures may have nothing to hide.
    """
    head = ran.head
    if not head.items and not head.results:
        return None, ground.selection.head
    broken = {*head.not_collected, *head.ended_in}
    bad = [name for name in head.ids if head.outcome(name) in BAD]
    if broken:
        return None, _sorted({*broken, *map(_file, bad)})
    if bad:
        return tuple(bad), _sorted(map(_file, bad))
    some = tuple(list(head.results)[:_FEW])
    return some, _sorted(map(_file, some))


def _adopt(ground: Ground, ran: Ran, own: Told) -> list[str]:
    """Take over outcomes that count; the tests whose failure would be hidden."""
    head, hidden = ran.head, list[str]()
    old = {ground.at_head(name) for name in ran.base.ids}
    blind = not head.items and not head.results
    counting: list[str] = []
    for name in own.ids:
        mine, theirs = head.outcome(name), own.outcome(name)
        if theirs is None or (mine is not None and mine not in BAD) or theirs in BAD:
            continue
        unchanged = ran.head_with_base.outcome(ground.at_base(name)) not in GOOD
        if blind or mine in {None, "error"} or name not in old or not unchanged:
            counting.append(name)
        elif theirs in GOOD or theirs == "skipped":
            hidden.append(name)
    if blind and own.whole:
        head.rigged.clear()
        head.problems.clear()
        head.whole = True
        head.unknown.clear()
        counting = list(own.ids)
    _put(head, own, counting)
    ran.own |= set(counting)
    return sorted(hidden)


def _put(told: Told, own: Told, names: Iterable[str]) -> None:
    for name in names:
        told.unknown.pop(name, None)
        if name in own.results:
            told.results[name] = own.results[name]
            told.items[name] = own.items[name]


def _hiding(ground: Ground, said: str) -> Suspect:
    changes: Sequence[Change] = changed_conftests(ground.pull)
    change = next((one for one in changes if one.kind != "deleted"), None)
    path = change.path if change else ground.head.manifest.config
    line = next(iter(change.added), 0) if change else 0
    return Suspect("hides_failures", path, line, said, "with base's")


def _file(name: str) -> str:
    return name.partition("::")[0]


def _sorted(files: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(files)))
