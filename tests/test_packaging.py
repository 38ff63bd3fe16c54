"""The package list in pyproject.toml is explicit; this keeps it complete."""

import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

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
