"""Which calls of a function stop working when its signature changes."""

from collections.abc import Iterator, Sequence

import griffe

_Kind = griffe.ParameterKind
_BY_POSITION = {_Kind.positional_only, _Kind.positional_or_keyword}
_BY_NAME = {_Kind.keyword_only, _Kind.positional_or_keyword}

Parameters = Sequence[griffe.Parameter]


def parameters(function: griffe.Function) -> Parameters:
    """Those that a caller gives: without `self` and `cls`."""
    given = list(function.parameters)
    in_class = function.parent is not None and function.parent.is_class
    bound = in_class and "staticmethod" not in function.labels
    if bound and given and given[0].kind in _BY_POSITION:
        return given[1:]
    return given


def broken(before: Parameters, after: Parameters) -> list[str]:
    """What callers did that fails now, or gives an argument to another parameter; a clause each."""
    found = [*_by_position(before, after), *_by_name(before, after), *_required(before, after)]
    return list(dict.fromkeys(found))


def _by_position(before: Parameters, after: Parameters) -> Iterator[str]:
    old, new = _positional(before), _positional(after)
    rest = _has(after, _Kind.var_positional)
    names = {one.name: one for one in after}
    for index, one in enumerate(old):
        if index >= len(new):
            now = names.get(one.name)
            if rest and now:
                yield f"{_ordinal(index)} argument by position does not go to `{one.name}` any more"
            if rest:
                return
            how = f"`{one.name}` can be given by name only" if now else f"`{one.name}` is gone"
            yield f"calls with {_count(index + 1)} by position fail, since {how}"
            return
        if new[index].name != one.name and _is_another(one, new[index], names, before):
            yield (
                f"{_ordinal(index)} argument by position goes to `{new[index].name}` "
                f"where it went to `{one.name}`"
            )
            return
    if _has(before, _Kind.var_positional) and not rest:
        yield f"calls with more than {_count(len(new))} by position fail"


def _is_another(
    old: griffe.Parameter,
    new: griffe.Parameter,
    names: dict[str, griffe.Parameter],
    before: Parameters,
) -> bool:
    """Whether it is another parameter, and not the same one by another name."""
    return old.name in names or any(one.name == new.name for one in before)


def _by_name(before: Parameters, after: Parameters) -> Iterator[str]:
    names = {one.name for one in after if one.kind in _BY_NAME}
    positional = {one.name for one in after if one.kind is _Kind.positional_only}
    if _has(after, _Kind.var_keyword):
        return
    old, new = _positional(before), _positional(after)
    for one in before:
        if one.kind not in _BY_NAME or one.name in names:
            continue
        if one.name in positional:
            yield f"`{one.name}=` fails, since it can be given by position only"
            continue
        index = old.index(one) if one in old else len(new)
        renamed = index < len(new) and new[index].name not in {each.name for each in before}
        why = f"it is called `{new[index].name}` now" if renamed else "it is gone"
        yield f"`{one.name}=` fails, since {why}"
    if _has(before, _Kind.var_keyword):
        yield "calls with names that it does not list fail"


def _required(before: Parameters, after: Parameters) -> Iterator[str]:
    names = {one.name: one for one in before}
    old, new = _positional(before), _positional(after)
    for one in after:
        if not one.required or one.kind in {_Kind.var_positional, _Kind.var_keyword}:
            continue
        known = names.get(one.name)
        if known is None and one in new and new.index(one) < len(old):
            same = old[new.index(one)]
            known = same if same.name not in {each.name for each in after} else None
        if known is None:
            yield f"calls fail that do not give `{one.name}`, which is new and has no default"
        elif not known.required:
            yield f"calls fail that leave out `{one.name}`, which has no default any more"


def _positional(given: Parameters) -> list[griffe.Parameter]:
    return [one for one in given if one.kind in _BY_POSITION]


def _has(given: Parameters, kind: griffe.ParameterKind) -> bool:
    return any(one.kind is kind for one in given)


def _count(number: int) -> str:
    return f"{number} argument{'s' if number != 1 else ''}"


def _ordinal(index: int) -> str:
    words = ("the first", "the second", "the third")
    return words[index] if index < len(words) else f"the {index + 1}th"
