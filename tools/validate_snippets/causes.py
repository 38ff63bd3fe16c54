"""Why code that is right may yet fail here: no network, no key, no file, nobody to answer.

A cause needs evidence in how the code failed. What a text looks like only supports it: otherwise any
broken example could excuse itself.
"""

import re
from collections.abc import Sequence

from .hints import NETWORK_MODULES, Hint
from .report import Kind

_NETWORK = re.compile(
    r"Name or service not known|Temporary failure in name resolution|Network is unreachable|"
    r"getaddrinfo failed|Could not resolve host|Failed to resolve|Cannot connect to host|"
    r"All connection attempts failed|Connection refused|No route to host|unable to access 'https?:|"
    r"NewConnectionError|Failed to establish a new connection|[Cc]ould not connect to server|"
    r"dns error|EAI_AGAIN|No matching distribution found|urlopen error"
)
_NETWORK_ERRORS = re.compile(
    r"(?:gaierror|URLError|ConnectError|ConnectionError|ConnectionRefusedError|ConnectTimeout|"
    r"ClientConnectorError|NewConnectionError|MaxRetryError|APIConnectionError|EndpointConnectionError|"
    r"ServerNotFoundError|OperationalError|ServerSelectionTimeoutError)$"
)
_SECRET = re.compile(
    r"api[-_ ]?key|access[-_ ]?token|credential|authenticat|unauthori[sz]ed|secret|password",
    re.IGNORECASE,
)
# Parsers speak of them as well: it takes a snippet that names one.
_TOKEN = re.compile(r"\btoken\b", re.IGNORECASE)
_MISSING_MODULE = re.compile(r"No module named '(?P<name>[\w.]+)'(?P<rest>;.*)?")
# How libraries that do without a package until it is needed say that it is not there.
_MISSING_OPTIONAL = re.compile(
    r"required package '(?P<a>[\w.-]+)' not found|requires (?:the )?'(?P<b>[\w.-]+)' (?:module|package|library)|"
    r"pip install (?:-\S+ )*['\"`]?(?P<c>[A-Za-z][\w.-]*)|'?`?(?P<d>[\w.-]+)'?`? must be installed|"
    r"`Import (?P<e>[\w.]+)` failed|[Mm]issing optional dependency '(?P<f>[\w.-]+)'|"
    r"['`\"]?(?P<g>[\w.-]+)['`\"]? (?:package |module |library )?(?:is )?not installed"
)
_MISSING_FILE = re.compile(r"No such file or directory:? ?(?P<file>.*)")
_NOT_FOUND = re.compile(r"(?:line \d+: )?(?P<name>[\w./+-]+): (?:command not found|No such file)")
_INSTALLS = re.compile(
    r"\b(?:pip3?|uv|pipx|conda|mamba|poetry|npm|npx|yarn|pnpm|apt|apt-get|brew|gem|cargo|go)\b[^\n|;&]*"
    r"\b(?:install|add|get|sync|update|upgrade|tool|pip)\b|\buvx\b|\bnpx\b|"
    r"\bgit (?:clone|pull|fetch)\b|\b(?:curl|wget)\b",
)
_NO_TERMINAL = re.compile(
    r"\bnot a (?:tty|terminal)\b|Inappropriate ioctl for device", re.IGNORECASE
)
_READS = re.compile(r"\s*(?:IFS=\S*\s+)?read\s")
_NO_DISPLAY = re.compile(
    r"no display name and no|couldn't connect to display|could not connect to display|"
    r"cannot connect to X server|Cannot open display"
)

Cause = tuple[Kind, str]


def of_exception(
    name: str, value: str, traceback: str, hints: Sequence[Hint], packages: Sequence[str] = ()
) -> Cause | None:
    """Return what a Python snippet lacked here, None where its failure is its own."""
    said = f"{name}: {value}\n{traceback[-2000:]}"
    kinds = {hint.kind for hint in hints}
    if name == "ModuleNotFoundError" and (match := _MISSING_MODULE.search(value)):
        return _module(match["name"], bool(match["rest"]))
    if name in {"ModuleNotFoundError", "ImportError"} and (
        match := _MISSING_OPTIONAL.search(value)
    ):
        return _module(next(filter(None, match.groups())), False)
    if name == "ImportError" and "attempted relative import" in value:
        return "needs_file", "It imports from the package that it is part of, which is not here."
    if _NO_DISPLAY.search(value):
        return "interactive", "It opens a window, and here is no display."
    no_terminal = "/dev/tty" in value or "Inappropriate ioctl for device" in value
    if no_terminal or (name in {"EOFError", "BdbQuit", "Abort"} and "interactive" in kinds):
        return "interactive", "It asks somebody for input, and here is nobody to answer."
    secret = _SECRET.search(value) or ("credentials" in kinds and _TOKEN.search(value))
    if name == "KeyError" and "credentials" in kinds and secret:
        return "needs_credentials", f"It reads {value} from the environment, which is not set here."
    if _NETWORK.search(said) or (_NETWORK_ERRORS.search(name) and "network" in kinds):
        if name in {"NameError", "SyntaxError", "AssertionError", "TypeError", "AttributeError"}:
            return None
        return "needs_network", "It wants the network, which sandboxes do not have."
    if secret and kinds & {"credentials", "network"}:
        if name in {"NameError", "SyntaxError", "AssertionError", "TypeError", "AttributeError"}:
            return None
        return "needs_credentials", "It wants a key or a password, which nobody gave it."
    if name == "FileNotFoundError":
        match = _MISSING_FILE.search(value)
        file = match["file"] if match and match["file"] else "a file"
        return "needs_file", f"It wants {file}, which neither it nor what runs before it makes."
    return None


def _module(name: str, not_a_package: bool) -> Cause | None:
    # The package is there and has no such module: that is a wrong name.
    if "." in name or not_a_package:
        return None
    advice = f"It needs the module {name}, which is not installed; name its package in packages."
    if name in NETWORK_MODULES:
        advice = advice[:-1] + ", though it will want the network too."
    return "needs_dependency", advice


def of_shell(said: str, exit_code: int | None, command: str) -> Cause | None:
    """Return what a shell command lacked here; `said` is the end of its output on both streams."""
    if _NO_TERMINAL.search(said) or (exit_code == 1 and not said.strip() and _READS.match(command)):
        return "interactive", "It asks somebody for input, and here is nobody to answer."
    if exit_code == 127 and (match := _NOT_FOUND.search(said)):
        if _INSTALLS.search(command):
            return "needs_network", "It would install or download something; nothing was installed."
        return "needs_dependency", f"The command {match['name']} is not there."
    if _NETWORK.search(said) or _INSTALLS.search(command):
        return "needs_network", "It would install or download something; sandboxes have no network."
    if match := re.search(r"(?P<file>\S+): No such file or directory", said):
        return "needs_file", f"It wants {match['file']}, which is not there."
    if "not a git repository" in said:
        return "needs_file", "It wants a git repository, which is not there."
    if match := re.search(r"file or directory not found: (?P<file>\S+)", said):
        return "needs_file", f"It wants {match['file']}, which is not there."
    if "No such file or directory" in said:
        return "needs_file", "It wants a file that is not there."
    return None


def near_miss(traceback: str) -> str:
    """Return what Python itself thinks was meant."""
    last = traceback.rstrip().rpartition("\n")[2]
    match = re.search(r"Did you (?:mean|forget)[^?]*\?", last)
    return match[0] if match else ""
