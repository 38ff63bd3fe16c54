"""What a snippet will want from the world, as far as its text tells: network, keys, files, a person.

A hint alone decides nothing. It explains a failure: code that opens a connection and fails without a
network was not shown to be wrong.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .magics import magics
from .names import parse

HintKind = Literal["network", "credentials", "file", "interactive", "server", "install", "sleep"]

NETWORK_MODULES = frozenset(
    {
        "aiohttp", "anthropic", "azure", "boto3", "botocore", "cohere", "ftplib", "google", "grpc",
        "httpx", "huggingface_hub", "imaplib", "kafka", "mistralai", "openai", "paramiko", "pika",
        "poplib", "psycopg", "psycopg2", "pymongo", "redis", "requests", "smtplib", "socket", "ssl",
        "telnetlib", "urllib3", "websockets", "xmlrpc",
    }
)  # fmt: skip
_CALLS: dict[str, HintKind] = {
    "input": "interactive",
    "breakpoint": "interactive",
    "getpass.getpass": "interactive",
    "getpass": "interactive",
    "pdb.set_trace": "interactive",
    "click.prompt": "interactive",
    "click.edit": "interactive",
    "click.getchar": "interactive",
    "click.pause": "interactive",
    "click.confirm": "interactive",
    "typer.prompt": "interactive",
    "Prompt.ask": "interactive",
    "Confirm.ask": "interactive",
    "uvicorn.run": "server",
    "app.run": "server",
    "mcp.run": "server",
    "server.run": "server",
    "time.sleep": "sleep",
    "urllib.request.urlopen": "network",
    "urlopen": "network",
    "urllib.request.urlretrieve": "network",
    "urlretrieve": "network",
}
_SERVER_METHODS = frozenset({"serve_forever", "run_forever", "mainloop", "run_polling"})
_READERS = frozenset(
    {
        "open", "read_csv", "read_parquet", "read_json", "read_excel", "read_text", "read_bytes",
        "scan_csv", "scan_parquet", "read_ndjson", "read_ipc", "read_feather", "loadtxt", "load",
        "imread", "from_file", "from_parquet",
    }
)  # fmt: skip
_URL = re.compile(r"https?://(?!(?:localhost|127\.|0\.0\.0\.0|\[::1\]|testserver))[\w.-]+")
_SECRET_NAME = re.compile(
    r"(?:api[-_ ]?key|token|secret|password|credential|access[-_ ]?key)", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"(?:<[^<>]*(?:key|token|secret|password)[^<>]*>|(?:your|my)[-_ ][\w -]*(?:key|token|secret|password)"
    r"|\b(?:sk|pk|ghp|xox[bp]|hf)[-_][\w.*-]+|x{4,}|\*{4,})",
    re.IGNORECASE,
)
_PATH = re.compile(r"[\w./~-]+\.\w{1,8}$")


@dataclass(frozen=True, slots=True)
class Hint:
    """Something that a snippet wants. `line` counts from 1 in the code, `what` is the text that tells."""

    kind: HintKind
    line: int
    what: str


def hints(source: str) -> tuple[Hint, ...]:
    """Return what a Python snippet will want, in the order of its lines."""
    found: list[Hint] = []
    for line, magic in magics(source):
        if re.match(r"[!%]\s*(?:pip|uv|conda|mamba|apt(?:-get)?)\b", magic):
            found.append(Hint("install", line, magic))
    tree = parse(source)
    if tree is not None:
        for node in ast.walk(tree):
            found += _of_node(node)
    return tuple(sorted(dict.fromkeys(found), key=lambda hint: hint.line))


def _of_node(node: ast.AST) -> Iterator[Hint]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from _of_import(node)
    elif isinstance(node, ast.Call):
        yield from _of_call(node)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        if match := _URL.search(node.value):
            yield Hint("network", node.lineno, match[0])
        if len(node.value) < 200 and (match := _SECRET_VALUE.search(node.value)):
            yield Hint("credentials", node.lineno, match[0])
    elif isinstance(node, ast.Subscript):
        name, key = dotted(node.value), node.slice
        if name.endswith("environ") and isinstance(key, ast.Constant):
            yield from _secret(str(key.value), node.lineno)
    elif isinstance(node, ast.While) and _endless(node):
        yield Hint("server", node.lineno, "an endless loop")


def _endless(node: ast.While) -> bool:
    if not isinstance(node.test, ast.Constant) or not node.test.value:
        return False
    return not any(isinstance(n, ast.Break | ast.Return | ast.Raise) for n in ast.walk(node))


def _of_import(node: ast.Import | ast.ImportFrom) -> Iterator[Hint]:
    modules = (
        [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
    )
    for module in modules:
        if module.partition(".")[0] in NETWORK_MODULES or module == "urllib.request":
            yield Hint("network", node.lineno, module)


def _of_call(node: ast.Call) -> Iterator[Hint]:
    name = dotted(node.func)
    if kind := _CALLS.get(name):
        yield Hint(kind, node.lineno, name)
    last = name.rpartition(".")[2]
    if last in _SERVER_METHODS:
        yield Hint("server", node.lineno, name)
    if name in {"os.getenv", "os.environ.get"} and node.args:
        first = node.args[0]
        if isinstance(first, ast.Constant):
            yield from _secret(str(first.value), node.lineno)
    if last in _READERS:
        yield from _of_reader(node)
    for keyword in node.keywords:
        placeholder = isinstance(keyword.value, ast.Constant) and keyword.value.value in {"", "..."}
        if keyword.arg and placeholder and _SECRET_NAME.search(keyword.arg):
            yield Hint("credentials", node.lineno, keyword.arg)


def _of_reader(node: ast.Call) -> Iterator[Hint]:
    mode = node.args[1] if len(node.args) > 1 else None
    writes = isinstance(mode, ast.Constant) and str(mode.value)[:1] in {"w", "a", "x"}
    target = node.args[0] if node.args else None
    if isinstance(node.func, ast.Attribute) and target is None:
        # Path("x").read_text()
        inner = node.func.value
        target = inner.args[0] if isinstance(inner, ast.Call) and inner.args else None
    if writes or not isinstance(target, ast.Constant) or not isinstance(target.value, str):
        return
    if _PATH.match(target.value):
        yield Hint("file", node.lineno, target.value)


def _secret(name: str, line: int) -> Iterator[Hint]:
    if _SECRET_NAME.search(name):
        yield Hint("credentials", line, name)


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for such an expression, "" for any other."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return parts[0] if parts else ""
    return ".".join([node.id, *reversed(parts)])
