"""Functions, classes and values as they are written, and what can be told of them from that."""

import builtins
import re
from collections.abc import Mapping

import griffe

from .annotations import normal
from .calls import Parameters, parameters

# Python calls them, and what worked raises without them; these few have a form for everything.
_SPECIAL = re.compile(r"__(?!(repr|str|hash|doc|module|all|dir|init|new|annotations)__)\w+__")
_KNOWN_BASES = {"object", "ABC", "Generic", "Protocol"}
# Their calls take what is not written in a class, but no member of it is theirs.
_OF_PYTHON = {"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"} | {
    name
    for name, thing in vars(builtins).items()
    if isinstance(thing, type) and issubclass(thing, BaseException)
}


def kind(thing: griffe.Object) -> str:
    """In words; a value is whatever an assignment made."""
    if isinstance(thing, griffe.Attribute):
        return "a property" if "property" in thing.labels else "a value"
    words = {"function": "a function", "class": "a class", "module": "a module"}
    return words.get(thing.kind.value, "a value")


def written(name: str, thing: griffe.Object | None) -> str:
    """Its signature, or what else its definition says to users; `name` is the whole path."""
    own = name.rpartition(".")[2]
    if isinstance(thing, griffe.Function):
        return signature(own, thing)
    if isinstance(thing, griffe.Class):
        bases = f"({', '.join(str(base) for base in thing.bases)})" if thing.bases else ""
        return f"class {own}{bases}"
    if isinstance(thing, griffe.Attribute) and thing.annotation is not None:
        return f"{own}: {thing.annotation}"
    return f"module {name}" if isinstance(thing, griffe.Module) else own


def signature(name: str, function: griffe.Function) -> str:
    """As one would write it, without `self`."""
    start = "async def " if "async" in function.labels else ""
    return start + function.signature(return_type=function.name != "__init__", name=name)


def same(old: griffe.Function, new: griffe.Function) -> bool:
    """Whether both take and return the same, however that is written."""
    return _plain(old) == _plain(new)


def same_overloads(old: griffe.Function, new: griffe.Function) -> bool:
    """The same for what type checkers are told."""
    olds, news = ([_plain(each) for each in one.overloads or ()] for one in (old, new))
    return olds == news


def _plain(function: griffe.Function) -> list[object]:
    given = [
        (one.name, one.kind, one.required, str(one.default), normal(str(one.annotation)))
        for one in parameters(function)
    ]
    returns = normal(str(function.returns)) if function.name != "__init__" else ""
    return [given, returns, "async" in function.labels]


def overloads(name: str, function: griffe.Function) -> list[str]:
    """What type checkers are told that it takes and returns."""
    return [signature(name, one) for one in function.overloads or ()]


def binding(function: griffe.Function) -> str:
    """Whether it needs an instance (`method`), a class or nothing."""
    return next(
        (one for one in ("staticmethod", "classmethod") if one in function.labels), "method"
    )


def is_settable(attribute: griffe.Attribute) -> bool:
    """Whether assigning to it works."""
    return "property" not in attribute.labels or bool({"writable", "cached"} & attribute.labels)


def bases(cls: griffe.Class) -> list[str]:
    """The last parts of the names of its bases, and of their bases as far as those are in the tree."""
    names = (_last(base) for one in _line(cls) for base in one.bases)
    return list(dict.fromkeys(names))


def has_all_members(cls: griffe.Class) -> bool:
    """Whether all of its members that users know it for are in the tree."""
    return _is_complete(cls, _KNOWN_BASES | _OF_PYTHON)


def is_complete(cls: griffe.Class) -> bool:
    """Whether all of its members are in the tree, and nothing makes more of them."""
    return _is_complete(cls, _KNOWN_BASES)


def _is_complete(cls: griffe.Class, bases_known: set[str]) -> bool:
    line = _line(cls)
    known = {one.name for one in line} | bases_known
    return set(bases(cls)) <= known and not any(
        "metaclass" in one.keywords or "__getattr__" in one.members for one in line
    )


def _line(cls: griffe.Class) -> list[griffe.Class]:
    """The class and all that it inherits from in the tree."""
    try:
        return [cls, *cls.mro()]
    except (ValueError, RecursionError):  # they contradict each other
        return [cls]


def _last(base: object) -> str:
    return str(base).partition("[")[0].rpartition(".")[2]


def members(cls: griffe.Class) -> Mapping[str, griffe.Object]:
    """What users of a class can name, its own and inherited."""
    try:
        every = cls.all_members
    except ValueError:
        every = cls.members
    found: dict[str, griffe.Object] = {}
    for name, member in every.items():
        thing = member.final_target if isinstance(member, griffe.Alias) else member
        if _is_for_users(name):
            found[name] = thing
    return found


def _is_for_users(name: str) -> bool:
    return not name.startswith("_") or _SPECIAL.fullmatch(name) is not None


def maker(cls: griffe.Class) -> griffe.Function | None:
    """The function that calls of the class call, where there is one in the tree."""
    for name in ("__init__", "__new__"):
        try:
            found = cls.all_members.get(name)
        except ValueError:
            found = cls.members.get(name)
        thing = found.final_target if isinstance(found, griffe.Alias) else found
        if isinstance(thing, griffe.Function):
            return thing
    return None


def made_with(cls: griffe.Class) -> Parameters | None:
    """The parameters of calls of the class; None where that cannot be told."""
    found = maker(cls)
    if found is not None:
        return parameters(found)
    return () if is_complete(cls) and not cls.decorators else None
