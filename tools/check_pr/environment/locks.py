"""Lock files: what a project was last resolved to."""

import re
from collections.abc import Mapping
from typing import Any, cast

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ...run_generated_tests.declared import toml

NAMES = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml")


def read_lock(files: Mapping[str, bytes]) -> tuple[str, dict[str, str]]:
    """The name of the lock file, and versions by name; empty where there is none that can be read. What is
    locked to several versions, for several Pythons or systems, is left out.
    """
    for name in NAMES:
        content = toml(files.get(name, b""))
        listed = content.get("package") or content.get("packages")
        if isinstance(listed, list):
            return name, _versions(cast("list[Any]", listed))
    return "", {}


def _versions(packages: list[Any]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for each in packages:
        package = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
        name, version = package.get("name"), package.get("version")
        # They are written into a file that uv reads, so they must be no more than that.
        if _is_name(name) and _is_version(version):
            found.setdefault(canonicalize_name(str(name)), set()).add(str(version))
    return {name: min(versions) for name, versions in found.items() if len(versions) == 1}


def _is_name(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None


def _is_version(text: object) -> bool:
    try:
        return isinstance(text, str) and str(Version(text)) != "" and not re.search(r"\s", text)
    except InvalidVersion:
        return False
