"""The documentation in click's source distribution: every verdict was checked by hand, once."""

from pathlib import Path

import anyio
import pytest
from released import unpacked

from proofbox.server.assembly import open_app
from proofbox.server.settings import Settings
from proofbox.tools.validate_snippets.request import SnippetsRequest
from proofbox.tools.validate_snippets.run import run

CLICK = "click==8.4.2"
TABLE = Path(__file__).parent / "click_verdicts.txt"


@pytest.fixture
async def click(local_cache: Path) -> Path:
    """Click's source, from the package index, kept from one test run to the next."""
    folder = local_cache / "sources" / CLICK.replace("==", "-")
    if not (folder / "docs").is_dir():
        await unpacked(CLICK, folder, local_cache)
    return folder


def checked() -> dict[str, tuple[str, str]]:
    """What each example must be called and which line is to blame, by file and line."""
    rows = [line.split("  ", 3) for line in TABLE.read_text().splitlines()[1:]]
    assert all(reason for _, _, _, reason in rows)
    return {place: (kind, line) for place, kind, line, _ in rows}


@pytest.mark.slow
async def test_every_example_of_click_is_called_what_it_is(local_cache: Path, click: Path) -> None:
    """Nothing is lost, nothing is added, and each failure is at its line."""
    settings = Settings(backend="local", cache_dir=local_cache)
    # An editor that ends by itself, whichever this machine has; and time for pip and venv to start.
    request = SnippetsRequest(
        paths=("docs",), packages=(CLICK,), env={"EDITOR": "cat"}, timeout_seconds=90
    )
    async with open_app(settings, roots=(click,), warm=False) as app:
        with anyio.fail_after(400):
            report = await run(app, "local", request)

    found = {
        f"{Path(file.file).name}:{result.line}": (result.kind, str(result.error_line or "-"))
        for file in report.files
        for result in file.results
    }
    assert found == checked()
