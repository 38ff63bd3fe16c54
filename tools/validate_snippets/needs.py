"""Which package a missing module is in, and whether the documented project allows it.

A project says what it needs in its pyproject.toml or its requirements files. Only what it names there by name and
version is ever installed, never from a URL or a folder.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from .includes import real_path

PACKAGES: dict[str, str] = {
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "gitpython",
    "google": "protobuf",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "multipart": "python-multipart",
    "pptx": "python-pptx",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
"""Modules whose package has another name."""

_MISSING = re.compile(r"needs the module (?P<name>[\w.-]+),|name (?P<package>pyyaml) in packages")
_MANIFESTS = ("pyproject.toml", "requirements*.txt", "requirements/*.txt", "docs/requirements*.txt")
_MOST_BYTES = 1024**2
_MOST_FILES = 20


def missing(reason: str) -> str:
    """Return the module that a `needs_dependency` names, "" if it names none."""
    match = _MISSING.search(reason)
    return (match["name"] or "yaml") if match else ""


def allowed(module: str, requirements: Sequence[Requirement]) -> str:
    """Return the requirement that brings a module, "" if none of these does.

    A YAML document needs a parser, which is ours to bring.
    """
    wanted = canonicalize_name(PACKAGES.get(module.partition(".")[0], module.partition(".")[0]))
    for requirement in requirements:
        if canonicalize_name(requirement.name) == wanted:
            return str(requirement)
    return "pyyaml" if wanted == "pyyaml" else ""


def of_project(folder: Path, roots: Sequence[Path]) -> tuple[Requirement, ...]:
    """Return what the manifests of the project that `folder` lies in name, the nearest first.

    Folders are searched upwards as far as `roots` reach; what cannot be read says nothing.
    """
    found: list[Requirement] = []
    for place in (folder, *folder.parents):
        if not any(place.is_relative_to(root.resolve()) for root in roots):
            break
        for pattern in _MANIFESTS:
            for file in sorted(place.glob(pattern))[:_MOST_FILES]:
                found += _of_file(file, roots)
    return tuple(found)


def _of_file(file: Path, roots: Sequence[Path]) -> Iterator[Requirement]:
    real = real_path(file)
    try:
        if not any(real.is_relative_to(root.resolve()) for root in roots):
            return
        text = real.read_text("utf-8") if real.stat().st_size <= _MOST_BYTES else ""
        lines = _of_pyproject(text) if file.name == "pyproject.toml" else text.splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        if (requirement := _requirement(line)) is not None:
            yield requirement


def _requirement(line: object) -> Requirement | None:
    text = re.sub(r"(^|\s)#.*", "", line).strip() if isinstance(line, str) else ""
    if not text or text.startswith("-"):
        return None
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    if requirement.url or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
        return None
    requirement.marker = None
    return requirement


def _of_pyproject(text: str) -> list[object]:
    data: Any = tomllib.loads(text)
    project = _table(data.get("project"))
    lists: list[object] = [project.get("dependencies")]
    lists += _table(project.get("optional-dependencies")).values()
    lists += _table(data.get("dependency-groups")).values()
    return [
        line for lines in lists if isinstance(lines, list) for line in cast("list[object]", lines)
    ]


def _table(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
