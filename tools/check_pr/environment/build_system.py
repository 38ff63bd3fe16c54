"""How a project says that it is built (PEP 517 and 518, and what was before), and as which version."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from ...run_generated_tests.declared import ini, strings, table, toml
from ...run_generated_tests.manifest import Manifest

_LEGACY = "setuptools.build_meta:__legacy__"
# What the backends' own hooks ask for, where they are old: known before they are asked.
_USUAL = {"setuptools": ("setuptools>=40.8.0", "wheel")}
_ASKS_GIT = re.compile(r"scm|vcs|\bpbr\b|versioning|dunamai|versioneer|versioningit", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BuildSystem:
    """`requires` is to be installed, `backend` is `module:object`, `path` its folders in the project;
    `said` tells in words where that was found.
    """

    requires: tuple[str, ...]
    backend: str
    path: tuple[str, ...] = ()
    said: str = ""

    @property
    def asks_git(self) -> bool:
        """Whether it takes the version from git, which is not in the sandbox."""
        return any(_ASKS_GIT.search(text) for text in self.requires)


def read_build_system(files: Mapping[str, bytes]) -> BuildSystem | None:
    """None where there is nothing that could be built."""
    pyproject = toml(files.get("pyproject.toml", b""))
    told = table(pyproject, "build-system")
    if told:
        requires = tuple(strings(told.get("requires")))
        backend = str(told.get("build-backend") or _LEGACY)
        more = () if not backend.startswith("setuptools") else _USUAL["setuptools"][1:]
        folders = tuple(strings(told.get("backend-path")))
        name = backend.partition(":")[0].partition(".")[0]
        return BuildSystem((*requires, *more), backend, folders, f"built by {name}")
    config = ini(files.get("setup.cfg", b""))
    described = config.has_section("metadata") or config.has_section("options")
    if "setup.py" in files or described or "project" in pyproject:
        how = "setup.py" if "setup.py" in files else "setuptools"
        return BuildSystem(_USUAL["setuptools"], _LEGACY, (), f"built by {how}")
    return None


def unreadable(files: Mapping[str, bytes]) -> str:
    """Why nobody could read what says how it is built, and pytest could not start there; empty if they can."""
    try:
        tomllib.loads(files.get("pyproject.toml", b"").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"pyproject.toml cannot be read: {error}."
    return ""


def version_of(manifest: Manifest, files: Mapping[str, bytes]) -> str:
    """The version that is written down, in the manifest or in what an archive of source has beside it;
    `0.0.0` if none is.
    """
    if manifest.version and manifest.version != "0.0.0":
        return manifest.version
    places = [path for path in files if path.endswith("PKG-INFO") and path.count("/") < 3]
    for path in sorted(places, key=len):
        found = re.search(rb"^Version: *(\S+)", files[path], re.MULTILINE)
        if found and re.fullmatch(rb"[\w.+!-]+", found.group(1)):
            return found.group(1).decode()
    return "0.0.0"


def pretended(version: str) -> dict[str, str]:
    """Variables by which builds that would ask git are told the version."""
    return {
        "SETUPTOOLS_SCM_PRETEND_VERSION": version,
        "VCS_VERSIONING_PRETEND_VERSION": version,
        "PBR_VERSION": version,
        "PDM_BUILD_SCM_VERSION": version,
        "POETRY_DYNAMIC_VERSIONING_BYPASS": version,
        "UV_DYNAMIC_VERSIONING_BYPASS": version,
    }
