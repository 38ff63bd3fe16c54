"""Requirement specifiers: what may be asked for, in one canonical spelling."""

from collections.abc import Iterable

from ..errors import InvalidInput

ALWAYS = "ipython"
"""The kernel is IPython's shell, so every environment has it."""

_MOST = 200
_MOST_BARE = 2000  # what a resolver has pinned for a whole project
_LONGEST = 500


def canonical(packages: Iterable[str], *, bare: bool = False) -> tuple[str, ...]:
    """The requirements in canonical spelling, sorted, each once, with `ipython` among them unless `bare`.

    Raises:
        InvalidInput: one is no name with versions, extras or markers. Addresses, paths and options
            are refused: what they install is not a wheel from an index.
    """
    given = list(packages)
    most = _MOST_BARE if bare else _MOST
    if len(given) > most:
        raise InvalidInput(f"{len(given)} packages were asked for; at most {most} can be.")
    return tuple(sorted({*([] if bare else [ALWAYS]), *map(_canonical, given)}))


def _canonical(text: str) -> str:
    # Not at the top: it takes 20 ms or more, and an environment that exists needs none of it.
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    shown = text if len(text) <= 80 else text[:77] + "..."
    try:
        requirement = Requirement(text if len(text) <= _LONGEST else "")
    except InvalidRequirement as error:
        raise InvalidInput(
            f"{shown!r} is not a package requirement. Give names with optional versions and "
            'extras, like "numpy", "pandas>=2,<3" or "uvicorn[standard]"; options, paths and '
            "addresses are not taken."
        ) from error
    if requirement.url is not None:
        raise InvalidInput(
            f"{shown!r} asks for a package from an address or a path. Only wheels from the package "
            "index are installed: give the name and a version."
        )
    requirement.name = canonicalize_name(requirement.name)
    return str(requirement)
