"""The package list in pyproject.toml is explicit; this keeps it complete."""

import shutil
import subprocess
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_folder_is_in_the_wheel() -> None:
    """A forgotten one would be missing from the wheel while the editable install still works."""
    folders = {
        "proofbox." + ".".join(init.parent.relative_to(ROOT).parts)
        for top in ("server", "tools", "prompts")
        for init in (ROOT / top).rglob("__init__.py")
    }

    assert folders == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_folder_with_source_is_a_package() -> None:
    """A folder without __init__.py would be left out by the test above, too."""
    folders = {
        path.parent for top in ("server", "tools", "prompts") for path in (ROOT / top).rglob("*.py")
    }

    assert folders
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_every_data_file_is_in_the_wheel() -> None:
    """Whatever is not Python must be named for its package."""
    named = PROJECT["tool"]["setuptools"]["package-data"]
    for top in ("server", "tools", "prompts"):
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and path.suffix not in {".py", ".pyc"}:
                package = "proofbox." + ".".join(path.parent.relative_to(ROOT).parts)
                owner = next(name for name in _upwards(package) if name in named or name == "*")
                inside = path.relative_to(_folder(owner, path)).as_posix()
                patterns = [*named.get(owner, []), *named["*"]]
                assert any(Path(inside).match(pattern) for pattern in patterns), path


def test_the_command_is_installed_with_the_version() -> None:
    """The console script is what every host configuration names."""
    (script,) = entry_points(group="console_scripts", name="proofbox")

    assert script.value == "proofbox.server.cli:main"
    assert version("proofbox") == PROJECT["project"]["version"]


def _upwards(package: str) -> list[str]:
    parts = package.split(".")
    return [*(".".join(parts[:length]) for length in range(len(parts), 1, -1)), "*"]


def _folder(owner: str, path: Path) -> Path:
    return path.parent if owner == "*" else ROOT.joinpath(*owner.split(".")[1:])


@pytest.mark.slow
def test_source_wheel_and_uvx_have_what_they_should(tmp_path: Path) -> None:
    """Built from a copy of what is in the repository: `uv build` makes the wheel from the source distribution."""
    copy, built = tmp_path / "copy", tmp_path / "built"
    if not (ROOT / ".git").exists():
        pytest.skip("what is in the repository is not known here")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    files = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    scripts = Path(sysconfig.get_path("scripts"))
    subprocess.run([scripts / "uv", "build", "-q", "--out-dir", built], cwd=copy, check=True)
    (source,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    with tarfile.open(source) as archive:
        in_source = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
        (points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        commands = archive.read(points).decode().split()
    started = subprocess.run(
        [scripts / "uvx", "--from", ".", "proofbox", "--version"],
        cwd=copy, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert files - in_source == set()
    assert in_wheel == {
        f"proofbox/{name}" for name in files if name.startswith(("server/", "tools/", "prompts/"))
    }
    assert commands == ["[console_scripts]", "proofbox", "=", "proofbox.server.cli:main"]
    assert started.stdout.strip() == PROJECT["project"]["version"]
