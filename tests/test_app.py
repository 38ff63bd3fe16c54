"""The composition root: what the settings make of the parts."""

import pytest

from proofbox.server.app import session_settings
from proofbox.server.settings import Settings


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
