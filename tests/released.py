"""Packages as they were released: source distributions from the package index."""

from pathlib import Path

from wanted import do_without

from proofbox.tools.check_pr.environment.archives import fetch_source
from proofbox.tools.check_pr.environment.resolving import Resolution, Resolver


async def released(pin: str, cache: Path) -> dict[str, bytes]:
    """The files of `name==version`. Nothing of it is run, which pip would do to find out what it needs."""
    found = await Resolver("3.12", cache).locate([pin])
    if isinstance(found, Resolution):
        assert found.fault == "ours", found.problem
        do_without("package-index", f"the package index cannot be reached ({found.problem})")
    return await fetch_source(found[pin.partition("==")[0]])


async def unpacked(pin: str, folder: Path, cache: Path) -> Path:
    """The same in a folder."""
    for path, content in (await released(pin, cache)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder
