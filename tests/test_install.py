"""`proofbox install` and `uninstall`, on copies of configuration files as people have them."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcp import Client, StdioServerParameters

from proofbox.server.cli import commands
from proofbox.server.cli.hosts.change import installing
from proofbox.server.cli.hosts.files import open_file
from proofbox.server.cli.hosts.jsonc import parse
from proofbox.server.cli.hosts.starting import how_to_start, source_of
from proofbox.server.cli.hosts.table import HOSTS, Machine
from proofbox.server.sandbox import InvalidInput

DATA = Path(__file__).with_name("data") / "hosts"
SCRIPT = str(Path(sysconfig.get_path("scripts")) / "proofbox")

# The host, its copy, and where that belongs below the home folder on Linux.
FILES = {
    "claude-desktop": ("claude_desktop_config.json", ".config/Claude/claude_desktop_config.json"),
    "claude-code": ("claude.json", ".claude.json"),
    "cursor": ("cursor_mcp.json", ".cursor/mcp.json"),
    "vscode": ("vscode_mcp.json", ".config/Code/User/mcp.json"),
    "codex": ("codex_config.toml", ".codex/config.toml"),
}
EACH = pytest.mark.parametrize("host", FILES)
KEY = "canary-e2b-key"


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


class Home:
    """A home folder with a project in it, and the command at work there."""

    def __init__(self, folder: Path, run: Callable[..., Ended]) -> None:
        self.folder = folder
        self.run = run

    def put(self, host: str, change: Callable[[bytes], bytes] = lambda content: content) -> Path:
        """The host's copy in its place."""
        name, place = FILES[host]
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change((DATA / name).read_bytes()))
        return path

    def files(self) -> dict[str, bytes]:
        """Everything there is."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}


@pytest.fixture
def home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Home:
    """Nobody's home, on Linux, with a key for E2B in the environment."""
    for name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "APPDATA", "UV"):
        monkeypatch.delenv(name, raising=False)
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("E2B_API_KEY", KEY)
    monkeypatch.chdir(project)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", [SCRIPT, *arguments])
        with pytest.raises(SystemExit) as ended:
            commands.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, captured.out, captured.err)

    return Home(tmp_path, run)


def meaning(path: Path) -> Any:
    """What a configuration file says."""
    text = path.read_text("utf-8-sig")
    return tomllib.loads(text) if path.suffix == ".toml" else parse(text).root.value


def entry(path: Path) -> dict[str, Any]:
    """What it says about proofbox."""
    found = meaning(path)
    return next(found[key] for key in ("mcpServers", "servers", "mcp_servers") if key in found)[
        "proofbox"
    ]


def crlf(content: bytes) -> bytes:
    """As Windows has it."""
    return content.replace(b"\n", b"\r\n")


def marked(content: bytes) -> bytes:
    """With the mark that some editors begin a file with."""
    return b"\xef\xbb\xbf" + crlf(content)


@EACH
@pytest.mark.parametrize("change", [bytes, crlf, marked, bytes.rstrip])
@pytest.mark.parametrize("edited", [False, True], ids=["by the copy", "by taking it out"])
def test_a_round_trip_gives_every_byte_back(
    home: Home, host: str, change: Callable[[bytes], bytes], edited: bool
) -> None:
    """Comments, other servers, line ends and all; also where the copy from before is gone."""
    path = home.put(host, change)
    before = home.files()

    assert home.run("install", host, "--env", "E2B_API_KEY", "--yes").status == 0
    changed = path.read_bytes()
    if edited:
        path.with_name(path.name + ".proofbox-backup").unlink()
    assert home.run("uninstall", host, "--yes").status == 0

    assert changed != before[str(path.relative_to(home.folder))]
    after = home.files()
    if edited:
        # What was taken out is kept in a copy of its own.
        assert after.pop(str(path.relative_to(home.folder)) + ".proofbox-backup") == changed
    if edited and host == "codex" and change is bytes.rstrip:
        before = {
            name: content + b"\n" * (name.endswith(".toml")) for name, content in before.items()
        }
    assert after == before


@EACH
def test_installing_adds_an_entry_and_nothing_else(home: Home, host: str) -> None:
    """Every line that was there is there still, in its order; only a comma may have come to one."""
    path = home.put(host)
    before, meant = path.read_text().splitlines(), meaning(path)
    home.run("install", host, "--yes", "--env", "E2B_API_KEY")
    after, own = path.read_text().splitlines(), entry(path)

    assert own["command"] == SCRIPT
    rest = iter(line.replace("}, // the last", "} // the last") for line in after)
    assert all(any(line in (old, old + ",") for line in rest) for old in before)
    now = meaning(path)
    servers = next(key for key in ("mcpServers", "servers", "mcp_servers") if key in now)
    del now[servers]["proofbox"]
    now["inputs"] = now.get("inputs", [])[: len(meant.get("inputs", []))]
    assert now == {"inputs": [], **meant}
    assert list(now) == [*meant, *({"inputs"} - set(meant))]


@EACH
def test_a_second_time_there_is_nothing_to_change(home: Home, host: str) -> None:
    """And so no second copy."""
    path = home.put(host)
    home.run("install", host, "--yes", "--env", "E2B_API_KEY", "--memory", "1G")
    before = home.files()
    ended = home.run("install", host, "--env", "E2B_API_KEY", "--memory", "1G")

    assert (ended.status, ended.out) == (0, "")
    assert f"Nothing to change in {path}" in ended.err
    assert home.files() == before
    assert entry(path)["args"] == ["--memory", "1G"]


@EACH
def test_no_value_that_may_be_a_secret_is_shown(home: Home, host: str) -> None:
    """Neither the key nor what other servers have; hosts that can fetch it themselves do not get it written down."""
    path = home.put(host)
    shown = [
        home.run("install", host, "--env", "E2B_API_KEY", "--dry-run"),
        home.run("install", host, "--env", "E2B_API_KEY", "--yes"),
        home.run("install", host, "--env", "E2B_API_KEY", "--memory", "2G", "--yes", "--json"),
        home.run("uninstall", host, "--dry-run"),
    ]

    assert [ended.status for ended in shown] == [0, 0, 0, 0]
    assert "proofbox" in shown[0].out
    for ended in shown:
        assert "canary" not in ended.out + ended.err
    assert (KEY in path.read_text()) == (host == "claude-desktop")


@EACH
def test_a_dry_run_writes_nothing(home: Home, host: str) -> None:
    """It shows a unified diff."""
    home.put(host)
    before = home.files()
    ended = home.run("install", host, "--dry-run")

    assert ended.status == 0
    assert re.search(r"^--- /.*\n\+\+\+ /.*\n@@ ", ended.out)
    assert home.files() == before


def test_the_commands_of_the_readme_do_it(home: Home) -> None:
    """Its block, with nobody there to ask."""
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    lines = re.findall(r"^\.venv/bin/proofbox ((?:un)?install .*)$", readme, re.MULTILINE)
    before = home.files()
    for line in lines:
        assert home.run(*line.split(), "--yes").status == 0

    assert len(lines) == 3
    assert set(home.files()) - set(before) == {"project/.mcp.json"}
    own = entry(home.folder / "project/.mcp.json")
    assert own["env"] == {"E2B_API_KEY": "${E2B_API_KEY:-}"}


def test_where_nobody_can_be_asked_nothing_is_written(home: Home) -> None:
    """The sentence says what to do."""
    home.put("cursor")
    before = home.files()
    ended = home.run("install", "cursor")

    assert (ended.status, home.files()) == (2, before)
    assert "--yes writes it, --dry-run only shows it" in ended.err


@pytest.mark.parametrize(("answer", "status", "written"), [("y\n", 0, True), ("n\n", 1, False)])
def test_whoever_is_there_is_asked(
    home: Home, monkeypatch: pytest.MonkeyPatch, answer: str, status: int, written: bool
) -> None:
    """After the change has been shown."""
    path = home.put("cursor")
    reading, writing = os.openpty()
    os.write(reading, answer.encode())
    with open(writing, closefd=True) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        ended = home.run("install", "cursor")
    os.close(reading)

    assert ended.status == status
    assert '+    "proofbox": {' in ended.out.replace("        ", "    ")
    assert ("proofbox" in path.read_text()) is written


@EACH
def test_a_file_that_is_not_there_is_made_and_goes_again(home: Home, host: str) -> None:
    """For its owner alone, as it may come to have a secret in it."""
    ended = home.run("install", host, "--yes")
    path = home.folder / FILES[host][1]

    assert ended.status == 0
    assert entry(path)["command"] == SCRIPT
    assert path.stat().st_mode & 0o777 == 0o600
    assert home.run("install", host, "--remove", "--yes").status == 0
    assert home.files() == {}


@pytest.mark.parametrize("host", ["claude-code", "cursor", "vscode", "codex"])
def test_a_project_has_a_file_of_its_own(home: Home, host: str) -> None:
    """In the working folder; the user's stays as it is."""
    place = {"claude-code": ".mcp.json", "cursor": ".cursor/mcp.json", "vscode": ".vscode/mcp.json"}
    path = home.folder / "project" / place.get(host, ".codex/config.toml")
    home.put(host)
    if host == "claude-code":
        path.write_bytes((DATA / "project.mcp.json").read_bytes())
    before = home.files()

    assert home.run("install", host, "--project", "--yes").status == 0
    assert entry(path)["command"] == SCRIPT
    assert home.run("uninstall", host, "--project", "--yes").status == 0
    assert home.files() == before


def test_claude_desktop_has_no_projects(home: Home) -> None:
    """So it says."""
    ended = home.run("install", "claude-desktop", "--project", "--yes")

    assert ended.status == 2
    assert "Claude Desktop has no configuration of projects" in ended.err


@pytest.mark.parametrize(
    ("host", "content", "said"),
    [
        ("cursor", b'{"mcpServers": {"a": {}', "line 1, column 24: a comma or } is missing"),
        ("cursor", b"{'mcpServers': {}}", "a name in double quotes is missing"),
        ("cursor", b'{"mcpServers": []}', '"mcpServers" is not an object'),
        ("cursor", b'{"mcpServers": {}, "mcpServers": {}}', '"mcpServers" is there 2 times'),
        ("cursor", b'{"mcpServers": {"proofbox": {"url": "https://a:s3cret@x/mcp?key=s3cret"}}}', "service at x;"),
        ("cursor", b"// nothing but a comment", "it ends too early"),
        ("cursor", b"[" * 100_000, "nested too deeply"),
        ("cursor", '{"mcpServers": {}}'.encode("utf-16"), "is not UTF-8"),
        ("vscode", b'{"servers": {}, "inputs": {}}', '"inputs" is not an array'),
        ("codex", b'model = "x\n', "line 1"),
        ("codex", b'mcp_servers = { a = { command = "b" } }\n', "written in braces"),
        ("codex", b"mcp_servers = 1\n", "mcp_servers is not a table"),
    ],
)  # fmt: skip
def test_what_cannot_be_edited_is_left_alone(
    home: Home, host: str, content: bytes, said: str
) -> None:
    """With what is wrong and where, and status 2."""
    path = home.put(host, lambda _: content)
    ended = home.run("install", host, "--yes", "--env", "E2B_API_KEY")

    assert ended.status == 2
    assert said in ended.err
    assert "s3cret" not in ended.err
    assert path.read_bytes() == content
    assert len(home.files()) == 1


def test_what_the_user_added_to_the_entry_stays(home: Home) -> None:
    """When it is brought up to date, in JSON as in TOML; a setting that is no longer given goes."""
    for host, key, value in (("cursor", "timeout", 60000), ("codex", "startup_timeout_sec", 90)):
        path = home.put(host)
        home.run("install", host, "--yes", "--memory", "1G")
        text = path.read_text()
        if host == "cursor":
            text = text.replace('"--memory"', '/* mine */ "--memory"').replace(
                '"proofbox": {', f'"proofbox": {{\n            "{key}": {value}, // slow'
            )
        else:
            text = text.replace("startup_timeout_sec = 60", "startup_timeout_sec = 90 # slow")
        path.write_text(text)
        assert home.run("install", host, "--yes", "--env", "E2B_API_KEY").status == 0

        own = entry(path)
        assert own[key] == value
        assert "args" not in own
        assert "slow" in path.read_text()
        assert "E2B_API_KEY" in json.dumps(own)


def test_every_copy_is_kept(home: Home) -> None:
    """None is written over, and what was installed twice goes at once."""
    path = home.put("cursor")
    first = path.read_bytes()
    home.run("install", "cursor", "--yes")
    second = path.read_bytes()
    home.run("install", "cursor", "--yes", "--memory", "1G")
    copies = [path.with_name(path.name + end) for end in (".proofbox-backup", ".proofbox-backup-2")]

    assert [copy.read_bytes() for copy in copies] == [first, second]
    assert home.run("uninstall", "cursor", "--yes").status == 0
    assert path.read_bytes() == first
    assert copies[1].read_bytes() == second


def test_mode_owner_and_links_are_kept(home: Home) -> None:
    """A link goes on leading to the file that is changed; the copy has the file's mode and owner."""
    path = home.put("claude-code")
    real = home.folder / "dotfiles.json"
    path.rename(real)
    path.symlink_to(real.name)
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 4321, 4321)
    before = real.stat()
    home.run("install", "claude-code", "--yes")

    assert path.is_symlink()
    for written in (real, home.folder / "dotfiles.json.proofbox-backup"):
        now = written.stat()
        assert (now.st_mode, now.st_uid, now.st_gid) == (
            before.st_mode,
            before.st_uid,
            before.st_gid,
        )
    assert entry(path)["type"] == "stdio"
    assert not [name for name in os.listdir(home.folder) if name.startswith(".dotfiles")]


def test_what_may_not_be_written_is_left_alone(home: Home) -> None:
    """A link to nowhere is followed, a folder in the way is not removed, and nothing is left lying about."""
    path = home.folder / FILES["cursor"][1]
    path.parent.mkdir()
    path.symlink_to("elsewhere.json")
    assert home.run("install", "cursor", "--yes").status == 0
    assert path.is_symlink()
    assert "proofbox" in (path.parent / "elsewhere.json").read_text()

    folder = home.folder / FILES["codex"][1]
    folder.mkdir(parents=True)
    ended = home.run("install", "codex", "--yes")
    assert ended.status == 2
    assert f"{folder} cannot be read: Is a directory" in ended.err

    (home.folder / ".config").write_text("in the way")
    ended = home.run("install", "vscode", "--yes")
    assert ended.status == 2
    assert "Not a directory" in ended.err
    assert (home.folder / ".config").read_text() == "in the way"


def test_a_change_by_somebody_else_is_not_lost(home: Home) -> None:
    """Claude Code writes its file often; what it wrote after the file was read counts."""
    path = home.put("claude-code")
    host = HOSTS["claude-code"]
    change = installing(open_file(path), host.format, host.entry("/p", (), (), {}))
    path.write_text("{}")

    with pytest.raises(InvalidInput, match="was changed by somebody else"):
        change.write(private=True)
    assert path.read_text() == "{}"
    assert len(home.files()) == 1


def test_a_value_is_for_variables_and_not_for_the_command_line(home: Home) -> None:
    """It would stay in the shell's history; and what is not set cannot be written down."""
    ended = home.run("install", "cursor", "--yes", "--env", "E2B_API_KEY=s3cret")
    assert ended.status == 2
    assert "takes the name of a variable" in ended.err
    assert "s3cret" not in ended.err

    ended = home.run("install", "claude-desktop", "--yes", "--env", "NOT_SET")
    assert ended.status == 2
    assert "NOT_SET is not set here" in ended.err
    assert home.files() == {}


def test_the_report_as_json_says_what_was_done(home: Home) -> None:
    """For scripts, which nobody can answer."""
    path = home.put("cursor")
    assert home.run("install", "cursor", "--json").status == 2
    facts = json.loads(home.run("install", "cursor", "--json", "--yes").out)

    assert (facts["outcome"], facts["file"]) == ("written", str(path))
    assert Path(facts["backup"]).is_file()
    assert facts["diff"].startswith("---")


@pytest.mark.parametrize(
    ("system", "host", "place"),
    [
        ("linux", "claude-desktop", "config/Claude/claude_desktop_config.json"),
        ("darwin", "claude-desktop", "home/Library/Application Support/Claude/claude_desktop_config.json"),
        ("win32", "claude-desktop", "roaming/Claude/claude_desktop_config.json"),
        ("linux", "claude-code", "home/.claude.json"),
        ("win32", "cursor", "home/.cursor/mcp.json"),
        ("linux", "vscode", "config/Code/User/mcp.json"),
        ("darwin", "vscode", "home/Library/Application Support/Code/User/mcp.json"),
        ("win32", "vscode", "roaming/Code/User/mcp.json"),
        ("darwin", "codex", "codex/config.toml"),
    ],
)  # fmt: skip
def test_each_system_has_its_places(tmp_path: Path, system: str, host: str, place: str) -> None:
    """As the hosts document them."""
    named = {"XDG_CONFIG_HOME": "config", "APPDATA": "roaming", "LOCALAPPDATA": "local",
             "CODEX_HOME": "codex"}  # fmt: skip
    environment = {name: str(tmp_path / folder) for name, folder in named.items()}
    machine = Machine(system, tmp_path / "home", tmp_path, environment)

    assert HOSTS[host].of_user(machine) == tmp_path / place


def test_claude_desktop_as_a_package_of_windows_reads_another_file(tmp_path: Path) -> None:
    """The one in its package; where there are several, nothing is guessed."""
    machine = Machine("win32", tmp_path, tmp_path, {"CLAUDE_CONFIG_DIR": str(tmp_path / "c")})
    folder = "AppData/Local/Packages/Claude_{}/LocalCache/Roaming/Claude"
    packaged = tmp_path / folder.format("pzs8sxrjxfjjc")
    packaged.mkdir(parents=True)

    assert HOSTS["claude-desktop"].of_user(machine).parent == packaged
    assert HOSTS["claude-code"].of_user(machine) == tmp_path / "c" / ".claude.json"
    (tmp_path / folder.format("other")).mkdir(parents=True)
    with pytest.raises(InvalidInput, match="several packages"):
        HOSTS["claude-desktop"].of_user(machine)


def test_what_uvx_runs_is_started_by_uvx_again(tmp_path: Path) -> None:
    """By the one outside of the cache, with the source that it was built from."""
    (tmp_path / "cache/archive/bin").mkdir(parents=True)
    (tmp_path / "cache/CACHEDIR.TAG").touch()
    prefix = tmp_path / "cache/archive"
    for folder in (prefix / "bin", tmp_path / "bin"):
        folder.mkdir(exist_ok=True)
        (folder / "uvx").write_text("#!/bin/sh\n")
        (folder / "uvx").chmod(0o755)
    path = {"PATH": f"{prefix / 'bin'}{os.pathsep}{tmp_path / 'bin'}"}
    command, arguments = how_to_start(path, prefix=str(prefix), called="proofbox")

    assert command == str(tmp_path / "bin/uvx")
    assert (arguments[0], arguments[2]) == ("--from", "proofbox")
    with pytest.raises(InvalidInput, match="may be emptied"):
        how_to_start({"PATH": str(prefix / "bin")}, prefix=str(prefix), called="proofbox")


@pytest.mark.parametrize(
    ("noted", "source"),
    [
        (None, "proofbox==1.2.3"),
        ('{"url": "file:///src/my%20box", "dir_info": {}}', "/src/my box"),
        ('{"url": "https://h/o/p.git", "vcs_info": {"vcs": "git", "commit_id": "ab"}}', "git+https://h/o/p.git@ab"),
        ('{"url": "https://h/proofbox.whl", "archive_info": {}}', "https://h/proofbox.whl"),
    ],
)  # fmt: skip
def test_the_source_is_what_was_installed(noted: str | None, source: str) -> None:
    """As pip and uv note it down."""

    class Installed:
        version = "1.2.3"

        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return noted

    assert source_of(Installed()) == source  # type: ignore[arg-type]


@pytest.mark.slow
async def test_what_was_written_starts_in_a_host(home: Home) -> None:
    """With the little environment that a host gives, and a client that a host could be."""
    path = home.put("claude-desktop")
    assert home.run("install", "claude-desktop", "--yes", "--backend", "local").status == 0
    own = entry(path)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home.folder)}
    server = StdioServerParameters(command=own["command"], args=own["args"], env=environment)
    async with Client(server) as client:
        tools = (await client.list_tools()).tools

    assert "execute_code" in {tool.name for tool in tools}


def test_the_command_itself_does_it(home: Home) -> None:
    """As a process, asked without a terminal."""
    home.put("codex")
    done = subprocess.run(
        [SCRIPT, "install", "codex"], capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip

    assert done.returncode == 2
    assert "+[mcp_servers.proofbox]" in done.stdout
    assert "--yes writes it" in done.stderr
