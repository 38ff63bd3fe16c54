"""What the tests of the local backend's environments share."""

from pathlib import Path

import pytest
from wheelhouse import Wheelhouse


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheelhouse:
    """The only index that uv knows; its cache is new as well."""
    house = Wheelhouse(tmp_path / "wheels")
    house.add("tiny", "1.2", script="tiny")
    monkeypatch.setenv("UV_DEFAULT_INDEX", house.empty_index)
    monkeypatch.setenv("UV_FIND_LINKS", str(house.directory))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    return house


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    """Where environments go, below a directory whose name must not get into them."""
    return tmp_path / "home-of-somebody" / "cache"
