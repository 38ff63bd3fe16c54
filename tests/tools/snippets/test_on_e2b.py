"""Snippets on E2B, against the stand-in."""

from collections.abc import AsyncGenerator

import anyio
import anyio.to_thread
import pytest
from standin import API_KEY, StandIn

from proofbox.server.assembly import open_app
from proofbox.server.sandbox.e2b import E2BBackend
from proofbox.server.settings import Settings
from proofbox.tools._app import App
from proofbox.tools.validate_snippets.report import SnippetsReport
from proofbox.tools.validate_snippets.request import SnippetsRequest
from proofbox.tools.validate_snippets.run import run

pytestmark = pytest.mark.slow


@pytest.fixture
async def app(standin: StandIn) -> AsyncGenerator[App]:
    """An App over E2B."""
    async with open_app(Settings(), backend=E2BBackend(api_key=API_KEY, create_rate=100)) as app:
        yield app


def snippet(number: int) -> str:
    """An example that shows what it prints: the truth, but for each tenth."""
    shown = number**2 + (number % 10 == 0)
    return f"```python\nprint({number} ** 2)\n#> {shown}\n```\n\n"


async def test_a_lost_sandbox_costs_no_verdict_and_is_in_the_report(
    app: App, standin: StandIn
) -> None:
    """100 snippets, 10 of them wrong; one of the machines ends while it works."""
    thirty = anyio.Event()
    lost: list[str] = []

    def on_done(done: int, total: int) -> None:
        if done == 30:
            thirty.set()

    async def lose_one() -> None:
        await thirty.wait()
        lost.append(next(iter(standin.fleet.instances)))
        await anyio.to_thread.run_sync(standin.kill, lost[0])

    request = SnippetsRequest(text="".join(map(snippet, range(100))), format="markdown")
    reports: list[SnippetsReport] = []
    with anyio.fail_after(120):
        async with anyio.create_task_group() as group:
            group.start_soon(lose_one)
            reports.append(await run(app, "somebody", request, on_done))

    (report,) = reports
    assert len(lost) == 1
    assert report.lost_sandboxes == 1
    assert (report.total_snippets, report.valid_snippets) == (100, 90)
    wrong = {
        result.snippet_index for file in report.files for result in file.results if not result.valid
    }
    assert wrong == set(range(0, 100, 10))
