"""A package index in a directory: wheels and source archives made on the spot, no network."""

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


class Wheelhouse:
    """Distributions for uv's `--find-links`. Holds an `ipython` from the start, since every
    environment asks for one.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        (directory / "index").mkdir()
        self.empty_index = (directory / "index").as_uri()
        self.add("ipython", "9.0", script="ipython")

    def add(
        self,
        name: str,
        version: str,
        *,
        files: Mapping[str, str] | None = None,
        requires: tuple[str, ...] = (),
        script: str | None = None,
    ) -> None:
        """A wheel with a module of its name; `files` come on top, by their paths in the wheel."""
        module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
        metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
        content = {
            f"{module}/__init__.py": f"__version__ = {version!r}\n\n\ndef main():\n    print('ran')\n",
            f"{info}/METADATA": "\n".join([*metadata, ""]),
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            **(files or {}),
        }
        if script is not None:
            content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{script} = {module}:main\n"
        records = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in content.items()]
        content[f"{info}/RECORD"] = "\n".join([*records, f"{info}/RECORD,,", ""])
        wheel = self.directory / f"{module}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in content.items():
                archive.writestr(path, text)

    def as_index(self) -> str:
        """The address of a simple index with all the wheels that are here now."""
        simple = self.directory / "simple"
        for wheel in self.directory.glob("*.whl"):
            page = simple / wheel.name.split("-")[0]
            page.mkdir(parents=True)
            link = f'<!doctype html><a href="../../{wheel.name}">{wheel.name}</a>'
            (page / "index.html").write_text(link)
        return simple.as_uri()

    def add_source(self, name: str, version: str, *, setup: str) -> None:
        """A source archive, which whoever builds it has to run."""
        with tarfile.open(self.directory / f"{name}-{version}.tar.gz", "w:gz") as archive:
            info = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            for path, text in {"setup.py": setup, "PKG-INFO": info}.items():
                member = tarfile.TarInfo(f"{name}-{version}/{path}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
