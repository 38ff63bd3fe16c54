"""The load of benchmarks/replicas.py, small."""

from pathlib import Path

import anyio
import pytest
from replica_load import load

pytestmark = pytest.mark.slow


async def test_no_session_is_lost_unsaid_and_no_sandbox_is_one_too_many(tmp_path: Path) -> None:
    """Over two replicas, while starts are refused, answers dropped and sandboxes killed."""
    with anyio.fail_after(300):
        found = await load(24, limit=16, at_once=6, folder=tmp_path)

    assert found.broken == []
    assert found.sessions == 24
    assert len(found.seconds) >= 96
    assert 0 < found.most_at_once <= 16
    assert found.faults.total() > 3
