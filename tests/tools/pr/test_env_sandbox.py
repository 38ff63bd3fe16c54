"""Sandboxes that have what a project names and nothing else."""

from pathlib import Path

import pytest
from wheelhouse import Wheelhouse

from proofbox.server.sandbox import Cell, InvalidInput, Program, SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.server.sandbox.local.environments import ensure
from proofbox.server.sessions import SessionManager

_LOOK = Cell(
    "import importlib.util as u, os, site, sysconfig\n"
    "site.main()\n"
    "found = [n for n in ('numpy', 'pandas', 'pytest', 'IPython', 'tiny') if u.find_spec(n)]\n"
    "[*found, os.path.exists(sysconfig.get_paths()['include'] + '/Python.h')]"
)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheelhouse:
    """uv finds what is in this house and nothing else."""
    made = Wheelhouse(tmp_path / "house")
    monkeypatch.setenv("UV_DEFAULT_INDEX", made.empty_index)
    monkeypatch.setenv("UV_FIND_LINKS", str(made.directory))
    return made


async def test_a_bare_sandbox_has_no_default_package_and_runs_programs_only(
    tmp_path: Path, house: Wheelhouse
) -> None:
    """Numpy may not hide that a project forgot to name it; headers for extensions are there."""
    house.add("tiny", "1.2")
    wheel = house.directory / "tiny-1.2-py3-none-any.whl"
    wheels = {wheel.name: wheel.read_bytes()}
    async with SessionManager(LocalBackend(cache_dir=tmp_path / "cache")) as sessions:
        async with sessions.lease_once("me", purpose="pr", bare=True, shared=False) as lease:
            ran = await lease.programs.run_program(Program("look", (_LOOK,)))
            with pytest.raises(InvalidInput, match="programs only"):
                await lease.sandbox.run_code("1")
        async with sessions.lease_once("me", purpose="pr", bare=True, wheels=wheels) as lease:
            with_wheel = await lease.programs.run_program(Program("look", (_LOOK,)))

    assert [cell.value for cell in ran.cells] == ["[True]"], ran
    assert [cell.value for cell in with_wheel.cells] == ["['tiny', True]"], with_wheel


async def test_environments_of_different_wheels_are_different(
    tmp_path: Path, house: Wheelhouse
) -> None:
    """Content counts, not the name; the same content is built once."""
    house.add("tiny", "1.2")
    wheel = house.directory / "tiny-1.2-py3-none-any.whl"
    first = await ensure([], cache_dir=tmp_path, bare=True, wheels={wheel.name: wheel.read_bytes()})
    wheel.unlink()
    house.add("tiny", "1.2", files={"tiny/more.py": "more = 1\n"})
    other = await ensure([], cache_dir=tmp_path, bare=True, wheels={wheel.name: wheel.read_bytes()})
    again = await ensure([], cache_dir=tmp_path, bare=True, wheels={wheel.name: wheel.read_bytes()})

    assert first.packages == other.packages == {"tiny": "1.2"}
    assert first.path != other.path
    assert again.path == other.path
    assert not list(other.path.rglob(".wheels"))


async def test_a_jail_of_its_own_is_shared_with_nobody(tmp_path: Path) -> None:
    """Two sandboxes of one owner, both hostile: two jails, and none is left."""
    backend = LocalBackend(cache_dir=tmp_path)
    request = SandboxRequest(owner="me", bare=True, shared=False)
    first, second = await backend.create(request), await backend.create(request)
    cell = Cell("1")
    for sandbox in (first, second):
        ran = await sandbox.run_program(Program("p", (cell,)))
        assert ran.outcome == "completed", ran
    jails = len(backend._jails)  # pyright: ignore[reportPrivateUsage]
    await first.close()
    await second.close()
    left = len(backend._jails)  # pyright: ignore[reportPrivateUsage]
    await backend.close()

    assert (jails, left) == (2, 0)


async def test_what_packages_run_at_the_start_of_python_does_not_run_where_programs_are_watched(
    tmp_path: Path, house: Wheelhouse
) -> None:
    """A dependency that a pull request brings could else forge every record; processes of the project have it."""
    evil = "import sys; sys.evil = True"
    house.add("evil", "1.0", files={"evil.pth": evil + "\n", "sitecustomize.py": evil + "\n"})
    seen = Cell(
        "import sys; hasattr(sys, 'evil'), len([p for p in sys.path if 'site-packages' in p])"
    )
    child = Cell(
        "import subprocess\n"
        "look = [sys.executable, '-c', 'import sys; print(hasattr(sys, chr(101) + chr(118) + chr(105) + chr(108)))']\n"
        "subprocess.run(look, capture_output=True, text=True).stdout"
    )
    async with SessionManager(LocalBackend(cache_dir=tmp_path / "cache")) as sessions:
        lease = sessions.lease_once("me", purpose="pr", packages=("evil",), bare=True, shared=False)
        async with lease as held:
            ran = await held.programs.run_program(Program("look", (seen, child)))

    assert [cell.value for cell in ran.cells] == ["(False, 0)", "'True\\n'"], ran
