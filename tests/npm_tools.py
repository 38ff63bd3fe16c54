"""What tests need from npm, installed once into the user's cache, with a Node of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import platformdirs
from wanted import do_without

HERE = Path(__file__).parent / "conformance"


def installed() -> Path:
    """The `node_modules` that package.json asks for. Without npm, see `do_without`."""
    if shutil.which("npm") is None:
        do_without("npm", "there is no npm here, which the conformance suite needs")
    folder = platformdirs.user_cache_path("proofbox-tests") / "conformance"
    wanted, done = (HERE / "package.json").read_text(), folder / "installed.json"
    if not done.is_file() or done.read_text() != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(wanted)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=folder, check=True)
        done.write_text(wanted)
    return folder / "node_modules"


def environment(node_modules: Path) -> dict[str, str]:
    """The environment in which its programs find a Node that is new enough."""
    (node,) = node_modules.glob("node-linux-*/bin")
    return {**os.environ, "PATH": os.pathsep.join([str(node), os.environ["PATH"]])}
