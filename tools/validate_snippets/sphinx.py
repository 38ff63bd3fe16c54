"""What a project's own configuration says about its examples: Sphinx's conf.py, pytest's options."""

import ast
import configparser
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from .includes import real_path


@dataclass(frozen=True, slots=True)
class ProjectSetup:
    """Code to run before and after every group of a project's documentation, and doctest's flags."""

    setup: str = ""
    cleanup: str = ""
    flags: Mapping[str, bool] = field(default_factory=dict[str, bool])


_FLAG = re.compile(r"doctest\.([A-Z_]+)|\b([A-Z][A-Z_]{3,})\b")


def from_conf(text: str) -> ProjectSetup:
    """Read Sphinx's conf.py without running it: only settings that are plain strings and flags count."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ProjectSetup()
    values: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id] = node.value
    flags = values.get("doctest_default_flags")
    return ProjectSetup(
        _string(values.get("doctest_global_setup")),
        _string(values.get("doctest_global_cleanup")),
        _flags(ast.unparse(flags)) if flags is not None else {},
    )


def _string(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.strip("\n") + "\n"
    return ""


def _flags(text: str) -> dict[str, bool]:
    return {first or second: True for first, second in _FLAG.findall(text)}


def from_pyproject(text: str) -> ProjectSetup:
    """Read `doctest_optionflags` of pytest from a pyproject.toml."""
    try:
        data: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return ProjectSetup()
    pytest: Any = data.get("tool", {}).get("pytest", {})
    options: Any = pytest.get("ini_options", pytest).get("doctest_optionflags", "")
    listed = cast("list[str]", options) if isinstance(options, list) else [str(options)]
    return ProjectSetup(flags=_flags(" ".join(listed)))


def from_ini(text: str) -> ProjectSetup:
    """Read `doctest_optionflags` of pytest from a pytest.ini, tox.ini or setup.cfg."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return ProjectSetup()
    for section in ("pytest", "tool:pytest"):
        if parser.has_option(section, "doctest_optionflags"):
            return ProjectSetup(flags=_flags(parser.get(section, "doctest_optionflags")))
    return ProjectSetup()


_MOST_BYTES = 1024**2
_READERS: dict[str, Callable[[str], ProjectSetup]] = {
    "conf.py": from_conf,
    "pytest.ini": from_ini,
    "pyproject.toml": from_pyproject,
    "tox.ini": from_ini,
    "setup.cfg": from_ini,
}


def of_folder(folder: Path, roots: Sequence[Path]) -> ProjectSetup:
    """Return what the nearest configurations above a page say, looking upwards as far as `roots` reach.

    The setup is that of Sphinx, the flags are Sphinx's, or else pytest's.
    """
    found = ProjectSetup()
    allowed = [root.resolve() for root in roots]
    for place in (folder, *folder.parents):
        if not any(place.is_relative_to(root) for root in allowed):
            break
        for name, read in _READERS.items():
            one = read(_text(place / name, allowed))
            if name == "conf.py" and not found.setup:
                found = ProjectSetup(one.setup, one.cleanup, found.flags or one.flags)
            elif not found.flags:
                found = ProjectSetup(found.setup, found.cleanup, one.flags)
    return found


def _text(file: Path, allowed: Sequence[Path]) -> str:
    real = real_path(file)
    try:
        inside = any(real.is_relative_to(root) for root in allowed)
        if inside and real.is_file() and real.stat().st_size <= _MOST_BYTES:
            return real.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return ""
