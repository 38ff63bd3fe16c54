"""The hosts that proofbox can be installed in: where each keeps its configuration, and what it wants to be told."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...sandbox import InvalidInput
from .formats import NAME, Entry, Format, JsonFormat, TomlFormat

# A first start by uvx has packages to fetch; Codex would give up after ten seconds.
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Machine:
    """Where hosts are looked for: `system` as in `sys.platform`, `home` the user's, `project` the working folder."""

    system: str
    home: Path
    project: Path
    environment: Mapping[str, str]

    def folder(self, variable: str, *otherwise: str) -> Path:
        """What a variable names, if it is set, else a folder of the user's."""
        named = self.environment.get(variable, "")
        return Path(named) if Path(named).is_absolute() else self.home.joinpath(*otherwise)

    def application_data(self) -> Path:
        """Where programs with a window keep what is the user's."""
        if self.system == "win32":
            return self.folder("APPDATA", "AppData", "Roaming")
        if self.system == "darwin":
            return self.home / "Library" / "Application Support"
        return self.folder("XDG_CONFIG_HOME", ".config")


@dataclass(frozen=True, slots=True)
class Host:
    """One host. `of_user` and `of_project` are its files; `entry` makes its entry from a command, its arguments and
    names of variables; `then` is what the user does afterwards.
    """

    title: str
    format: Format
    of_user: Callable[[Machine], Path]
    of_project: str | None
    entry: Callable[[str, tuple[str, ...], tuple[str, ...], Mapping[str, str]], Entry]
    then: str


def _desktop_file(machine: Machine) -> Path:
    usual = machine.application_data() / "Claude"
    if machine.system == "win32":
        # Installed as a package, it sees a copy of that folder of its own, and only that.
        local = machine.folder("LOCALAPPDATA", "AppData", "Local")
        packaged = sorted(local.glob("Packages/Claude_*/LocalCache/Roaming/Claude"))
        if len(packaged) > 1:
            raise InvalidInput(
                "Claude Desktop is there as several packages, so it is not known which is used: "
                + ", ".join(map(str, packaged))
            )
        usual = packaged[0] if packaged else usual
    return usual / "claude_desktop_config.json"


def _code_file(machine: Machine) -> Path:
    return machine.folder("CLAUDE_CONFIG_DIR") / ".claude.json"


def _cursor_file(machine: Machine) -> Path:
    return machine.home / ".cursor" / "mcp.json"


def _vscode_file(machine: Machine) -> Path:
    return machine.application_data() / "Code" / "User" / "mcp.json"


def _codex_file(machine: Machine) -> Path:
    return machine.folder("CODEX_HOME", ".codex") / "config.toml"


def _entry(
    kind: str, command: str, arguments: tuple[str, ...], variables: Mapping[str, str]
) -> dict[str, Any]:
    values: dict[str, Any] = {"type": kind} if kind else {}
    values["command"] = command
    if arguments:
        values["args"] = list(arguments)
    return values | ({"env": dict(variables)} if variables else {})


def _by_value(
    command: str, arguments: tuple[str, ...], names: tuple[str, ...], known: Mapping[str, str]
) -> Entry:
    missing = [name for name in names if not known.get(name)]
    if missing:
        raise InvalidInput(
            f"{', '.join(missing)} is not set here, and Claude Desktop can be given only its value: set it for "
            "this command, or install the MCPB bundle, for which Claude Desktop asks and keeps it safe."
        )
    return Entry(_entry("", command, arguments, {name: known[name] for name in names}))


def _by_default(
    command: str, arguments: tuple[str, ...], names: tuple[str, ...], known: Mapping[str, str]
) -> Entry:
    del known
    # Without a default, Claude Code passes on the very text where the variable is not set.
    variables = {name: f"${{{name}:-}}" for name in names}
    return Entry(_entry("stdio", command, arguments, variables))


def _by_name(
    command: str, arguments: tuple[str, ...], names: tuple[str, ...], known: Mapping[str, str]
) -> Entry:
    del known
    variables = {name: f"${{env:{name}}}" for name in names}
    return Entry(_entry("stdio", command, arguments, variables))


def _by_asking(
    command: str, arguments: tuple[str, ...], names: tuple[str, ...], known: Mapping[str, str]
) -> Entry:
    del known
    ids = {name: f"{NAME}-{name.lower().replace('_', '-')}" for name in names}
    asked = tuple(
        {
            "type": "promptString",
            "id": ids[name],
            "description": f"{name} for {NAME}",
            "password": True,
        }
        for name in names
    )
    variables = {name: f"${{input:{ids[name]}}}" for name in names}
    return Entry(_entry("stdio", command, arguments, variables), asked)


def _by_list(
    command: str, arguments: tuple[str, ...], names: tuple[str, ...], known: Mapping[str, str]
) -> Entry:
    del known
    values = _entry("", command, arguments, {}) | ({"env_vars": list(names)} if names else {})
    return Entry(values | {"startup_timeout_sec": _START_SECONDS})


HOSTS = {
    "claude-desktop": Host(
        "Claude Desktop", JsonFormat(), _desktop_file, None, _by_value,
        "Quit Claude Desktop and start it again.",
    ),
    "claude-code": Host(
        "Claude Code", JsonFormat(), _code_file, ".mcp.json", _by_default,
        "Claude Code has it from its next start on; /mcp shows it.",
    ),
    "cursor": Host(
        "Cursor", JsonFormat(strict=False), _cursor_file, ".cursor/mcp.json", _by_name,
        "Cursor shows it in its settings, under Tools & MCP.",
    ),
    "vscode": Host(
        "VS Code", JsonFormat("servers", strict=False), _vscode_file, ".vscode/mcp.json", _by_asking,
        "VS Code starts it on first use; 'MCP: List Servers' shows it.",
    ),
    "codex": Host(
        "Codex", TomlFormat(), _codex_file, ".codex/config.toml", _by_list,
        "Codex has it from its next start on; /mcp shows it.",
    ),
}  # fmt: skip

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def variable_names(given: tuple[str, ...]) -> tuple[str, ...]:
    """Names of variables, each once.

    Raises:
        InvalidInput: one is no name, or comes with a value, which would be in the shell's history now.
    """
    for name in given:
        if not _VARIABLE.fullmatch(name):
            shown = name.partition("=")[0]
            raise InvalidInput(f"--env takes the name of a variable and no value, like {shown!r}.")
    return tuple(dict.fromkeys(given))
