"""Documentation page by page, beside mktestdocs, which isolates nothing; and finding the examples of 2,000 files.

    uv run --python 3.12 benchmarks/snippets_speed.py FOLDER

FOLDER is that of `snippets_pydantic.py`. Both get the same pages with nothing but the Python blocks that mktestdocs
would run; the time of proofbox is that of a server that is up, as mktestdocs' is without the start of pytest. What
mktestdocs runs, it runs in a bubblewrap of ours, since some documentation deletes and installs. Medians of three
alternating rounds.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio
import platformdirs
from snippets_pydantic import PACKAGES, request
from uv import find_uv_bin

from proofbox.server.assembly import open_app
from proofbox.server.sandbox.local import host
from proofbox.server.settings import Settings
from proofbox.tools._app import App
from proofbox.tools.validate_snippets.extract import extract_file
from proofbox.tools.validate_snippets.request import SnippetsRequest
from proofbox.tools.validate_snippets.run import run

_ROUNDS = 3
_FILES = 2000
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MKTESTDOCS = """
import contextlib, io, pathlib, sys, time
from mktestdocs import check_md_file
failed, began = 0, time.perf_counter()
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.md")):
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            check_md_file(path)
        except BaseException:
            failed += 1
print(time.perf_counter() - began, failed)
"""


def plain_pages(docs: Path, to: Path) -> int:
    """Write the pages with only the blocks that both tools run; the number of blocks."""
    count = 0
    for number, path in enumerate(sorted(docs.rglob("*.md"))):
        blocks = _BLOCK.findall(path.read_text())
        count += len(blocks)
        text = "\n".join(f"```python\n{block}```\n" for block in blocks)
        (to / f"{number:03}.md").write_text(text)
    return count


def peer(folder: Path) -> Path:
    """A virtual environment with mktestdocs and what the pages need."""
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [uv, "pip", "install", "-q", "--python", str(python), "mktestdocs==0.2.5", *PACKAGES]
    subprocess.run(install, check=True)
    return python


def mktestdocs(python: Path, pages: Path) -> float:
    """Seconds for all pages in one process, imports and all."""
    jail = [str(host.find_bwrap()), "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/"]
    jail += [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--chdir",
        str(pages),
        "--setenv",
        "HOME",
        "/dev/shm",
    ]
    command = [*jail, str(python), "-c", _MKTESTDOCS, str(pages)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(ended.stdout.split()[-2])


async def proofbox(app: App, wanted: SnippetsRequest) -> float:
    """Seconds for the same pages, each as one program."""
    began = time.perf_counter()
    report = await run(app, "local", wanted)
    assert report.valid_snippets > report.total_snippets * 0.9, report.reason
    return time.perf_counter() - began


def extraction(docs: Path, to: Path) -> float:
    """Seconds of processor time to find every example of 2,000 files, which is done in one thread."""
    sources = sorted(docs.rglob("*.md"))
    files = [to / f"{number}.md" for number in range(_FILES)]
    for number, file in enumerate(files):
        file.write_bytes(sources[number % len(sources)].read_bytes())
    began = time.process_time()
    found = sum(len(extract_file(file, "markdown").snippets) for file in files)
    assert found > _FILES
    return time.process_time() - began


async def measure(docs: Path, temporary: Path) -> list[str]:
    """The table's lines."""
    pages, copies = temporary / "pages", temporary / "copies"
    pages.mkdir()
    copies.mkdir()
    blocks = plain_pages(docs, pages)
    python = peer(temporary / "peer")
    wanted = SnippetsRequest(paths=(".",), packages=PACKAGES, env=request().env, mode="page")
    ours: list[float] = []
    theirs: list[float] = []
    cache = platformdirs.user_cache_path("proofbox")
    async with open_app(Settings(backend="local", cache_dir=cache), roots=(pages,)) as app:
        await proofbox(app, wanted)
        for _ in range(_ROUNDS):
            ours.append(await proofbox(app, wanted))
            theirs.append(mktestdocs(python, pages))
    found = statistics.median(extraction(docs, copies) for _ in range(_ROUNDS))
    mine, other = statistics.median(ours), statistics.median(theirs)
    return [
        f"{blocks} blocks page by page: proofbox {mine:.1f} s, mktestdocs {other:.1f} s, {mine / other:.2f} x",
        f"examples of {_FILES:,} files found in {found:.2f} s",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkout of pydantic at v2.13.4")
    docs = parser.parse_args().folder.resolve() / "docs"
    # Not below /tmp: a jail has one of its own.
    with tempfile.TemporaryDirectory(dir=Path.home()) as temporary:
        lines = anyio.run(measure, docs, Path(temporary))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
