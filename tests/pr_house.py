"""A package index for builds and resolutions without a network: a backend that is a few lines, and what runs tests."""

import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from wheelhouse import Wheelhouse

BACKEND = """
import base64, hashlib, os, re, zipfile

def get_requires_for_build_wheel(settings=None):
    return open("more.txt").read().split() if os.path.exists("more.txt") else []

def build_wheel(folder, settings=None, metadata=None):
    told = open("pyproject.toml").read()
    name = re.search('name *= *"(.*?)"', told).group(1)
    scm = os.environ.get("SETUPTOOLS_SCM_PRETEND_VERSION", "")
    found = re.search('^version *= *"(.*?)"', told, re.M)
    version = found.group(1) if found else scm
    if os.path.exists("hook.py"):
        exec(compile(open("hook.py").read(), os.path.abspath("hook.py"), "exec"), {"version": version})
    info = f"{name}-{version}.dist-info"
    lines = [f"Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    if os.path.exists("needs.txt"):
        lines += [f"Requires-Dist: {line}" for line in open("needs.txt").read().splitlines()]
    files = {f"{info}/METADATA": "\\n".join(lines) + "\\n", f"{info}/WHEEL": "Wheel-Version: 1.0\\n",
             f"{info}/entry_points.txt": f"[console_scripts]\\n{name} = {name}:main\\n",
             f"{name}/_version.py": f"version = {version!r}\\n"}
    for top, _, names in os.walk("src"):
        for each in names:
            path = os.path.join(top, each)
            files[os.path.relpath(path, "src")] = open(path).read()
    files[f"{info}/RECORD"] = "".join(f"{path},,\\n" for path in files)
    target = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, target), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return target
"""


def fill(house: Wheelhouse) -> Wheelhouse:
    """Put into an index what every check installs, and a build backend called `tinybuild`."""
    house.add("tinybuild", "1.0", files={"tinybuild/__init__.py": BACKEND})
    house.add("setuptools-scm", "8.0")
    house.add("pluggy", "1.6.0")
    house.add("pytest", "8.4.0", requires=("pluggy>=1.5",))
    house.add("coverage", "7.10")
    return house


def add_source(house: Wheelhouse, name: str, version: str, files: Mapping[str, str]) -> None:
    """An archive of source without a wheel, which `tinybuild` builds."""
    told = project().decode().replace('"thing"', f'"{name}"').replace('"1.0"', f'"{version}"')
    content = {"pyproject.toml": told, **files}
    with tarfile.open(house.directory / f"{name}-{version}.tar.gz", "w:gz") as archive:
        for path, text in content.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def new_house(place: Path) -> Wheelhouse:
    """The same in a fresh folder."""
    shutil.rmtree(place, ignore_errors=True)
    return fill(Wheelhouse(place))


def project(dependencies: str = "", *, version: str = 'version = "1.0"\n', more: str = "") -> bytes:
    """A pyproject.toml of a project `thing` that `tinybuild` builds."""
    return (
        '[build-system]\nrequires = ["tinybuild"]\nbuild-backend = "tinybuild"\n'
        f'[project]\nname = "thing"\n{version}dependencies = [{dependencies}]\n{more}'
        "[dependency-groups]\ntest = []\n"
    ).encode()


SOURCE = {"src/thing/__init__.py": b"one = 1\n", "tests/test_thing.py": b"def test(): pass\n"}
