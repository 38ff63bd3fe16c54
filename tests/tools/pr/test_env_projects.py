"""Changed paths belong to the nearest project of a repository."""

from datetime import UTC, datetime

import pytest

from proofbox.tools.check_pr.environment.projects import project_folders
from proofbox.tools.check_pr.pull.pull import Change, Pull, Tree

_FILES = {
    "pyproject.toml": b"[tool.ruff]\n",
    "README.md": b"",
    "packages/one/pyproject.toml": b'[project]\nname = "one"\n',
    "packages/one/src/one/__init__.py": b"",
    "packages/one/tests/data/fake/setup.py": b"",
    "packages/two/setup.cfg": b"[metadata]\nname = two\n",
    "packages/two/two.py": b"",
    "packages/two/scripts/requirements.txt": b"attrs\n",
    "packages/two/scripts/run.py": b"",
    "old/setup.py": b"",
    "poetic/pyproject.toml": b'[tool.poetry]\nname = "poetic"\n',
    "loose/requirements.txt": b"attrs\n",
    "loose/deep/main.py": b"",
    "lint/pyproject.toml": b"[tool.black]\n",
    "lint/setup.cfg": b"[flake8]\n",
}


def changing(*paths: str, root: bool = False, deleted: bool = False) -> Pull:
    """A pull request for these paths; `root`: there is a project at the top, too."""
    when = datetime(2026, 1, 1, tzinfo=UTC)
    files = {**_FILES, **({"setup.py": b""} if root else {})}
    tree = Tree("a" * 40, when, files)
    kind = "deleted" if deleted else "modified"
    changes = tuple(Change(path, path, kind) for path in paths)
    return Pull("x", tree, Tree("b" * 40, when, {} if deleted else files), changes=changes)


@pytest.mark.parametrize(
    ("paths", "folders"),
    [
        (["packages/one/src/one/__init__.py"], ("packages/one",)),
        (["packages/one/tests/data/fake/setup.py"], ("packages/one",)),
        (["packages/one/x.py", "packages/two/two.py"], ("packages/one", "packages/two")),
        (["packages/two/scripts/run.py"], ("packages/two",)),
        (["README.md"], ("",)),
        (["README.md", "old/x.py"], ("old",)),
        (["poetic/a.py", "old/b.py"], ("old", "poetic")),
        (["loose/deep/main.py"], ("loose",)),
        (["lint/x.py"], ("",)),
        ([], ("",)),
    ],
)
def test_a_changed_path_belongs_to_the_nearest_project(
    paths: list[str], folders: tuple[str, ...]
) -> None:
    """Projects that tests use as data are none, and neither are folders with a linter's settings."""
    assert project_folders(changing(*paths)) == folders
    assert project_folders(changing(*paths, deleted=True)) == folders


def test_a_project_at_the_top_has_what_no_other_has() -> None:
    """And a list of requirements inside it makes no project of a folder."""
    assert project_folders(changing("README.md", "old/x.py", root=True)) == ("", "old")
    assert project_folders(changing("loose/deep/main.py", root=True)) == ("",)


def test_a_file_that_was_moved_concerns_both_places() -> None:
    """One project loses it, and the other gets it."""
    pull = changing()
    moved = Change("packages/two/x.py", "packages/one/x.py", "renamed")

    both = project_folders(Pull("x", pull.base, pull.head, changes=(moved,)))

    assert both == ("packages/one", "packages/two")
