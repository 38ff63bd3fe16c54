"""The examples that gate a merge or a commit let good repositories through, and stop bad ones."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from actions_runner import ROOT, Runner
from github_stub import GitHubStub
from pr_repos import Repo
from wheelhouse import Wheelhouse

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"
WORKFLOW: dict[str, Any] = yaml.safe_load((EXAMPLES / "github-workflow.yml").read_text())

PAGE = "# Shop\n\n```python\nprint(sum([3, 4]))\n#> {}\n```\n"
SHOP = dedent("""\
    def discount(price, percent):
        return price - price * percent / 100
    """)
TESTS = dedent("""\
    from shop import discount

    def test_it_takes_a_share_off():
        assert discount(50, 10) == 45
    """)
GOOD = {
    "README.md": PAGE.format(7),
    "docs/guide.md": PAGE.format(7),
    "src/shop.py": SHOP,
    "tests/test_shop.py": TESTS,
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n',
}


@pytest.fixture
def stub() -> Iterator[GitHubStub]:
    """GitHub, for the action."""
    with GitHubStub() as stub:
        yield stub


def runner(folder: Path, files: Mapping[str, str], cache: Path, stub: GitHubStub) -> Runner:
    """A machine for a pull request that brings these files, from a branch of the repository itself."""
    folder.mkdir()
    repo = Repo(folder / "repository")
    base = repo.commit({**GOOD, "src/shop.py": SHOP.replace("price - ", "price -  ")})
    repo.commit(dict(files), on="feature", start=base)
    repo.checkout("feature")
    stub.add("octo/app", repo.path)
    pull = stub.open_pull("octo/app", head="feature", head_repo="octo/app")
    event = {"pull_request": {"number": pull.number, "head": {"repo": {"full_name": "octo/app"}}}}
    github = {
        "repository": "octo/app",
        "token": stub.token,
        "server_url": stub.url,
        "event": event,
    }
    machine = folder / "machine"
    machine.mkdir()
    settings = {"PROOFBOX_CACHE_DIR": str(cache), "PROOFBOX_DATA_DIR": str(folder / "data")}
    return Runner(machine, repo.path, github, settings)


def test_good_words_pass_and_bad_ones_do_not(
    tmp_path: Path, local_cache: Path, stub: GitHubStub
) -> None:
    """An example that prints something else stops the job, and so does a test that tests nothing."""
    job = WORKFLOW["jobs"]["words"]
    install, snippets, tests = job["steps"][1:]
    vacuous = TESTS.replace("== 45", "is not None or True")

    good = runner(tmp_path / "good", GOOD, local_cache, stub).run_job(job)
    broken = {**GOOD, "docs/guide.md": PAGE.format(8), "tests/test_shop.py": vacuous}
    machine = runner(tmp_path / "bad", broken, local_cache, stub)
    bad = machine.run_job(job)
    worse = machine.run_step(tests)

    assert good.failed is None, good.printed
    assert good.notes.splitlines() == [
        "pipx install git+https://github.com/OWNER/proofbox@v1",
        "sudo sysctl --quiet --write kernel.apparmor_restrict_unprivileged_userns=0",
    ]
    assert "2 passed" in good.printed
    assert "1 to keep" in good.printed
    assert bad.failed == snippets["name"], bad.printed
    assert "docs/guide.md:5: failed, output_mismatch" in bad.printed
    assert worse.failed == tests["name"], worse.printed
    assert "vacuous" in worse.printed
    assert "proofbox@v1" in install["run"]


def test_a_change_that_breaks_what_held_is_stopped(
    tmp_path: Path, local_cache: Path, stub: GitHubStub
) -> None:
    """By the action itself, with the review in the summary and in one comment."""
    job = WORKFLOW["jobs"]["change"]

    good = runner(tmp_path / "good", GOOD, local_cache, stub).run_job(job)
    told = [one["body"] for one in stub.comments.values()]
    stub.comments.clear()
    wrong = {**GOOD, "src/shop.py": SHOP.replace("- price", "+ price")}
    bad = runner(tmp_path / "bad", wrong, local_cache, stub).run_job(job)

    assert good.failed is None, good.printed
    assert f"python -m pip install --quiet {ROOT}" in good.notes
    assert ["passed" in body for body in told] == [True]
    assert bad.failed == "OWNER/proofbox@v1", bad.printed
    assert "pass_to_fail" in bad.printed
    assert "test_it_takes_a_share_off" in bad.summary
    assert len(stub.comments) == 1


COPIED = """\
import pathlib, shutil

def build_wheel(folder, *_):
    (wheel,) = pathlib.Path(".").glob("*.whl")
    return pathlib.Path(shutil.copy(wheel, folder)).name
"""


def published(folder: Path) -> Repo:
    """A repository as pre-commit clones and installs it, with our hook; its command is that of the tests."""
    house = Wheelhouse(folder / "house")
    command = f"{sysconfig.get_path('scripts')}/proofbox"
    main = f"import os, sys\n\ndef main():\n    os.execv({command!r}, sys.argv)\n"
    house.add("proofbox", "1", files={"proofbox/__init__.py": main}, script="proofbox")
    (wheel,) = house.directory.glob("proofbox-*.whl")
    build = {"requires": "[]", "build-backend": '"copied"', "backend-path": '["."]'}
    lines = "\n".join(f"{key} = {value}" for key, value in build.items())
    repo = Repo(folder / "proofbox")
    repo.commit(
        {
            ".pre-commit-hooks.yaml": (ROOT / ".pre-commit-hooks.yaml").read_text(),
            "pyproject.toml": f"[build-system]\n{lines}\n",
            "copied.py": COPIED,
            wheel.name: wheel.read_bytes(),
        }
    )
    repo.branch("refs/tags/v0.1.0", "main")
    return repo


def test_a_commit_with_a_broken_example_is_stopped(tmp_path: Path, local_cache: Path) -> None:
    """By pre-commit itself, with the hook of this repository."""
    config = (EXAMPLES / "pre-commit-config.yaml").read_text()
    config = config.replace("https://github.com/OWNER/proofbox", str(published(tmp_path).path))
    repo = Repo(tmp_path / "shop")
    repo.commit({**GOOD, ".pre-commit-config.yaml": config})
    repo.checkout()
    env = {
        **os.environ,
        "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"),
        "PROOFBOX_CACHE_DIR": str(local_cache),
        "PIP_NO_INDEX": "1",
    }

    def hook() -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", "pre_commit", "run", "--all-files", "--verbose")
        return subprocess.run(
            command,
            cwd=repo.path,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    good = hook()
    (repo.path / "README.md").write_text(PAGE.format(8))
    bad = hook()
    (repo.path / "README.md").write_text("# Shop\n")
    (repo.path / "docs/guide.md").write_text("# Guide\n")
    empty = hook()

    assert good.returncode == 0, good.stdout + good.stderr
    assert "WARNING" not in good.stdout
    assert "2 passed" in good.stdout
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert "README.md:5: failed, output_mismatch" in bad.stdout
    assert empty.returncode == 1, empty.stdout + empty.stderr
    assert "NO SNIPPETS" in empty.stdout
