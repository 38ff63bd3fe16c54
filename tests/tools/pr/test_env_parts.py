"""The parts that environments are made by, each alone."""

import io
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pr_house import new_house
from wheelhouse import Wheelhouse

from proofbox.tools.check_pr.environment.archives import NoArchive, fetch_source
from proofbox.tools.check_pr.environment.build_system import (
    read_build_system,
    unreadable,
    version_of,
)
from proofbox.tools.check_pr.environment.locks import read_lock
from proofbox.tools.check_pr.environment.overlay import BadWheel, lay_over, read_wheel
from proofbox.tools.check_pr.environment.pythons import accepts
from proofbox.tools.check_pr.environment.resolving import Resolver, Source, cutoff, readable
from proofbox.tools.run_generated_tests.manifest import Manifest

_METADATA = "thing-1.0.dist-info/METADATA"


def wheel(files: Mapping[str, str]) -> bytes:
    """A wheel with these files, and metadata unless they have some."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in {_METADATA: "Name: thing\nVersion: 1.0\n", **files}.items():
            archive.writestr(path, text)
    return target.getvalue()


def test_what_a_build_makes_lies_where_imports_begin() -> None:
    """Beside the modules of the tree, whichever folder they are in; what the tree has stays."""
    tree = {
        "src/thing/__init__.py": b"one",
        "lib/other.py": b"x",
        "build/lib/thing/__init__.py": b"one",
    }
    built = read_wheel(
        wheel(
            {
                "thing/__init__.py": "one",
                "thing/_speed.cpython-311.so": "binary",
                "other.py": "x",
                "thing/__init__.cpython-311.pyc": "",
                "thing-1.0.data/purelib/fresh.py": "y",
                "thing-1.0.data/scripts/tool": "z",
            }
        )
    )

    assert set(lay_over(built, tree)) == {
        "src/thing/_speed.cpython-311.so",
        f"src/{_METADATA}",
        "src/fresh.py",
    }
    assert (built.name, built.version) == ("thing", "1.0")


def test_a_build_brings_nothing_that_decides_how_tests_are_run() -> None:
    """What lies in the tree is judged with base's; what a build writes there nobody would see."""
    made = {"thing/made.py": "", "conftest.py": "", "thing/conftest.py": "", "sitecustomize.py": ""}
    built = read_wheel(wheel({"thing/__init__.py": "", "pytest.ini": "", **made}))

    assert set(lay_over(built, {"thing/__init__.py": b""})) == {"thing/made.py", _METADATA}


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: b"no zip", "zip"),
        (lambda: wheel({})[:-30], "zip"),
        (lambda: wheel({_METADATA: ""}).replace(b"METADATA", b"METADATO"), "metadata"),
        (lambda: wheel({f"{number}.py": "" for number in range(20_001)}), "files"),
    ],
    ids=["no zip", "cut", "no metadata", "many files"],
)
def test_a_wheel_that_nobody_would_install_is_refused(made: Callable[[], bytes], why: str) -> None:
    """A stranger's build has made it."""
    with pytest.raises(BadWheel, match=why):
        read_wheel(made())


def test_a_wheel_cannot_lay_files_outside_of_the_tree() -> None:
    """Nor unpack to more than memory."""
    evil = read_wheel(
        wheel({"../out.py": "", "/etc/passwd": "", "a/../../b.py": "", "c\\d.py": ""})
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.py", bytes(100 * 1024**2))

    assert set(evil.files) == {_METADATA}
    with pytest.raises(BadWheel, match="bytes"):
        read_wheel(target.getvalue())


def test_requirements_that_would_be_options_are_not_written_down() -> None:
    """uv reads them from a file."""
    good, bad = readable(
        ["attrs >=20", "a\n--index-url https://x", "-r x", "b @ https://x/b.whl", "c" * 600]
    )

    assert good == ["attrs>=20"]
    assert len(bad) == 4


def test_old_commits_get_packages_of_their_time_and_of_their_python() -> None:
    """A Python that came later could use none of what was there before it."""
    now = datetime.now(UTC)

    assert cutoff(datetime(2024, 5, 1, tzinfo=UTC), "3.11.7") == datetime(2024, 5, 1, tzinfo=UTC)
    young = cutoff(datetime(2015, 5, 1), "3.11.7")
    assert young is not None
    assert young.year == 2023
    assert cutoff(now - timedelta(hours=1), "3.11.7") is None


def test_how_a_project_is_built_is_found_in_what_it_says() -> None:
    """And where it says nothing, as everybody's tools take it."""
    flit = b'[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\nbackend-path = ["."]\n'
    modern, legacy = (
        read_build_system({"pyproject.toml": flit}),
        read_build_system({"setup.py": b""}),
    )

    assert modern is not None
    assert legacy is not None
    assert (modern.requires, modern.backend, modern.path) == (
        ("flit_core",),
        "flit_core.buildapi",
        (".",),
    )
    assert legacy.backend == "setuptools.build_meta:__legacy__"
    assert (
        read_build_system({"pyproject.toml": b"[tool.black]\n", "setup.cfg": b"[flake8]\n"}) is None
    )
    assert unreadable({"pyproject.toml": b"[project\n"}).startswith(
        "pyproject.toml cannot be read: "
    )
    assert unreadable({"pyproject.toml": b"\xff"})
    assert not unreadable({})
    assert version_of(Manifest(version="2.0"), {}) == "2.0"
    assert (
        version_of(Manifest(version="0.0.0"), {"x.egg-info/PKG-INFO": b"Version: 3.1\n"}) == "3.1"
    )
    assert version_of(Manifest(), {"PKG-INFO": b"Version: $(id)\n"}) == "0.0.0"


def test_a_lock_has_what_is_locked_to_one_version() -> None:
    """Several are for several systems, and what is no version is not read."""
    lock = "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n'
        for name, version in [
            ("a", "1"),
            ("b", "1"),
            ("b", "2"),
            ("C_c", "3.0"),
            ("d", "x y"),
            ("e f", "1"),
        ]
    )

    assert read_lock({"poetry.lock": lock.encode()}) == ("poetry.lock", {"a": "1", "c-c": "3.0"})
    assert read_lock({"uv.lock": b"not [ toml"}) == ("", {})


def test_a_python_is_accepted_as_the_project_says() -> None:
    """What cannot be read keeps nobody out."""
    assert accepts([">=3.9", "", "nonsense"], "3.11.7")
    assert not accepts([">=3.9", ">=3.12"], "3.11.7")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheelhouse:
    """uv finds what is in this house and nothing else."""
    made = new_house(tmp_path / "house")
    monkeypatch.setenv("UV_DEFAULT_INDEX", made.empty_index)
    monkeypatch.setenv("UV_FIND_LINKS", str(made.directory))
    return made


async def test_plugins_that_a_project_pins_do_not_keep_its_tests_from_running(
    house: Wheelhouse, tmp_path: Path
) -> None:
    """What drives them is taken in a version that can; a pytest that cannot be driven is replaced, and named."""
    house.add("pluggy", "0.9")
    house.add("pytest", "5.4")
    house.add("pytest", "7.4")
    resolver = Resolver("3.11.7", tmp_path)

    pinned = await resolver.resolve(["pluggy==0.9"])
    old = await resolver.resolve(["pytest<6"])

    assert "pluggy==1.6.0" in pinned.pins
    assert "pytest==8.4.0" in pinned.pins
    assert "pytest==7.4" in old.pins
    assert (pinned.too_old, old.too_old) == ("", "5.4")


async def test_a_package_without_wheels_is_named_and_found_without_running_it(
    house: Wheelhouse, tmp_path: Path
) -> None:
    """uv would build it to know what it requires; it is told."""
    mark = tmp_path / "ran"
    house.add_source("srconly", "1.0", setup=f"open({str(mark)!r}, 'w')")
    resolver = Resolver("3.11.7", tmp_path)

    without = await resolver.resolve(["srconly"])
    known = await resolver.resolve(["srconly"], sources=[Source("srconly")])
    places = await resolver.locate(["srconly==1.0"])

    assert (without.fault, without.without_wheel) == ("project", ("srconly",))
    assert "srconly==1.0" in known.pins
    assert isinstance(places, dict)
    assert await fetch_source(places["srconly"]) == {
        "setup.py": f"open({str(mark)!r}, 'w')".encode(),
        "PKG-INFO": b"Metadata-Version: 2.1\nName: srconly\nVersion: 1.0\n",
    }
    assert not mark.exists()


@pytest.mark.parametrize("address", ["ftp://host/x.tar.gz", "file:///nowhere/x.tar.gz"])
async def test_an_archive_that_cannot_be_had_says_so(address: str) -> None:
    """Without the address, which may hold a password."""
    with pytest.raises(NoArchive) as raised:
        await fetch_source(address)

    assert "host" not in str(raised.value)
    assert "nowhere" not in str(raised.value)
