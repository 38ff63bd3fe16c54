"""Poetry's way to write requirements, as everybody else's."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

_ELSEWHERE = ("path", "git", "url", "file")


def requirements(table: Mapping[str, Any], elsewhere: list[str]) -> list[str]:
    """The requirements of a table of dependencies, without Python and what is optional. Names that come from a
    path or an address are added to `elsewhere`.
    """
    found: list[str] = []
    for name, value in table.items():
        if name.lower() == "python":
            continue
        several = cast("list[Any]", value) if isinstance(value, list) else [value]
        for one in several:
            if isinstance(one, str):
                found.append(f"{name}{constraint(one)}")
            elif isinstance(one, dict):
                found += _told(name, cast("dict[str, Any]", one), elsewhere)
    return found


def _told(name: str, told: Mapping[str, Any], elsewhere: list[str]) -> Iterator[str]:
    if any(key in told for key in _ELSEWHERE):
        elsewhere.append(name)
        return
    if told.get("optional") is True:
        return
    extras = told.get("extras")
    shown = f"[{','.join(map(str, cast('list[Any]', extras)))}]" if isinstance(extras, list) else ""
    markers = [str(told["markers"])] if "markers" in told else []
    if "python" in told:
        markers += _python_markers(str(told["python"]))
    conditions = " and ".join(f"({marker})" for marker in markers)
    version = constraint(str(told.get("version", "*")))
    yield f"{name}{shown}{version}" + (f" ; {conditions}" if conditions else "")


def _python_markers(text: str) -> list[str]:
    parts = re.findall(r"(<=|>=|==|!=|<|>)([\d.]+)", constraint(text))
    return [f"python_full_version {operator} '{version}'" for operator, version in parts]


def constraint(text: str) -> str:
    """A constraint like `^1.2` as specifiers; of alternatives (`||`) the last, which is the newest."""
    text = text.split("||")[-1].strip()
    if text in ("", "*"):
        return ""
    return ",".join(
        filter(None, (_one(part) for part in re.split(r"\s*,\s*|\s+(?=[<>=!~^])", text)))
    )


def _one(part: str) -> str:
    match = re.fullmatch(r"(\^|~(?!=)|~=|[<>=!]=?=?)?\s*v?(.+)", part.strip())
    if match is None:
        return ""
    operator, version = match.group(1) or "", match.group(2).strip()
    if operator == "^":
        return f">={version},<{_next(version, caret=True)}"
    if operator == "~":
        return f">={version},<{_next(version, caret=False)}"
    if operator in ("", "=", "=="):
        return "" if version == "*" else f"=={version}"
    return f"{operator}{version}"


def _next(version: str, *, caret: bool) -> str:
    numbers = [int(number) for number in re.findall(r"\d+", version.split("-")[0])][:3] or [0]
    if caret:
        position = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
    else:
        position = min(1, len(numbers) - 1)
    return ".".join(map(str, [*numbers[:position], numbers[position] + 1]))
