"""What code tries is noticed, with the line that did it, and what every project does is not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from proofbox.tools.check_pr.environment.guest import watcher

_WATCH = """
import json, sys
sys.path.insert(0, {folder!r})
from watcher import Watcher
found = []
watch = Watcher({root!r}, {home!r}, lambda **record: found.append(record), temporary=({temporary!r}, "/dev"))
watch.when = "install"
watch.start()
sys.path.insert(0, {root!r})
import project
watch.paused = True
print(json.dumps(found))
"""


def watched(place: Path, code: str) -> list[tuple[str, str, str]]:
    """What a project with this one module is seen to do when it is imported, by a Python of its own."""
    root, home = place / "home" / "project", place / "home"
    for folder in (root, home / ".ssh", place / "temporary"):
        folder.mkdir(parents=True)
    (home / ".ssh" / "id_rsa").write_text("key")
    (root / "project.py").write_text(code)
    source = _WATCH.format(
        folder=str(Path(watcher.__file__).parent),
        root=str(root),
        home=str(home),
        temporary=str(place / "temporary"),
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", source],
        capture_output=True,
        check=True,
        cwd=root,
        env={"HOME": str(home), "TMPDIR": str(place / "temporary"), "PATH": "/usr/bin:/bin"},
    )
    records = json.loads(ended.stdout.splitlines()[-1])
    assert all(record["when"] == "install" for record in records)
    return [(record["kind"], record["what"], record["where"]) for record in records]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("open('/home/nobody-here/x', 'a')", ("write", "/home/nobody-here/x")),
        ("import os\nopen(os.path.expanduser('~/.bashrc'), 'w')", ("write", "~/.bashrc")),
        ("import pathlib\npathlib.Path.home().joinpath('new').mkdir()", ("write", "~/new")),
        ("import os\nos.symlink('/etc', os.path.expanduser('~/etc'))", ("write", "~/etc")),
        ("import os\nopen(os.path.expanduser('~/.ssh/id_rsa'))", ("credentials", "~/.ssh/id_rsa")),
        ("import os\nos.listdir(os.path.expanduser('~/.ssh'))", ("credentials", "~/.ssh")),
        ("open('/etc/shadow')", ("credentials", "/etc/shadow")),
        (
            "import os\nos.symlink('../.netrc', 'here')\nopen('here')",
            ("credentials", "~/.netrc"),
        ),
        ("import os\nos.environ.get('GITHUB_TOKEN')", ("credentials", "$GITHUB_TOKEN")),
        (
            "import os\nos.getenv('AWS_SECRET_ACCESS_KEY')",
            ("credentials", "$AWS_SECRET_ACCESS_KEY"),
        ),
        (
            "import urllib.request\nurllib.request.urlopen('https://evil.invalid/x')",
            ("network", "evil.invalid:443"),
        ),
        (
            "import socket\nsocket.socket().connect_ex(('192.0.2.1', 80))",
            ("network", "192.0.2.1:80"),
        ),
        (
            "import socket\nsocket.socket(socket.AF_UNIX).connect('/run/docker.sock')",
            ("network", "unix:/run/docker.sock"),
        ),
        ("import os\nos.system('echo  hello')", ("process", "echo  hello")),
        (
            "import subprocess\nsubprocess.run(['true', '/tmp/abc123/x', 'a b'])",
            ("process", "true /tmp/... 'a b'"),
        ),
        ("import os\nos.fork() or os._exit(0)", ("process", "fork")),
    ],
)
def test_what_not_every_project_does_is_noticed(
    tmp_path: Path, code: str, expected: tuple[str, str]
) -> None:
    """With the line of the project that did it, also where it failed."""
    code = f"import contextlib\nwith contextlib.suppress(OSError):\n    exec({code!r})\n"

    seen = watched(tmp_path, code)

    assert (*expected, "project.py:3") in seen
    assert {kind for kind, _, _ in seen} == {expected[0]}, seen


def test_what_every_project_does_is_not_noticed(tmp_path: Path) -> None:
    """Its own files, temporary ones, packages, servers on this machine, ordinary variables."""
    seen = watched(
        tmp_path,
        "import os, socket, tempfile, json, threading\n"
        "open('own.txt', 'w').close()\n"
        "os.mkdir('folder'); os.rename('own.txt', 'folder/own.txt')\n"
        "tempfile.NamedTemporaryFile().close(); tempfile.mkdtemp()\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "os.environ['PATH']; os.environ.get('TOKENIZERS_PARALLELISM')\n"
        "open('/etc/hostname').close() if os.path.exists('/etc/hostname') else None\n"
        "with open(os.devnull, 'w') as sink: sink.write('x')\n",
    )

    assert seen == []


def test_what_is_repeated_is_told_once_and_a_flood_is_cut(tmp_path: Path) -> None:
    """A loop that opens files for ever may not fill the report."""
    seen = watched(
        tmp_path,
        "import contextlib\n"
        "for number in range(2 * 300):\n"
        "    with contextlib.suppress(OSError):\n"
        "        open('/nowhere/one', 'w')\n"
        "    with contextlib.suppress(OSError):\n"
        "        open(f'/nowhere/{number}', 'w')\n",
    )

    assert seen.count(("write", "/nowhere/one", "project.py:4")) == 1
    assert len(seen) == watcher.MOST


def test_what_a_setup_script_does_has_its_line(tmp_path: Path) -> None:
    """Build backends execute its text, which has no file's name then."""
    seen = watched(
        tmp_path,
        "import os\n"
        "with open('setup.py', 'w') as file: file.write('import os\\n\\nos.getenv(\"PYPI_TOKEN\")\\n')\n"
        "__file__ = os.path.abspath('setup.py')\n"
        "exec(open('setup.py').read(), {'__file__': __file__})\n",
    )

    assert seen == [("credentials", "$PYPI_TOKEN", "setup.py:3")]
