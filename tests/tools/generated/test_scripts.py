"""The commands that a project would have if it was installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from proofbox.tools.run_generated_tests.scripts import commands

SETUP_CFG = b"""
[options.entry_points]
console_scripts =
    shop = shop.cli:main
    Shop-X = shop.cli:Tool.run [extra]
other =
    nothing = shop.cli:main
"""


@pytest.mark.parametrize(("path", "content", "names"), [
    ("pyproject.toml", b'[project.scripts]\nshop = "shop.cli:main"\n', {"shop"}),
    ("pyproject.toml", b'[project.gui-scripts]\nshop-w = "shop.cli:main"\n', {"shop-w"}),
    ("pyproject.toml", b'[tool.poetry.scripts]\nshop = "shop.cli:main"\nold = {callable = "x:y"}\n', {"shop"}),
    ("setup.cfg", SETUP_CFG, {"shop", "Shop-X"}),
    ("src/shop-1.0.dist-info/entry_points.txt", b"[console_scripts]\nshop = shop.cli:main\n[x]\ny = z:w\n", {"shop"}),
    ("pyproject.toml", b"[project.scripts", set[str]()),
    ("setup.cfg", b"[options.entry_points]\nconsole_scripts = shop", set[str]()),
    ("pyproject.toml", b'[project.scripts]\n"../shop" = "shop.cli:main"\n"a b" = "c:d"\n', set[str]()),
    ("pyproject.toml", b'[project.scripts]\nshop = "import os; os.abort()"\n', set[str]()),
    ("pyproject.toml", b"[project.scripts]\nshop = 3\n", set[str]()),
])  # fmt: skip
def test_commands_are_those_that_a_project_names(
    path: str, content: bytes, names: set[str]
) -> None:
    """In its manifest or its metadata; what is no name of a file, or names no object, is none."""
    assert commands({path: content}, []).keys() == names


def test_metadata_that_was_built_says_more_than_a_manifest(tmp_path: Path) -> None:
    """The command is what was built, finds the project's modules, and ends as its function says."""
    (tmp_path / "shop.py").write_text(
        "class Tool:\n    @staticmethod\n    def run():\n        return 7\n"
    )
    files = {
        "shop-1.dist-info/entry_points.txt": b"[console_scripts]\nshop = shop:Tool.run\n",
        "pyproject.toml": b'[project.scripts]\nshop = "shop:nothing"\n',
    }

    script = tmp_path / "script"
    script.write_text(commands(files, [str(tmp_path)])["shop"])

    assert subprocess.run([sys.executable, "-I", str(script)], check=False).returncode == 7
