"""What a project's own configuration says about its examples: Sphinx's conf.py, pytest's options."""

import ast
import configparser
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast


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
