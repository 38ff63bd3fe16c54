"""What a project says of itself: what it needs, and how pytest is to be started."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from .declared import Declared, canonical, ini, read_declared, table, toml

PATTERNS = ("test_*.py", "*_test.py")
_TOOLS_ONLY = re.compile(
    r"(?i)^(mypy|pyright|ruff|black|flake8|isort|pylint|sphinx|mkdocs|furo|myst|pre-commit|tox|nox|twine|"
    r"build|bump|commitizen|ipdb|jupyter|coveralls|codecov|pytest-(cov|xdist|randomly|rerunfailures))"
)
_LET_THROUGH = ("--import-mode", "--strict-markers", "--doctest-modules", "--doctest-glob", "--asyncio-mode",
                "--doctest-continue-on-failure", "--ds", "--pyargs")  # fmt: skip
_WITH_VALUE = {"--import-mode", "--doctest-glob", "--asyncio-mode", "--ds", "--deselect", "--ignore",
               "--ignore-glob", "-p", "-W", "-o", "-m", "-k"}  # fmt: skip
_CHOOSING = ("-m", "-k", "--deselect")
_IGNORING = ("--ignore", "--ignore-glob")
# Not installed or not used, and then pytest does not start with them.
_NO_PLUGIN = re.compile(r"no:|(pytest[-_.])?(cov|xdist|randomly|rerunfailures)\b")
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
    configuration says that they are; `options` is all of it; `name`, `version` and `requires_python` are the
    project's own.

    `choosing` are those of the dropped arguments that say which tests the project means to run, and `ignored`
    the files and folders, as patterns of paths, in which it wants no tests to be looked for.

    Of `packages`, `runtime` are those to import the project and `tests` those on top to run its tests;
    `computed`: what the build adds to `runtime` is not known. `how` says where they were found. `elsewhere`
    are names that the project takes from a path or an address, which are none of `packages`.
    """

    packages: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    computed: bool = False
    how: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    requires_python: str = ""
    unreadable: tuple[str, ...] = ()
    config: str = ""
    arguments: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    choosing: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    patterns: tuple[str, ...] = PATTERNS
    testpaths: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name: str = ""
    version: str = ""


def read_manifest(files: Mapping[str, bytes]) -> Manifest:
    """What the files of a project say. What cannot be parsed says nothing."""
    pyproject = toml(files.get("pyproject.toml", b""))
    told = read_declared(files, pyproject)
    runtime, tests = _usable(told.runtime, told), _usable(told.tests, told)
    tests = [text for text in tests if not _TOOLS_ONLY.match(text)]
    config, options = _pytest(files, pyproject)
    added = list(_options(_words(options.get("addopts", ""))))
    patterns = tuple(_words(options.get("python_files", ""))) or PATTERNS
    return Manifest(
        packages=tuple(dict.fromkeys([*runtime, *tests])),
        runtime=tuple(dict.fromkeys(runtime)),
        tests=tuple(dict.fromkeys(tests)),
        computed=told.computed,
        how=tuple(told.how),
        elsewhere=tuple(dict.fromkeys(told.elsewhere)),
        requires_python=told.requires_python,
        unreadable=tuple(t for t in (*told.runtime, *told.tests) if not _is_index(t)),
        config=config,
        arguments=tuple(word for one in added if _is_allowed(one) for word in one),
        dropped=tuple(word for one in added if not _is_allowed(one) for word in one),
        choosing=tuple(word for one in added if _is_of(one, _CHOOSING) for word in one),
        ignored=tuple(one[0].partition("=")[2] for one in added if _is_of(one, _IGNORING)),
        patterns=patterns,
        testpaths=tuple(_words(options.get("testpaths", ""))),
        options=options,
        name=told.name,
        version=told.version or "0.0.0",
    )


def version_file(pyproject: bytes) -> str:
    """The module that a build writes the version into, which git does not keep; empty if there is none."""
    tool = table(toml(pyproject), "tool")
    hatch = table(table(table(table(tool, "hatch"), "build"), "hooks"), "vcs")
    for told in (hatch, table(tool, "setuptools_scm"), table(tool, "pdm")):
        for key in ("version-file", "version_file", "write_to"):
            if isinstance(name := told.get(key), str):
                return name
    return ""


def _usable(wanted: Iterable[str], told: Declared) -> list[str]:
    """Requirements that are of an index, and not the project itself or what it has from elsewhere."""
    others = {canonical(told.name), *map(canonical, told.elsewhere)}
    return [text for text in wanted if _is_index(text) and canonical(text) not in others]


def _pytest(
    files: Mapping[str, bytes], pyproject: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any]]:
    """The file that pytest would be configured by, and what it says; as pytest looks for it."""
    for name in _CONFIGS:
        if name not in files:
            continue
        if name.endswith("pytest.toml"):
            return name, table(toml(files[name]), "pytest")
        if name == "pyproject.toml":
            told = table(table(pyproject, "tool"), "pytest")
            if told:
                return name, {**told, **table(told, "ini_options")}
            continue
        sections = ini(files[name])
        section = "tool:pytest" if name == "setup.cfg" else "pytest"
        if sections.has_section(section):
            return name, dict(sections.items(section, raw=True))
        if name.endswith("pytest.ini"):
            return name, {}
    return "", {}


def _options(words: Iterable[str]) -> Iterator[list[str]]:
    """Each argument with its value; long options in one word, as the next argument would be theirs otherwise."""
    left = iter(words)
    for word in left:
        value = next(left, None) if word in _WITH_VALUE else None
        if value is None:
            yield [word]
        else:
            yield [f"{word}={value}"] if word.startswith("--") else [word, value]


def _is_of(option: list[str], names: tuple[str, ...]) -> bool:
    """Whether it is one of these, with a value."""
    name, _, value = option[0].partition("=")
    return name in names and bool(value or option[1:])


def _is_allowed(option: list[str]) -> bool:
    """Whether it changes what is collected, or is needed to."""
    if option[0] == "-p":
        return len(option) > 1 and not _NO_PLUGIN.match(option[1])
    return (option[0] == "-W" and len(option) > 1) or option[0].startswith(_LET_THROUGH)


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
