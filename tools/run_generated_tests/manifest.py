"""What a project says of itself: what it needs, and how pytest is to be started."""

import configparser
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

PATTERNS = ("test_*.py", "*_test.py")
_EXTRAS = ("test", "tests", "testing")
_LESS_LIKELY = ("dev", "develop")
_TOOLS_ONLY = re.compile(
    r"(?i)^(mypy|pyright|ruff|black|flake8|isort|pylint|sphinx|mkdocs|furo|myst|pre-commit|tox|nox|twine|"
    r"build|bump|commitizen|ipdb|jupyter|coveralls|codecov|pytest-(cov|xdist|randomly|rerunfailures))"
)
_LET_THROUGH = ("--import-mode", "--strict-markers", "--doctest-modules", "--doctest-glob", "--asyncio-mode",
                "--doctest-continue-on-failure", "--ds", "--pyargs")  # fmt: skip
_CONFIGS = (
    "pytest.toml",
    ".pytest.toml",
    "pytest.ini",
    ".pytest.ini",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """Attributes: `packages` to install; `unreadable` requirements that are not wheels of an index;
    `config` is the file with pytest's configuration; `arguments` those of its `addopts` that are let
    through, `dropped` the others; `patterns` are the names of test files, `testpaths` where the
    configuration says that they are; `options` is all of it; `name` and `version` are the project's own.
    """

    packages: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    config: str = ""
    arguments: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    patterns: tuple[str, ...] = PATTERNS
    testpaths: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name: str = ""
    version: str = ""


def read_manifest(files: Mapping[str, bytes]) -> Manifest:
    """What the files of a project say. What cannot be parsed says nothing."""
    pyproject = _toml(files.get("pyproject.toml", b""))
    project = _table(pyproject, "project")
    name = str(project.get("name", ""))
    wanted = list(_requirements(files, pyproject))
    own = _canonical(name)
    usable = [text for text in wanted if _is_index(text) and _canonical(text) != own]
    config, options = _pytest(files, pyproject)
    arguments, dropped = _allowed(options.get("addopts", ""))
    patterns = tuple(_words(options.get("python_files", ""))) or PATTERNS
    return Manifest(
        packages=tuple(dict.fromkeys(text for text in usable if not _TOOLS_ONLY.match(text))),
        unreadable=tuple(text for text in wanted if not _is_index(text)),
        config=config,
        arguments=tuple(arguments),
        dropped=tuple(dropped),
        patterns=patterns,
        testpaths=tuple(_words(options.get("testpaths", ""))),
        options=options,
        name=name,
        version=str(project.get("version", "") or "0.0.0"),
    )


def version_file(pyproject: bytes) -> str:
    """The module that a build writes the version into, which git does not keep; empty if there is none."""
    tool = _table(_toml(pyproject), "tool")
    hatch = _table(_table(_table(_table(tool, "hatch"), "build"), "hooks"), "vcs")
    for table in (hatch, _table(tool, "setuptools_scm"), _table(tool, "pdm")):
        for key in ("version-file", "version_file", "write_to"):
            if isinstance(name := table.get(key), str):
                return name
    return ""


def _requirements(files: Mapping[str, bytes], pyproject: Mapping[str, Any]) -> Iterator[str]:
    project = _table(pyproject, "project")
    yield from _strings(project.get("dependencies"))
    extras, groups = (
        _table(project, "optional-dependencies"),
        _table(pyproject, "dependency-groups"),
    )
    for names in (_EXTRAS, _LESS_LIKELY):
        found = [
            text for table in (extras, groups) for n in names for text in _strings(table.get(n))
        ]
        if found:
            yield from found
            break
    if not project:
        setup = _ini(files.get("setup.cfg", b""))
        yield from _lines(setup.get("options", "install_requires", fallback=""))
        for extra in _EXTRAS:
            yield from _lines(setup.get("options.extras_require", extra, fallback=""))
    for name in (
        "requirements.txt",
        "requirements-test.txt",
        "requirements-dev.txt",
        "test-requirements.txt",
    ):
        if name in files and (not project or "test" in name):
            yield from _lines(files[name].decode("utf-8", "replace"))


def _pytest(
    files: Mapping[str, bytes], pyproject: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any]]:
    """The file that pytest would be configured by, and what it says; as pytest looks for it."""
    for name in _CONFIGS:
        if name not in files:
            continue
        if name.endswith("pytest.toml"):
            return name, _table(_toml(files[name]), "pytest")
        if name == "pyproject.toml":
            table = _table(_table(pyproject, "tool"), "pytest")
            if table:
                return name, {**table, **_table(table, "ini_options")}
            continue
        ini = _ini(files[name])
        section = "tool:pytest" if name == "setup.cfg" else "pytest"
        if ini.has_section(section):
            return name, dict(ini.items(section, raw=True))
        if name.endswith("pytest.ini"):
            return name, {}
    return "", {}


def _allowed(addopts: Any) -> tuple[list[str], list[str]]:
    """Arguments of pytest that change what is collected, and those that are not let through."""
    allowed: list[str] = []
    dropped: list[str] = []
    words = _words(addopts)
    for index, word in enumerate(words):
        before = words[index - 1] if index else ""
        if before in {"-p", "-W", "-o"}:
            wanted = before == "-W" or (before == "-p" and not word.startswith("no:"))
            (allowed if wanted else dropped).extend([before, word])
        elif word.startswith(_LET_THROUGH):
            allowed.append(word)
        elif word not in {"-p", "-W", "-o"}:
            dropped.append(word)
    return allowed, dropped


def _words(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in cast("list[Any]", value)]
    try:
        return shlex.split(str(value), comments=False)
    except ValueError:
        return []


def _is_index(text: str) -> bool:
    return (
        bool(re.match(r"[A-Za-z0-9]", text))
        and "@" not in text.partition(";")[0]
        and "://" not in text
    )


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        stripped = re.sub(r"(^|\s)#.*", "", line).strip()
        if stripped and not stripped.startswith("-"):
            yield stripped


def _canonical(text: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", text)
    return re.sub(r"[-_.]+", "-", found.group()).lower() if found else ""


def _toml(content: bytes) -> Mapping[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8", "replace"))
    except tomllib.TOMLDecodeError:
        return {}


def _ini(content: bytes) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(content.decode("utf-8", "replace"))
    except configparser.Error:
        return configparser.RawConfigParser()
    return parser


def _table(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def _strings(value: Any) -> Iterable[str]:
    return (
        [item for item in cast("list[Any]", value) if isinstance(item, str)]
        if isinstance(value, list)
        else []
    )
