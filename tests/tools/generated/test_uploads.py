"""What of a project is sent, and what stays home by its name, its content, its size or git's word."""

import subprocess
from pathlib import Path

import pytest

from proofbox.tools.run_generated_tests import confidential, uploads

KEY = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n"
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def project(folder: Path, *, git: bool) -> Path:
    """A project with all that must stay home."""
    files = {
        "pkg/__init__.py": "",
        "pkg/settings.py": f"TOKEN = '{TOKEN}'\n",
        "pkg/core.py": "def add(a, b):\n    return a + b\n",
        "tests/test_core.py": "def test_add():\n    pass\n",
        ".env": "PASSWORD=hunter2\n",
        ".env.example": "PASSWORD=\n",
        "deploy.pem": KEY,
        "notes.txt": f"remember this\n{KEY}",
        "local/ignored.py": "IGNORED = True\n",
        "data.bin.zip": "PK",
        "large.csv": "x" * (uploads.FILE_BYTES + 1),
        ".gitignore": "local/\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "outside.py").symlink_to("/etc/passwd")
    if git:
        subprocess.run(["git", "init", "-q", folder], check=True)
        subprocess.run(["git", "-C", folder, "add", "-A"], check=True)
    return folder


@pytest.mark.parametrize("git", [True, False], ids=["a repository", "a folder"])
def test_secrets_ignored_and_large_files_stay_home(tmp_path: Path, git: bool) -> None:
    """Tracked or not; what is sent is what an allow-list lets through."""
    files, kept, notes = uploads.collect(project(tmp_path, git=git))

    assert set(files) == {
        ".env.example", ".gitignore", "pkg/__init__.py", "pkg/core.py", "tests/test_core.py",
    }  # fmt: skip
    assert not notes
    assert {(one.path, one.why) for one in kept} == {
        ("pkg/settings.py", "secret"),
        (".env", "secret"),
        ("deploy.pem", "secret"),
        ("notes.txt", "secret"),
        ("local/", "ignored"),
        ("data.bin.zip", "kind"),
        ("large.csv", "size"),
        ("outside.py", "link"),
    }
    told = {one.path: one.detail for one in kept}
    assert told["pkg/settings.py"] == "It holds a GitHub token in line 1."
    assert told["notes.txt"] == "It holds a private key in line 2."


def test_a_repository_cannot_have_git_run_its_programs(tmp_path: Path) -> None:
    """Its configuration names one that git would start to learn what has changed."""
    project(tmp_path, git=True)
    proof = tmp_path.parent / "proof"
    hook = tmp_path / "hook.sh"
    hook.write_text(f"#!/bin/sh\ntouch {proof}\n")
    hook.chmod(0o755)
    subprocess.run(["git", "-C", tmp_path, "config", "core.fsmonitor", hook], check=True)

    uploads.collect(tmp_path)

    assert not proof.exists()


def test_without_git_only_python_and_its_configuration_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say what is ignored then, and the report says so."""
    project(tmp_path, git=False)
    monkeypatch.setenv("PATH", "")

    files, _, notes = uploads.collect(tmp_path)

    assert "pkg/core.py" in files
    assert ".env.example" not in files
    assert "git is not here" in notes[0]


def test_the_version_module_that_a_build_writes_is_sent(tmp_path: Path) -> None:
    """Git ignores it, and the package does not import without it."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.hatch.build.hooks.vcs]\nversion-file = "pkg/_version.py"\n'
    )
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg/_version.py").write_text("__version__ = '1'\n")
    (tmp_path / ".gitignore").write_text("_version.py\n")

    files, kept, _ = uploads.collect(tmp_path)

    assert "pkg/_version.py" in files
    assert not kept


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"x = '{TOKEN}'",
        "key: AKIA" + "QYLPMN5HHHFPZAM2",
        "sk-ant-" + "api03-R2d2C3poLukeLeiaHanChewieYodaObiWan",
        "postgres://admin:" + "s3cretpassw0rd@db.internal/app",
        "API_KEY = '" + "9fK2mQ7xT4vB8nL1pR6wZ3yH5cJ0dS" + "'",
        '{"client_secret": "' + "GOCSPX-k2J9xQ4mV7bN1pL8rT5wZ3" + '"}',
    ],
)
def test_secrets_are_known_by_their_content(text: str) -> None:
    """Wherever in a file they are."""
    assert confidential.by_content(f"# a file\n{text}\n".encode()).endswith("in line 2")


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "password = 'correct horse battery staple'",
        "token = 'parametrize_me_with_a_long_name'",
        "API_KEY = os.environ['API_KEY']",
        "https://user:{password}@example.com",
        "def secret_token(secret: str) -> str: ...",
    ],
)
def test_examples_and_code_are_no_secrets(text: str) -> None:
    """A file that stayed home for nothing would make its tests fail."""
    assert confidential.by_content(text.encode()) == ""


def test_names_of_secrets_do_not_hit_modules() -> None:
    """`secrets.py` is Python, `secrets.yaml` is not."""
    assert confidential.by_name("config/secrets.yaml")
    assert confidential.by_name(".ssh/config")
    assert confidential.by_name("id_ed25519.pub")
    assert not confidential.by_name("pkg/secrets.py")
    assert not confidential.by_name("docs/environment.md")
