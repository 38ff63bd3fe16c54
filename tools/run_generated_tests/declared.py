"""What a project's files say that it needs, in every way that is in use, without running any of them."""

import configparser
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from . import hints, poetry
from .requirement_files import FOR_DEVELOPERS, FOR_TESTS, RUNTIME, lines, read_file
from .setup_script import COMPUTED, read_setup

_TESTS = ("test", "tests", "testing", "pytest", "unittest", "unittests", "unit-tests", "test-suite")
_LESS_LIKELY = ("dev", "develop", "development", "devel", "ci")


@dataclass(slots=True)
class Declared:
    """Requirements as they are written, in order.

    Attributes:
        runtime: to import the project; `tests`: to run its tests on top of that.
        computed: `runtime` is not all: the rest is known to the build alone.
        how: where each was found, in words.
        elsewhere: names that the project takes from a path or an address of its own, not from an index.
        name, version, requires_python: empty where they are not written down.
    """

    runtime: list[str] = field(default_factory=list[str])
    tests: list[str] = field(default_factory=list[str])
    computed: bool = False
    how: list[str] = field(default_factory=list[str])
    elsewhere: list[str] = field(default_factory=list[str])
    name: str = ""
    version: str = ""
    requires_python: str = ""


def read_declared(files: Mapping[str, bytes], pyproject: Mapping[str, Any]) -> Declared:
    """What the files say; what cannot be parsed says nothing."""
    found = Declared()
    optional: dict[str, list[str]] = {}
    known = (
        _standard(found, pyproject, files, optional)
        or _poetry(found, pyproject)
        or _flit(found, pyproject, optional)
    )
    if not known:
        _setup_cfg(found, files, optional)
        _setup_py(found, files, optional)
    _groups(found, pyproject, optional)
    _choose(found, optional)
    _files(found, files, known=(known or bool(found.runtime)) and not found.computed)
    if not found.tests:
        _hints(found, files, pyproject, optional)
    found.elsewhere += _sources(pyproject)
    return found


def _standard(
    found: Declared,
    pyproject: Mapping[str, Any],
    files: Mapping[str, bytes],
    optional: dict[str, list[str]],
) -> bool:
    project = table(pyproject, "project")
    if not project:
        return False
    found.name, found.version = str(project.get("name", "")), str(project.get("version", ""))
    found.requires_python = str(project.get("requires-python", ""))
    found.runtime += strings(project.get("dependencies"))
    if found.runtime:
        found.how.append("pyproject.toml: dependencies")
    for name, wanted in table(project, "optional-dependencies").items():
        optional[_spelled(name)] = list(strings(wanted))
    dynamic = set(strings(project.get("dynamic")))
    told = table(table(table(pyproject, "tool"), "setuptools"), "dynamic")
    if "dependencies" in dynamic:
        names = table(told, "dependencies").get("file")
        given = [names] if isinstance(names, str) else list(strings(names))
        found.runtime += [line for name in given for line in read_file(files, name)]
        found.how.append(f"pyproject.toml: dependencies in {', '.join(given) or 'its build'}")
        found.computed = not given
    if "optional-dependencies" in dynamic:
        for name in table(told, "optional-dependencies"):
            given = table(table(told, "optional-dependencies"), name).get("file")
            listed = [given] if isinstance(given, str) else list(strings(given))
            optional[_spelled(name)] = [line for path in listed for line in read_file(files, path)]
    return True


def _poetry(found: Declared, pyproject: Mapping[str, Any]) -> bool:
    told = table(table(pyproject, "tool"), "poetry")
    if not told:
        return False
    found.name, found.version = str(told.get("name", "")), str(told.get("version", ""))
    dependencies = table(told, "dependencies")
    found.requires_python = poetry.constraint(str(dependencies.get("python", "") or ""))
    found.runtime += poetry.requirements(dependencies, found.elsewhere)
    found.how.append("pyproject.toml: poetry's dependencies")
    return True


def _flit(found: Declared, pyproject: Mapping[str, Any], optional: dict[str, list[str]]) -> bool:
    told = table(table(table(pyproject, "tool"), "flit"), "metadata")
    if not told:
        return False
    found.name = str(told.get("dist-name") or told.get("module", ""))
    found.requires_python = str(told.get("requires-python", ""))
    found.runtime += strings(told.get("requires"))
    found.how.append("pyproject.toml: flit's requires")
    for name, wanted in table(told, "requires-extra").items():
        optional[_spelled(name)] = list(strings(wanted))
    optional.setdefault("dev", []).extend(strings(told.get("dev-requires")))
    return True


def _setup_cfg(found: Declared, files: Mapping[str, bytes], optional: dict[str, list[str]]) -> None:
    setup = ini(files.get("setup.cfg", b""))
    found.name = setup.get("metadata", "name", fallback="").strip()
    version = setup.get("metadata", "version", fallback="").strip()
    found.version = "" if version.startswith(("attr:", "file:")) else version
    found.requires_python = setup.get("options", "python_requires", fallback="").strip()
    wanted = list(_ini_lines(setup, "options", "install_requires", files))
    if wanted:
        found.runtime += wanted
        found.how.append("setup.cfg: install_requires")
    if setup.has_section("options.extras_require"):
        for name, _ in setup.items("options.extras_require", raw=True):
            optional[_spelled(name)] = list(
                _ini_lines(setup, "options.extras_require", name, files)
            )
    if old := list(_ini_lines(setup, "options", "tests_require", files)):
        optional.setdefault("test", []).extend(old)


def _ini_lines(
    setup: configparser.RawConfigParser, section: str, name: str, files: Mapping[str, bytes]
) -> Iterator[str]:
    text = setup.get(section, name, fallback="")
    if text.strip().startswith("file:"):
        for path in text.strip().removeprefix("file:").split(","):
            yield from read_file(files, path.strip())
        return
    for line in text.replace(";", "\0").splitlines():
        yield from lines(line.replace("\0", ";"))


def _setup_py(found: Declared, files: Mapping[str, bytes], optional: dict[str, list[str]]) -> None:
    told = read_setup(files.get("setup.py", b""))
    for name, value in (
        ("name", "name"),
        ("version", "version"),
        ("python_requires", "requires_python"),
    ):
        if isinstance(told.get(name), str) and not getattr(found, value):
            setattr(found, value, told[name])
    wanted = told.get("install_requires")
    if wanted is COMPUTED:
        found.computed = True
        found.how.append("setup.py: install_requires, which its build computes")
    elif wanted:
        found.runtime += _texts(wanted)
        found.how.append("setup.py: install_requires")
    extras = told.get("extras_require")
    if isinstance(extras, dict):
        for name, value in cast("dict[str, Any]", extras).items():
            optional.setdefault(_spelled(name), []).extend(_texts(value))
    if old := _texts(told.get("tests_require")):
        optional.setdefault("test", []).extend(old)


def _groups(found: Declared, pyproject: Mapping[str, Any], optional: dict[str, list[str]]) -> None:
    """Dependency groups, with those that they include; and what came before there were any."""
    groups = {
        _spelled(name): value for name, value in table(pyproject, "dependency-groups").items()
    }
    for name in groups:
        optional.setdefault(name, []).extend(_group(groups, name, ()))
    tool = table(pyproject, "tool")
    optional.setdefault("dev", []).extend(strings(table(tool, "uv").get("dev-dependencies")))
    for name, wanted in table(table(tool, "pdm"), "dev-dependencies").items():
        optional.setdefault(_spelled(name), []).extend(strings(wanted))
    told = table(tool, "poetry")
    of_poetry = {name: table(table(told, "group"), name) for name in table(told, "group")}
    for name, group in [
        *of_poetry.items(),
        ("dev", {"dependencies": table(told, "dev-dependencies")}),
    ]:
        wanted = poetry.requirements(table(group, "dependencies"), found.elsewhere)
        optional.setdefault(_spelled(name), []).extend(wanted)


def _group(groups: Mapping[str, Any], name: str, seen: tuple[str, ...]) -> Iterator[str]:
    value = groups.get(name)
    for item in cast("list[Any]", value) if isinstance(value, list) else []:
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            other = _spelled(str(cast("dict[str, Any]", item).get("include-group", "")))
            if other not in seen:
                yield from _group(groups, other, (*seen, name))


def _choose(found: Declared, optional: Mapping[str, list[str]]) -> None:
    """Of the extras and groups, those for tests; those for developers where there are none for tests."""
    for names in (_TESTS, _LESS_LIKELY):
        chosen = [name for name in names if optional.get(name)]
        if chosen:
            for name in chosen:
                found.tests += _expanded(found.name, optional, name, ())
            found.how.append(f"{' and '.join(chosen)} (extra or group) for the tests")
            return


def _expanded(
    own: str, optional: Mapping[str, list[str]], name: str, seen: tuple[str, ...]
) -> Iterator[str]:
    """An extra, with the project's own extras that it names as `project[extra]`."""
    for text in optional.get(name, []):
        match = re.match(r"([A-Za-z0-9._-]+)\s*\[([^\]]*)\]", text)
        if match and own and canonical(match.group(1)) == canonical(own):
            for other in match.group(2).split(","):
                if _spelled(other) not in (*seen, name):
                    yield from _expanded(own, optional, _spelled(other), (*seen, name))
        else:
            yield text


def _files(found: Declared, files: Mapping[str, bytes], *, known: bool) -> None:
    if not known:
        for name in RUNTIME:
            if name in files:
                found.runtime += read_file(files, name)
                found.how.append(name)
                break
    for names in (FOR_TESTS, FOR_DEVELOPERS):
        if names is FOR_DEVELOPERS and found.tests:
            return
        for name in names:
            if name in files:
                found.tests += read_file(files, name)
                found.how.append(name)


def _hints(
    found: Declared,
    files: Mapping[str, bytes],
    pyproject: Mapping[str, Any],
    optional: Mapping[str, list[str]],
) -> None:
    """What only the tools that run the tests are told."""
    environments = table(table(table(pyproject, "tool"), "hatch"), "envs")
    for name in ("hatch-test", "test", "default"):
        told = table(environments, name)
        found.tests += [
            *strings(told.get("dependencies")),
            *strings(told.get("extra-dependencies")),
        ]
        if found.tests:
            found.how.append(f"hatch's environment {name}, as a hint")
            return
    for place, tool in (
        ("tox.ini", hints.of_tox_ini(ini(files.get("tox.ini", b"")))),
        ("tox.toml", _tox(toml(files.get("tox.toml", b"")))),
        ("pyproject.toml", _tox(table(table(pyproject, "tool"), "tox"))),
        ("noxfile.py", hints.of_nox(files.get("noxfile.py", b""))),
    ):  # fmt: skip
        found.tests += [text for text in tool.packages if text != found.name]
        found.tests += [line for path in tool.files for line in read_file(files, path)]
        for name in tool.groups:
            found.tests += _expanded(found.name, optional, _spelled(name), ())
        if found.tests:
            found.how.append(f"{place}, as a hint")
            return


def _tox(told: Mapping[str, Any]) -> hints.Hints:
    environment = table(told, "env_run_base")
    groups = [*strings(environment.get("extras")), *strings(environment.get("dependency_groups"))]
    return hints.of_tox(strings(environment.get("deps")), groups)


def _sources(pyproject: Mapping[str, Any]) -> list[str]:
    """Packages that uv is told to take from a workspace, a path or an address."""
    return list(table(table(table(pyproject, "tool"), "uv"), "sources"))


def canonical(text: str) -> str:
    """The name that a requirement begins with, in the spelling of indexes."""
    match = re.match(r"[A-Za-z0-9._-]+", text)
    return re.sub(r"[-_.]+", "-", match.group()).lower() if match else ""


def _spelled(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return list(lines(value))
    if isinstance(value, tuple):
        value = list(cast("tuple[Any, ...]", value))
    return list(strings(value))


def toml(content: bytes) -> Mapping[str, Any]:
    """A TOML file; empty if it is none."""
    try:
        return tomllib.loads(content.decode("utf-8", "replace"))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def ini(content: bytes) -> configparser.RawConfigParser:
    """An INI file; empty if it is none."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(content.decode("utf-8", "replace"))
    except configparser.Error:
        return configparser.RawConfigParser()
    return parser


def table(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table inside a table of TOML; empty if there is none."""
    found = value.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def strings(value: Any) -> Iterable[str]:
    """The texts of a list; empty if it is none."""
    listed = cast("list[Any]", value) if isinstance(value, list) else []
    return [item for item in listed if isinstance(item, str)]
