"""Pull requests of local repositories: two trees and their difference, and nothing of the repository honoured."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from pr_repos import FIRST, Link, Repo, Script, Submodule

from proofbox.server.github import GitHubAccess
from proofbox.server.sandbox import InvalidInput
from proofbox.tools.check_pr.pull import git
from proofbox.tools.check_pr.pull.fetch import fetch_pull
from proofbox.tools.check_pr.pull.places import Places
from proofbox.tools.check_pr.pull.pull import Change, Pull
from proofbox.tools.check_pr.request import PrRequest

CODE = "def one():\n    return 1\n\n\ndef two():\n    return 2\n"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Repositories may be anywhere below the test's folder."""
    return Places((tmp_path,), tmp_path / "cache", GitHubAccess())


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A repository with one commit on main."""
    made = Repo(tmp_path / "app")
    made.commit({"a.py": CODE, "data/x.bin": b"\0\1", "README.md": "# App\n"})
    return made


async def pull_of(places: Places, **options: object) -> Pull:
    """The pull request, of the repository `app` where nothing else is said."""
    request = replace(PrRequest("app"), **options)  # pyright: ignore[reportArgumentType]
    return await fetch_pull(request, places, lambda said: None)


def why(pull: Pull) -> dict[str, str]:
    """What stayed home at head, and why."""
    return {one.path: one.why for one in pull.head.stayed_home}


async def test_both_trees_and_the_lines_that_changed(repo: Repo, places: Places) -> None:
    """Measured from the commit that both have in common, though base has moved on."""
    base = repo.name_of("main")
    head = repo.commit(
        {
            "a.py": CODE.replace("return 2", "return 3\n") + "\n\nx = 1",
            "data/x.bin": b"\0\2",
            "README.md": None,
            "docs/README.md": "# App\n",
            "new/b.py": "x = 1\ny = 2\n",
        },
        on="feature",
        start=base,
    )
    tip = repo.commit({"other.py": "z = 1\n"})

    pull = await pull_of(places, base="main", head="feature")

    assert (pull.name, pull.tip, pull.merge) == ("main...feature", tip, "clean")
    assert (pull.base.commit, pull.head.commit) == (base, head)
    assert pull.base.when == FIRST
    assert pull.changes == (
        Change("a.py", "a.py", "modified", added=(6, 7, 8, 9, 10), removed=(6,)),
        Change("data/x.bin", "data/x.bin", "modified", binary=True),
        Change("docs/README.md", "README.md", "renamed"),
        Change("new/b.py", "", "added", added=(1, 2)),
    )
    assert set(pull.base.files) == {"a.py", "data/x.bin", "README.md"}
    assert set(pull.head.files) == {"a.py", "data/x.bin", "docs/README.md", "new/b.py"}
    assert pull.head.files["data/x.bin"] == b"\0\2"
    assert "+    return 3\n" in pull.diff


async def test_merged_head_is_compared_with_the_tip_of_base(repo: Repo, places: Places) -> None:
    """So that what base gained meanwhile is no change of the pull request's."""
    start = repo.name_of("main")
    repo.commit({"b.py": "x = 1\n"}, on="feature", start=start)
    tip = repo.commit({"c.py": "y = 1\n"})

    pull = await pull_of(places, base="main", head="feature", merged=True)

    assert pull.base.commit == tip
    assert set(pull.head.files) - set(pull.base.files) == {"b.py"}
    assert [change.path for change in pull.changes] == ["b.py"]
    assert "c.py" in pull.head.files
    assert "merged into base" in pull.notes[0]


async def test_a_conflict_is_told_with_its_files(repo: Repo, places: Places) -> None:
    """And head is judged as it is, though it was to be merged."""
    start = repo.name_of("main")
    repo.commit({"a.py": CODE.replace("2", "3")}, on="feature", start=start)
    repo.commit({"a.py": CODE.replace("2", "4")})

    pull = await pull_of(places, base="main", head="feature", merged=True)

    assert (pull.merge, pull.conflicts) == ("conflicts", ("a.py",))
    assert pull.base.commit == start
    assert b"return 3" in pull.head.files["a.py"]
    assert "does not merge" in pull.notes[0]


@pytest.mark.parametrize("diff", ["\n", ""])
async def test_an_empty_diff_changes_nothing(repo: Repo, places: Places, diff: str) -> None:
    """Which is for others to judge."""
    pull = await pull_of(places, diff=diff)

    assert pull.changes == ()
    assert pull.base.files == pull.head.files != {}


async def test_a_diff_of_400_files_is_read_whole(repo: Repo, places: Places) -> None:
    """Every one with its line."""
    repo.commit({f"m/f{number}.py": f"x = {number}\n" for number in range(400)}, on="feature")

    pull = await pull_of(places, base="main", head="feature")

    assert len(pull.changes) == len(pull.head.files) - len(pull.base.files) == 400
    assert {change.added for change in pull.changes} == {(1,)}


PATCH = """\
--- a/a.py
+++ b/a.py
@@ -4,3 +4,3 @@

 def two():
-    return 2
+    return 20
--- /dev/null
+++ b/new.py
@@ -0,0 +1 @@
+x = 1
"""


@pytest.mark.parametrize("form", ["as text", "without prefixes", "in a file"])
async def test_a_diff_is_applied_on_top_of_base(
    repo: Repo, places: Places, tmp_path: Path, form: str
) -> None:
    """HEAD, where nothing is said; the repository and its index stay as they are."""
    repo.checkout()
    (tmp_path / "change.patch").write_text(PATCH)
    plain = PATCH.replace(" a/", " ").replace(" b/", " ")
    given = {
        "as text": {"diff": PATCH.rstrip("\n")},
        "without prefixes": {"diff": plain},
        "in a file": {"patch": "change.patch"},
    }[form]

    pull = await pull_of(places, **given)

    assert pull.name == "HEAD with a diff"
    assert pull.changes == (
        Change("a.py", "a.py", "modified", added=(6,), removed=(6,)),
        Change("new.py", "", "added", added=(1,)),
    )
    assert (pull.head.commit, pull.head.when) == ("", pull.base.when)
    assert b"return 20" in pull.head.files["a.py"]
    assert repo.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("diff", "told"),
    [
        ("Please make it faster.", "no patch in it"),
        (PATCH.replace("return 2\n", "return 7\n"), "a.py does not fit at line 4"),
        (PATCH.replace("/a.py", "/gone.py"), "gone.py is not there"),
        (PATCH.replace("new.py", "a.py"), "a.py is there already"),
        (PATCH.replace("b/new.py", "b/../../new.py"), "'../../new.py'"),
        (PATCH.replace("b/new.py", "b/.git/hooks/x"), "'.git/hooks/x'"),
    ],
)
async def test_a_diff_that_does_not_apply_is_told_file_by_file(
    repo: Repo, places: Places, tmp_path: Path, diff: str, told: str
) -> None:
    """And nothing is written anywhere, in the tree or out of it."""
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(InvalidInput) as refused:
        await pull_of(places, diff=diff)

    assert told in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


async def test_what_must_not_leave_stays_home_with_why(repo: Repo, places: Places) -> None:
    """Secrets by name and content, submodules, pointers, large files, and names that no file can have."""
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n"
    repo.commit(
        {
            ".env": "PASSWORD=hunter2\n",
            "settings.py": f'KEY = """{key}"""\n',
            "vendor/lib": Submodule(),
            "model.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "large.csv": "x" * (1024**2 + 1),
            "odd\x1b[31m.py": "x = 1\n",
            "tests/data/all.weird": b"\xff\xfe",
            "run.sh": Script("#!/bin/sh\n"),
        },
        on="feature",
    )

    pull = await pull_of(places, base="main", head="feature")

    assert why(pull) == {
        ".env": "secret",
        "settings.py": "secret",
        "vendor/lib": "kind",
        "model.bin": "kind",
        "large.csv": "size",
        "odd\x1b[31m.py": "kind",
    }
    assert {"tests/data/all.weird", "run.sh"} <= set(pull.head.files)
    assert "MIIEow" not in pull.diff
    assert "hunter2" not in pull.diff


def _tree(repo: Repo, *lines: str) -> str:
    """A tree as only a program writes it: git itself checks nothing here."""
    return repo.git("mktree", "--missing", input="".join(f"{line}\n" for line in lines).encode())


async def test_trees_that_nobody_can_check_out_are_read_as_far_as_they_go(
    repo: Repo, places: Places
) -> None:
    """Paths that lead out of the tree or into `.git`, and files that are folders as well, stay home."""
    blob = repo.git("hash-object", "-w", "--stdin", input=b"x = 1\n")
    inner = _tree(repo, f"100644 blob {blob}\tevil.py")
    tree = _tree(
        repo,
        *(f"040000 tree {inner}\t{name}" for name in ("..", ".git", ".GIT", "a.py", "fine")),
        f"100644 blob {blob}\ta.py",
        f"120000 blob {blob}\tlink",
    )
    repo.branch("odd", repo.git("commit-tree", "-p", "main", "-m", "odd", tree))

    pull = await pull_of(places, base="main", head="odd")

    assert set(pull.head.files) == {"a.py/evil.py", "fine/evil.py"}
    assert set(why(pull)) == {"../evil.py", ".git/evil.py", ".GIT/evil.py", "a.py", "link"}


async def test_a_tree_of_billions_of_files_is_refused(
    repo: Repo, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handful of objects is enough for one: each folder has the next one ten times."""
    monkeypatch.setattr(git, "MOST_BYTES", 2**20)
    blob = repo.git("hash-object", "-w", "--stdin", input=b"x = 1\n")
    tree = _tree(repo, f"100644 blob {blob}\tx.py")
    for _ in range(10):
        tree = _tree(repo, *(f"040000 tree {tree}\td{number}" for number in range(10)))
    repo.branch("bomb", repo.git("commit-tree", "-p", "main", "-m", "bomb", tree))

    with anyio.fail_after(60), pytest.raises(InvalidInput, match="too large"):
        await pull_of(places, base="main", head="bomb")


async def test_a_huge_file_has_no_lines(repo: Repo, places: Places) -> None:
    """It stays home, so nobody needs them."""
    repo.commit({"large.py": "x = 1\n" * 400_000, "b.py": "y = 1\n"}, on="feature")

    pull = await pull_of(places, base="main", head="feature")

    assert pull.changes == (
        Change("b.py", "", "added", added=(1,)),
        Change("large.py", "", "added", binary=True),
    )


async def test_a_file_that_stays_home_on_one_side_does_on_both(repo: Repo, places: Places) -> None:
    """Else a test that reads it would fail at head alone, for our reason."""
    repo.commit({"a.py": CODE + "# -----BEGIN PRIVATE KEY-----\n"}, on="feature")

    pull = await pull_of(places, base="main", head="feature")

    assert "a.py" not in pull.base.files
    assert "a.py" not in pull.head.files


async def test_links_inside_the_tree_are_copies_and_others_stay_home(
    repo: Repo, places: Places
) -> None:
    """Also to folders, by way of other links, and in circles."""
    repo.commit(
        {
            "same.py": Link("a.py"),
            "pkg/up.py": Link("../same.py"),
            "files": Link("data"),
            "data/back": Link("../files"),
            "host": Link("/etc/passwd"),
            "out": Link("../../outside"),
            "through": Link("pkg/../../x"),
            "circle": Link("circle"),
            "dangling": Link("nothing"),
            "all": Link("."),
        },
        on="feature",
    )

    pull = await pull_of(places, base="main", head="feature")

    expected = {path: pull.head.files["a.py"] for path in ("same.py", "pkg/up.py")}
    assert expected.items() <= pull.head.files.items()
    assert pull.head.files["files/x.bin"] == b"\0\1"
    assert set(why(pull)) == {
        *("host", "out", "through", "circle", "dangling", "all", "data/back"),
    }
    assert set(why(pull).values()) == {"link"}


async def test_paths_that_differ_in_case_are_noted(repo: Repo, places: Places) -> None:
    """Both are there: the sandbox can tell them apart."""
    repo.commit({"A.py": "x = 1\n"}, on="feature")

    pull = await pull_of(places, base="main", head="feature")

    assert {"A.py", "a.py"} <= set(pull.head.files)
    assert any("A.py and a.py" in note for note in pull.notes)


async def test_a_file_that_becomes_a_link_is_one_change(repo: Repo, places: Places) -> None:
    """git shows it in two parts, which must not shift those of the files after it."""
    repo.commit({"README.md": Link("a.py"), "z.py": "x = 1\n"}, on="feature")

    pull = await pull_of(places, base="main", head="feature")

    assert pull.changes[0].path == "README.md"
    assert pull.changes[-1] == Change("z.py", "", "added", added=(1,))


def _hostile_configuration(repo: Repo, marks: Path) -> None:
    """Everything in a repository that git would run a program for."""
    script = marks / "run.sh"
    script.write_text(f'#!/bin/sh\necho "$0 $@" >> {marks}/ran\ncat\n')
    script.chmod(0o755)
    for key in (
        *("core.fsmonitor", "core.pager", "core.sshCommand", "core.askPass", "diff.external"),
        *(
            "diff.x.textconv",
            "diff.x.command",
            "filter.x.smudge",
            "filter.x.clean",
            "merge.x.driver",
        ),
        *(
            "credential.helper",
            "core.gitProxy",
            "core.alternateRefsCommand",
            "uploadpack.packObjectsHook",
        ),
        *("gpg.program", "core.editor", "pager.show", "pager.diff-tree"),
    ):
        repo.git("config", key, str(script))
    repo.git("config", "log.showSignature", "true")
    repo.git("config", "remote.origin.url", f"ext::{script}")
    repo.git("config", "remote.origin.promisor", "true")
    repo.git("config", "protocol.ext.allow", "always")
    hooks = repo.path / ".git" / "hooks"
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        (hooks / name).write_text(script.read_text())
        (hooks / name).chmod(0o755)
    (repo.path / ".git" / "info" / "attributes").write_text("* filter=x diff=x merge=x\n")


async def test_nothing_of_the_repository_is_run_or_written(
    repo: Repo, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not its hooks, filters, drivers, monitors or remotes; nor is the environment's or user's git heeded."""
    marks = tmp_path / "marks"
    marks.mkdir()
    start = repo.name_of("main")
    gone = repo.git("hash-object", "-w", "--stdin", input=b"gone\n")
    repo.commit(
        {".gitattributes": "* filter=x diff=x merge=x\n*.py -diff\n", "a.py": CODE + "x = 1\n"},
        on="feature",
        start=start,
    )
    repo.commit({"a.py": "y = 1\n" + CODE})
    repo.branch(f"refs/replace/{start}", repo.name_of("main"))
    (repo.path / ".git" / "info" / "grafts").write_text(f"{repo.name_of('feature')}\n")
    repo.branch("refs/tags/of-a-file", gone)
    _hostile_configuration(repo, marks)
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(marks / "run.sh"))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    before = {path: path.stat().st_mtime_ns for path in repo.path.rglob("*")}

    pull = await pull_of(places, base="main", head="feature", merged=True)
    await pull_of(places, diff=PATCH, base=start)

    assert pull.merge == "clean"
    assert b"x = 1\n" in pull.head.files["a.py"]
    assert next(one for one in pull.changes if one.path == "a.py").added != ()
    assert list(marks.iterdir()) == [marks / "run.sh"]
    assert {path: path.stat().st_mtime_ns for path in repo.path.rglob("*")} == before
    repo.git("diff", "main", "feature")
    assert (marks / "ran").exists()  # so all this is for something


def _bare(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "-q", "--bare", str(repo.path), str(tmp_path / "other"))


def _worktree(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "-q", str(tmp_path / "other"), "feature")


def _submodule(repo: Repo, tmp_path: Path) -> None:
    outer = Repo(tmp_path / "outer")
    outer.commit({"x": "1\n"})
    outer.checkout()
    add = ("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(repo.path), "sub")
    outer.git(*add)
    outer.git("-C", "sub", "branch", "feature", "origin/feature")
    (tmp_path / "other").symlink_to(outer.path / "sub")


def _below(repo: Repo, tmp_path: Path) -> None:
    repo.checkout()
    (tmp_path / "other").symlink_to(repo.path / "data")


def _shared(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "-q", "--shared", str(repo.path), str(tmp_path / "other"))
    repo.git("-C", str(tmp_path / "other"), "branch", "feature", "origin/feature")


def _packed(repo: Repo, tmp_path: Path) -> None:
    repo.git("pack-refs", "--all")
    repo.git("gc", "-q")
    (tmp_path / "other").symlink_to(repo.path)


@pytest.mark.parametrize("make", [_bare, _worktree, _submodule, _below, _shared, _packed])
async def test_every_kind_of_repository_is_read(
    repo: Repo, places: Places, tmp_path: Path, make: Callable[[Repo, Path], None]
) -> None:
    """With its objects where they are."""
    repo.commit({"b.py": "x = 1\n"}, on="feature")
    make(repo, tmp_path)

    pull = await pull_of(places, repo="other", base="main", head="feature")

    assert [change.path for change in pull.changes] == ["b.py"]


async def test_a_linked_work_tree_has_its_own_head(
    repo: Repo, places: Places, tmp_path: Path
) -> None:
    """A diff without a base goes on top of that."""
    head = repo.commit({"b.py": "x = 1\n"}, on="feature")
    _worktree(repo, tmp_path)

    pull = await pull_of(places, repo="other", diff="\n")

    assert pull.base.commit == head


async def test_a_work_tree_outside_the_roots_counts_only_if_its_repository_knows_it(
    repo: Repo, tmp_path: Path
) -> None:
    """A file that names any repository of this machine must not open it."""
    repo.commit({"b.py": "x = 1\n"}, on="feature")
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    repo.git("worktree", "add", "-q", str(allowed / "linked"), "feature")
    (allowed / "forged").mkdir()
    (allowed / "forged" / ".git").write_text(f"gitdir: {repo.path}/.git\n")
    (allowed / "direct").mkdir()
    (allowed / "direct" / ".git").symlink_to(repo.path / ".git")
    (allowed / "objects").mkdir()
    Repo(allowed / "borrowing")
    (allowed / "borrowing" / ".git" / "objects").rename(tmp_path / "elsewhere")
    (allowed / "borrowing" / ".git" / "objects").symlink_to(repo.path / ".git" / "objects")
    places = Places((allowed,), tmp_path / "cache", GitHubAccess())

    pull = await pull_of(places, repo="linked", diff="\n")
    assert "b.py" in pull.head.files
    for name in ("forged", "direct", "borrowing"):
        with pytest.raises(InvalidInput, match="may(?: not)? be read"):
            await pull_of(places, repo=name, base="main", head="feature")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"head": "nowhere"}, "head 'nowhere' is no commit"),
        ({"base": "--all", "head": "main"}, "base '--all' is no commit"),
        ({"head": "main:a.py"}, "is no commit"),
        ({"repo": "plain", "head": "main"}, "no git repository"),
        ({"repo": "../..", "head": "main"}, "no folder inside"),
        ({"patch": "../../etc/passwd"}, "outside the folders"),
        ({"patch": "missing.patch"}, "no file"),
        ({"repo": "empty", "diff": PATCH}, "no commit yet"),
    ],
)
async def test_what_is_not_there_is_said(
    repo: Repo, places: Places, tmp_path: Path, options: dict[str, str], told: str
) -> None:
    """By the name that was given."""
    (tmp_path / "plain").mkdir()
    Repo(tmp_path / "empty")

    with pytest.raises(InvalidInput, match=told):
        await pull_of(places, **options)


async def test_no_folder_may_be_read_without_roots(repo: Repo, tmp_path: Path) -> None:
    """Over HTTP the operator has to name some."""
    with pytest.raises(InvalidInput, match="may not read files"):
        await pull_of(Places((), tmp_path, GitHubAccess()), head="main")


async def test_a_repository_above_the_roots_is_not_read(repo: Repo, tmp_path: Path) -> None:
    """Though a folder in it may be."""
    repo.checkout()
    places = Places((repo.path / "data",), tmp_path / "cache", GitHubAccess())

    with pytest.raises(InvalidInput, match="outside the folders that may be read"):
        await pull_of(places, repo=".", head="main")


async def test_a_shallow_clone_works_where_it_has_the_merge_base(
    repo: Repo, places: Places, tmp_path: Path
) -> None:
    """And says what to do where it has not."""
    start = repo.name_of("main")
    repo.commit({"b.py": "x = 1\n"}, on="feature", start=start)
    repo.commit({"c.py": "x = 1\n"})
    clone = ("clone", "-q", "--depth", "1", "--no-single-branch", repo.path.as_uri())
    repo.git(*clone, str(tmp_path / "shallow"))

    with pytest.raises(InvalidInput, match="git fetch --unshallow"):
        await pull_of(places, repo="shallow", base="main", head="origin/feature")
    pull = await pull_of(places, repo="shallow", diff="\n")

    assert "c.py" in pull.base.files


async def test_histories_without_a_common_commit_are_refused(repo: Repo, places: Places) -> None:
    """There is nothing to measure from."""
    other = Repo(repo.path.parent / "unrelated")
    other.commit({"x.py": "x = 1\n"})
    repo.git("fetch", "-q", str(other.path), "main:unrelated")

    with pytest.raises(InvalidInput, match="no commit in common"):
        await pull_of(places, base="main", head="unrelated")


async def test_a_partial_clone_that_lacks_files_is_told_so(
    repo: Repo, places: Places, tmp_path: Path
) -> None:
    """Its remote is not asked: it is in a configuration that is not heeded."""
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.commit({"b.py": "x = 1\n"}, on="feature")
    clone = ("clone", "-q", "--no-checkout", "--filter=blob:none", repo.path.as_uri())
    repo.git(*clone, str(tmp_path / "partial"))

    with pytest.raises(InvalidInput, match="partial clone, and 4 files"):
        await pull_of(places, repo="partial", base="main", head="origin/feature")


async def test_a_damaged_repository_is_no_traceback(repo: Repo, places: Places) -> None:
    """It is said what git says."""
    head = repo.commit({"b.py": "x = 1\n"}, on="feature")
    tree = repo.git("rev-parse", f"{head}^{{tree}}")
    for path in (repo.path / ".git" / "objects").rglob("*.pack"):
        path.unlink()
    (repo.path / ".git" / "objects" / tree[:2] / tree[2:]).unlink(missing_ok=True)

    with pytest.raises(InvalidInput):
        await pull_of(places, base="main", head="feature")


def _wrapper(folder: Path, script: str) -> None:
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)


@pytest.mark.parametrize(
    ("script", "told"), [("", "cannot be started"), ("echo git version 2.17.1", "2.17")]
)
async def test_git_that_is_missing_or_too_old_is_named(
    repo: Repo,
    places: Places,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    told: str,
) -> None:
    """A person has to install it, so trying again changes nothing."""
    if script:
        _wrapper(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    with pytest.raises(Exception, match=told) as raised:
        await pull_of(places, head="main")

    assert type(raised.value).__name__ == "SandboxRejected"
    assert "Install" in str(raised.value)


async def test_a_repository_that_another_user_owns_is_read(
    repo: Repo, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git itself refuses those, as it would run what they configure; nobody has to set safe.directory."""
    _wrapper(tmp_path / "bin", f'GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {_real_git()} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    # Whoever runs the tests may have set safe.directory.
    alone = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-C", str(repo.path), "status"]
    by_hand = await anyio.run_process(command, env=alone, check=False)

    pull = await pull_of(places, diff=PATCH)

    assert b"dubious ownership" in by_hand.stderr
    assert len(pull.changes) == 2


async def test_git_that_cannot_merge_leaves_that_open(
    repo: Repo, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 2.38; all else is as it is."""
    old = 'test "$1" = --version && echo git version 2.34.1 && exit'
    _wrapper(tmp_path / "bin", f'{old}\nexec {_real_git()} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    repo.commit({"b.py": "x = 1\n"}, on="feature")

    pull = await pull_of(places, base="main", head="feature", merged=True)

    assert (pull.merge, [change.path for change in pull.changes]) == ("unknown", ["b.py"])
    assert "2.38" in pull.notes[0]


def _real_git() -> str:
    return next(
        f"{folder}/git"
        for folder in os.environ["PATH"].split(os.pathsep)
        if Path(folder, "git").is_file()
    )
