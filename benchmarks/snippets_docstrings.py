"""Docstrings of installed packages, by setup inference alone.

    uv run --python 3.12 benchmarks/snippets_docstrings.py [REQUIREMENT ...]

Each wheel (polars==2.1.0 and more-itertools==11.1.0 by default) is fetched by pip into a temporary folder, and its
docstrings are validated with nothing but the package itself installed.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import anyio
import platformdirs
from uv import find_uv_bin

from proofbox.server.assembly import open_app
from proofbox.server.settings import Settings
from proofbox.tools.validate_snippets.report import SnippetsReport
from proofbox.tools.validate_snippets.request import SnippetsRequest
from proofbox.tools.validate_snippets.run import run

DEFAULT = ("polars==2.1.0", "more-itertools==11.1.0")


def unpacked(requirement: str, folder: Path) -> Path:
    """The files of a package's wheel."""
    pip = [find_uv_bin(), "run", "-q", "--no-project", "--isolated", "--with", "pip", "python"]
    options = ["-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*pip, *options, "-d", str(folder), requirement], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "files")
    return folder / "files"


async def validate(requirement: str, folder: Path) -> SnippetsReport:
    """Validate the docstrings of the package."""
    cache = platformdirs.user_cache_path("proofbox")
    request = SnippetsRequest(paths=(".",), packages=(requirement,))
    async with open_app(Settings(backend="local", cache_dir=cache), roots=(folder,)) as app:
        return await run(app, "local", request)


def lines(requirement: str, report: SnippetsReport) -> list[str]:
    """The counts, and every failure."""
    failed = [
        (file.file, result)
        for file in report.files
        for result in file.results
        if result.verdict in {"failed", "errored"}
    ]
    counts = f"{report.total_snippets} examples, {len(failed)} failures, {dict(report.counts)}"
    found = [
        f"  {file}:{one.error_line or one.line}: {one.kind}: {one.error}" for file, one in failed
    ]
    took = f"{report.duration_seconds:.0f} s, Python {report.python}"
    return [*found, f"{requirement}: {counts}, {took}"]


def main(requirements: Sequence[str]) -> None:
    """Measure and print."""
    for requirement in requirements:
        with tempfile.TemporaryDirectory() as folder:
            report = anyio.run(validate, requirement, unpacked(requirement, Path(folder)))
        sys.stdout.write("\n".join(lines(requirement, report)) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requirements", nargs="*", default=DEFAULT)
    main(parser.parse_args().requirements)
