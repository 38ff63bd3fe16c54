"""Puts together the folder that `mcpb pack` makes a bundle of: `python mcpb/build.py FOLDER`.

Its manifest is `manifest.json` with the version, the tools and the prompts of the server that is in it.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import anyio

from proofbox.prompts import all_prompts
from proofbox.server.app import create_server
from proofbox.server.settings import Settings

HERE = Path(__file__).parent
ROOT = HERE.parent
FILES = ("pyproject.toml", "uv.lock", "README.md", "LICENSE")
FOLDERS = ("server", "tools", "prompts")


async def manifest() -> dict[str, Any]:
    """The manifest, with what the server offers."""
    facts: dict[str, Any] = json.loads((HERE / "manifest.json").read_text("utf-8"))
    server = create_server(Settings())
    facts["version"] = server.version
    facts["tools"] = [
        {"name": tool.name, "description": (tool.description or "").partition("\n")[0]}
        for tool in await server.list_tools()
    ]
    facts["prompts"] = [
        {
            "name": prompt.name,
            "description": prompt.description,
            "arguments": [each.name for each in prompt.arguments],
            "text": prompt.filled_in(
                {each.name: f"${{arguments.{each.name}}}" for each in prompt.arguments}
            ),
        }
        for prompt in all_prompts()
    ]
    return facts


def build(folder: Path) -> None:
    """Copy what the bundle needs into a new folder: the source, its lock file, and how to start it."""
    folder.mkdir(parents=True)
    for path in (*(ROOT / name for name in FILES), HERE / "main.py", HERE / ".mcpbignore"):
        shutil.copy(path, folder)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = json.dumps(anyio.run(manifest), indent=2, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python mcpb/build.py FOLDER")
    build(Path(sys.argv[1]))
