"""Environments for the local backend, built by the real uv from wheels made here."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from wheelhouse import Wheelhouse

from proofbox.server.sandbox import InvalidInput
from proofbox.server.sandbox.local import DEFAULT_PACKAGES, environments
from proofbox.server.sandbox.local.environments import Environment, ensure

FIND = """
import sys, anyio
from pathlib import Path
from proofbox.server.sandbox.local.environments import ensure

before = set(sys.modules)
anyio.run(lambda: ensure(["tiny"], cache_dir=Path(sys.argv[1])))
print(sorted({"uv", "packaging"} & set(sys.modules)), "subprocess" in set(sys.modules) - before)
"""


def left_in(cache_dir: Path) -> list[str]:
    """What is beside the finished environments."""
    entries = (cache_dir / "environments").iterdir()
    return [entry.name for entry in entries if not (entry / environments.MANIFEST).exists()]


def every_file(environment: Environment) -> Iterator[tuple[Path, os.stat_result]]:
    """Each entry of an environment but the symbolic links."""
    for path in [environment.path, *environment.path.rglob("*")]:
        if not path.is_symlink():
            yield path, path.stat()


@pytest.mark.usefixtures("wheels")
async def test_an_environment_holds_what_was_asked_for_and_ipython(cache_dir: Path) -> None:
    """The names and versions come back, and the packages are there."""
    told: list[str] = []

    built = await ensure(["tiny"], cache_dir=cache_dir, on_progress=told.append)

    assert built.packages == {"ipython": "9.0", "tiny": "1.2"}
    assert built.python == ".".join(map(str, sys.version_info[:3]))
    assert list(built.path.glob("lib/python3.*/site-packages/tiny/__init__.py"))
    assert told[0].endswith("ipython, tiny")
    assert any(line.startswith("Resolved 2 packages") for line in told)
    assert left_in(cache_dir) == []


@pytest.mark.usefixtures("wheels")
async def test_the_second_request_starts_and_imports_nothing(cache_dir: Path) -> None:
    """Whoever finds an environment needs no uv, no process and no requirements parser."""
    built = await ensure(["tiny"], cache_dir=cache_dir)

    again = await anyio.run_process([sys.executable, "-c", FIND, str(cache_dir)])

    assert again.stdout.decode().split() == ["[]", "False"]
    assert await ensure(["tiny"], cache_dir=cache_dir) == built


@pytest.mark.usefixtures("wheels")
async def test_spellings_of_the_same_requirements_share_an_environment(cache_dir: Path) -> None:
    """Case, order, repetition and spaces make no difference; versions do."""
    built = await ensure(["tiny>=1,<2"], cache_dir=cache_dir)

    same = await ensure(["ipython", "Tiny < 2, >= 1", "tiny>=1,<2"], cache_dir=cache_dir)
    other = await ensure(["tiny"], cache_dir=cache_dir)

    assert same.path == built.path
    assert other.path != built.path


@pytest.mark.usefixtures("wheels")
async def test_it_is_laid_out_for_the_jail(cache_dir: Path) -> None:
    """The interpreter, the configuration and the scripts name places inside the jail."""
    built = await ensure(["tiny"], cache_dir=cache_dir)

    assert os.readlink(built.path / "bin" / "python") == built.interpreter_in_jail
    config = (built.path / "pyvenv.cfg").read_text()
    assert f"home = {os.path.dirname(built.interpreter_in_jail)}\n" in config
    assert (built.path / "bin" / "tiny").read_text().startswith("#!/env/bin/python\n")
    assert os.access(built.path / "bin" / "tiny", os.X_OK)


@pytest.mark.usefixtures("wheels")
async def test_no_file_names_a_place_on_the_host(cache_dir: Path) -> None:
    """Not the cache, and not the home below which it is: not in bytecode or records either."""
    built = await ensure(["tiny"], cache_dir=cache_dir)

    contents = {path: path.read_bytes() for path, _ in every_file(built) if path.is_file()}
    assert any(path.suffix == ".pyc" for path in contents)
    assert [path for path, text in contents.items() if b"home-of-somebody" in text] == []


@pytest.mark.usefixtures("wheels")
async def test_everybody_may_read_it_whatever_the_umask(cache_dir: Path) -> None:
    """As root the jail reads it as nobody."""
    before = os.umask(0o077)
    try:
        built = await ensure(["tiny"], cache_dir=cache_dir)
    finally:
        os.umask(before)

    modes = {str(path): status.st_mode for path, status in every_file(built)}
    closed = [path for path, mode in modes.items() if not mode & stat.S_IROTH]
    shut = [path for path, mode in modes.items() if stat.S_ISDIR(mode) and not mode & stat.S_IXOTH]
    assert (closed, shut) == ([], [])
    assert [path for path, mode in modes.items() if mode & 0o7022] == []


async def test_nothing_of_a_package_runs_during_the_build(
    wheels: Wheelhouse, cache_dir: Path, tmp_path: Path
) -> None:
    """Not its .pth files, not a module named like ours; and what it brings replaces nothing of ours."""
    trace = tmp_path / "ran"
    evil = f"import pathlib; pathlib.Path({str(trace)!r}).touch()\n"
    wheels.add(
        "evil",
        "1",
        files={
            "evil.pth": evil,
            "sitecustomize.py": evil,
            "py_compile.py": evil,
            "evil-1.data/data/pyvenv.cfg": "home = /nowhere\n",
            "evil-1.data/data/proofbox.json": "{}",
        },
    )

    built = await ensure(["evil"], cache_dir=cache_dir)

    assert "evil" in built.packages
    assert not trace.exists()
    assert os.readlink(built.path / "bin" / "python") == built.interpreter_in_jail
    assert "/nowhere" not in (built.path / "pyvenv.cfg").read_text()


async def test_a_broken_package_is_named(wheels: Wheelhouse, cache_dir: Path) -> None:
    """It is neither the index's nor the machine's fault."""
    wheels.add("broken", "1", files={"broken-1.data/scripts/python": "#!/bin/sh\n"})

    with pytest.raises(InvalidInput, match="A package is broken.*broken-1"):
        await ensure(["broken"], cache_dir=cache_dir)

    assert left_in(cache_dir) == []


async def test_a_package_that_must_be_built_is_refused(
    wheels: Wheelhouse, cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Building runs its code; neither its presence nor uv's variables make us."""
    trace = tmp_path / "ran"
    wheels.add_source("sourceonly", "1", setup=f"open({str(trace)!r}, 'w')")
    monkeypatch.setenv("UV_NO_BINARY", "1")

    with pytest.raises(InvalidInput, match=r"sourceonly.*Only wheels are installed"):
        await ensure(["sourceonly"], cache_dir=cache_dir)

    assert not trace.exists()
    assert left_in(cache_dir) == []


async def test_no_configuration_of_uv_makes_us_build(
    wheels: Wheelhouse, cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own file is read, since it may name the index, but wheels it must be."""
    trace = tmp_path / "ran"
    wheels.add_source("sourceonly", "1", setup=f"open({str(trace)!r}, 'w')")
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text(
        'no-build = false\n[pip]\nno-build = false\nno-binary = ["sourceonly"]\n'
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    with pytest.raises(InvalidInput, match="sourceonly"):
        await ensure(["sourceonly"], cache_dir=cache_dir)

    assert not trace.exists()


async def test_the_users_configuration_of_uv_names_the_index(
    wheels: Wheelhouse, cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a company's mirror nothing else knows it."""
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text(
        f'index = [{{ url = "{wheels.empty_index}", default = true }}]\n'
        f'[pip]\nfind-links = ["{wheels.directory}"]\n'
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    assert "tiny" in (await ensure(["tiny"], cache_dir=cache_dir)).packages


async def test_source_code_that_does_not_compile_is_no_obstacle(
    wheels: Wheelhouse, cache_dir: Path
) -> None:
    """Templates and code for old Pythons are common in packages."""
    wheels.add("old", "1", files={"old/two.py": "print 'two'\n"})

    built = await ensure(["old"], cache_dir=cache_dir)

    assert list(built.path.glob("lib/*/site-packages/old/__pycache__/__init__.*.pyc"))


@pytest.mark.parametrize(
    ("packages", "says"),
    [
        (["nosuchthing"], "nosuchthing was not found"),
        (["tiny==9"], "tiny==9"),
        (["tiny<1", "tiny>2"], "tiny"),
    ],
)
@pytest.mark.usefixtures("wheels")
async def test_requirements_that_cannot_be_met_are_the_callers_mistake(
    packages: list[str], says: str, cache_dir: Path
) -> None:
    """uv's reason comes with them, and nothing stays behind."""
    with pytest.raises(InvalidInput, match=says):
        await ensure(packages, cache_dir=cache_dir)

    assert left_in(cache_dir) == []


@pytest.mark.usefixtures("wheels")
async def test_a_configuration_file_of_somebody_else_changes_nothing(
    cache_dir: Path, tmp_path: Path
) -> None:
    """uv looks for one in every directory above."""
    (tmp_path / "uv.toml").write_text("this is no toml")

    built = await ensure(["tiny"], cache_dir=cache_dir)

    assert "tiny" in built.packages


async def test_an_index_that_only_pip_was_told_of_is_used(
    wheels: Wheelhouse, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv does not read pip's variables; many mirrors are known by nothing else."""
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", wheels.as_index())

    assert "tiny" in (await ensure(["tiny"], cache_dir=cache_dir)).packages


@pytest.mark.usefixtures("wheels")
async def test_variables_that_change_what_uv_does_do_not_reach_it(
    cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's shell may be set up for another project."""
    for name in ("UV_PYTHON", "UV_PROJECT", "UV_CONSTRAINT", "UV_OVERRIDE", "PYTHONPATH"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    monkeypatch.setenv("UV_REQUIRE_HASHES", "1")

    assert "tiny" in (await ensure(["tiny"], cache_dir=cache_dir)).packages


@pytest.mark.usefixtures("wheels")
async def test_without_a_home_uv_keeps_its_cache_with_ours(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service may have none."""
    for name in ("HOME", "XDG_CACHE_HOME", "UV_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)

    await ensure(["tiny"], cache_dir=cache_dir)

    assert (cache_dir / "environments" / ".uv").is_dir()


@pytest.mark.slow
async def test_the_default_packages_come_from_the_real_index(cache_dir: Path) -> None:
    """The one test here that needs a network: names, wheels and sizes as they are."""
    with anyio.fail_after(600):
        built = await ensure(DEFAULT_PACKAGES, cache_dir=cache_dir)

    assert {*DEFAULT_PACKAGES} <= built.packages.keys()
    assert (built.path / "bin" / "pytest").read_text().startswith("#!/env/bin/python\n")
