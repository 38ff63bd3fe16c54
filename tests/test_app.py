"""The composition root: what the settings make of the parts."""

import inspect
from pathlib import Path

import anyio
import pytest
from fakes import FakeBackend, settle

from proofbox.server.app import TOOLS
from proofbox.server.assembly import open_app, session_settings
from proofbox.server.jobs import Progress, Report
from proofbox.server.settings import Settings
from proofbox.tools.get_job import WORKFLOWS


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        (Settings(backend="local", max_sessions=32, e2b_sandboxes=20), 32),
        (Settings(backend="e2b", max_sessions=32, e2b_sandboxes=20, e2b_api_key="k"), 20),
        (Settings(backend="auto", max_sessions=8, e2b_sandboxes=20, e2b_api_key="k"), 8),
    ],
)
def test_no_more_sessions_than_the_backend_can_have(settings: Settings, most: int) -> None:
    """Else a full plan would refuse new sessions while old ones lie idle."""
    assert session_settings(settings).max_sessions == most


@pytest.mark.parametrize("named", [True, False])
async def test_reports_of_jobs_are_kept_in_the_data_folder(
    backend: FakeBackend, tmp_path: Path, data_folder: Path, named: bool
) -> None:
    """In the one that the setting names, else in the user's, and survive the end of proofbox."""
    settings = Settings(data_dir=tmp_path / "mine" if named else None)

    async def work(progress: Progress) -> Report:
        return {"verdict": "passed"}

    async with open_app(settings, backend=backend) as app:
        job_id = await app.jobs.start("local", "bench", work)
        await app.jobs.wait("local", job_id, 10)
    async with open_app(settings, backend=backend) as app:
        state = await app.jobs.wait("local", job_id)

    assert state.report == {"verdict": "passed"}
    assert ((tmp_path / "mine" if named else data_folder) / "jobs.sqlite3").is_file()


async def test_jobs_end_before_the_sandboxes_that_they_use(backend: FakeBackend) -> None:
    """Else their cleanup would find nothing to clean up."""
    order: list[str] = []

    async def work(progress: Progress) -> Report:
        try:
            async with app.sessions.lease("local", None):
                await anyio.sleep_forever()
        finally:
            order.append(f"job over, backend closed: {backend.closed}")
        return {}

    async with open_app(Settings(), backend=backend) as app:
        await app.jobs.start("local", "bench", work)
        await settle()

    assert order == ["job over, backend closed: False"]
    assert backend.closed


def test_get_job_shows_the_reports_of_every_tool_that_may_answer_with_a_job() -> None:
    """Else one that took long would be raw data, and of a long one the rest could not be read."""
    names = {tool.function.__name__: inspect.signature(tool.function).parameters for tool in TOOLS}
    waiting = {name for name, parameters in names.items() if "wait_seconds" in parameters}

    assert set(WORKFLOWS) == waiting - {"get_job"}
