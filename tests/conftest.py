"""What every test shares."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pytest
from fakes import FakeBackend, VirtualClock
from standin import StandIn

pytest.register_assert_rewrite("sandbox_contract", "programs_contract")

# All that collecting makes stays, some millions of objects: looking for cycles in them takes seconds and finds none.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on there is something to find, but not in what is there."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def anyio_backend() -> str:
    """The server runs on asyncio, and so do its tests."""
    return "asyncio"


@pytest.fixture(scope="session")
def local_cache() -> Path:
    """Where the local backend keeps environments from one test run to the next."""
    return Path(os.environ.get("PROOFBOX_CACHE_DIR") or platformdirs.user_cache_dir("proofbox"))


@pytest.fixture(autouse=True, scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where reports of jobs go, in this process and in those that tests start: not to the user's own."""
    folder = tmp_path_factory.mktemp("data")

    def user_data_path(name: str) -> Path:
        return folder

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PROOFBOX_DATA_DIR", str(folder))
        patched.setattr(platformdirs, "user_data_path", user_data_path)
        yield folder


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that stands still until the test moves it."""
    return VirtualClock()


@pytest.fixture
def make_backend() -> Iterator[Callable[[float | None], FakeBackend]]:
    """Makes fake backends with a hard limit on age; none of their sandboxes may stay open."""
    made: list[FakeBackend] = []

    def make(max_age: float | None) -> FakeBackend:
        made.append(FakeBackend(max_age=max_age))
        return made[-1]

    yield make

    assert [backend.open for backend in made] == [0] * len(made)


@pytest.fixture
def backend(make_backend: Callable[[float | None], FakeBackend]) -> FakeBackend:
    """A fake backend without a hard limit on age; none of its sandboxes may stay open."""
    return make_backend(None)


@pytest.fixture(scope="session")
def running_standin() -> Iterator[StandIn]:
    """One server for all tests; its sandboxes are each test's own."""
    with StandIn() as standin:
        yield standin


@pytest.fixture
def standin(running_standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """What the SDK takes for E2B. No sandbox may be left when the test ends."""
    for name, value in running_standin.environment.items():
        monkeypatch.setenv(name, value)
    yield running_standin
    left = len(running_standin)
    running_standin.reset()
    assert left == 0
