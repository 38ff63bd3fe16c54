"""Smells of what a test depends on: mocks in place of what it tests, time, networks, an event loop."""

import ast
from collections.abc import Iterator

from .findings import Finding
from .names import Function, Imported, resolve
from .project import Project

_LEAST_SLEEP_SECONDS = 0.5
_NETWORK = {
    "requests.get", "requests.post", "requests.put", "requests.request", "requests.Session",
    "httpx.get", "httpx.post", "httpx.Client", "httpx.AsyncClient", "urllib.request.urlopen", "urlopen",
    "urllib.request.urlretrieve", "socket.create_connection", "aiohttp.ClientSession",
    "http.client.HTTPConnection", "http.client.HTTPSConnection", "smtplib.SMTP",
}  # fmt: skip
_CLOCK = {
    "time.time", "time.strftime", "time.localtime", "time.gmtime", "time.ctime", "time.monotonic",
    "time.perf_counter", "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
    "dt.datetime.now", "dt.date.today",
}  # fmt: skip
_ASYNC_MARKS = ("asyncio", "anyio", "trio", "tornado", "twisted")


def mocked(test: Function, names: Imported) -> Iterator[Finding]:
    """The function that is called is the one that was replaced."""
    replaced = {name: line for name, line in _replaced(test, names)}
    for node in ast.walk(test):
        if isinstance(node, ast.Call):
            target = resolve(node.func, names)
            if target and f"{target[0].name}.{target[1]}" in replaced:
                line = replaced.pop(f"{target[0].name}.{target[1]}")
                message = (
                    f"`{target[1]}` is replaced here and then called: its replacement is tested."
                )
                yield Finding("mocked", message, line)


def _replaced(test: Function, names: Imported) -> Iterator[tuple[str, int]]:
    """Names under test that are patched: `module.name`, and the line."""
    for node in ast.walk(test):
        if isinstance(node, ast.Call):
            yield from _patched(node, names)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                known = resolve(target, names) if isinstance(target, ast.Attribute) else None
                if known:
                    yield f"{known[0].name}.{known[1]}", node.lineno


def _patched(call: ast.Call, names: Imported) -> Iterator[tuple[str, int]]:
    function = ast.unparse(call.func)
    first = call.args[0] if call.args else None
    named = len(call.args) > 1 and isinstance(call.args[1], ast.Constant)
    if isinstance(first, ast.Constant) and function.endswith(("patch", "setattr")):
        yield str(first.value), call.lineno
    elif isinstance(first, ast.Name) and named and function.endswith(("patch.object", "setattr")):
        source = names.modules.get(first.id)
        if source and isinstance(call.args[1], ast.Constant):
            yield f"{source.name}.{call.args[1].value}", call.lineno


def sleeps(test: Function) -> Iterator[Finding]:
    """Waiting for time to pass; a short wait is only noted."""
    for node in ast.walk(test):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "time.sleep",
            "sleep",
            "asyncio.sleep",
            "anyio.sleep",
        }:
            seconds = node.args[0] if node.args else None
            known = seconds.value if isinstance(seconds, ast.Constant) else _LEAST_SLEEP_SECONDS
            if known == 0:
                continue
            long = not isinstance(known, int | float) or known >= _LEAST_SLEEP_SECONDS
            message = "It sleeps: wait for what must happen, or pass a clock in."
            yield Finding("sleeps", message, node.lineno, severity="mend" if long else "note")


def network(test: Function) -> Iterator[Finding]:
    """Connections that the test makes by itself."""
    for node in ast.walk(test):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _NETWORK:
            message = f"`{ast.unparse(node.func)}` goes to the network, which tests do not have."
            yield Finding("network", message, node.lineno)
        elif _is_address(node) and not _is_fake(test):
            message = f"{ast.unparse(node)}: if this is opened, the test needs a network."
            yield Finding("network", message, getattr(node, "lineno", None), severity="note")


def _is_address(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Constant) else None
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _is_fake(test: Function) -> bool:
    text = ast.unparse(test)
    return "patch" in text or "mock" in text.lower()


def clock(test: Function) -> Iterator[Finding]:
    """What time it is decides about the check; elsewhere it is only noted."""
    from_clock = {
        name.id
        for node in ast.walk(test)
        if isinstance(node, ast.Assign) and any(_reads_clock(one) for one in ast.walk(node.value))
        for target in node.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    }
    checked = [
        inner for node in ast.walk(test) if isinstance(node, ast.Assert) for inner in ast.walk(node)
    ]
    decides = any(isinstance(one, ast.Name) and one.id in from_clock for one in checked)
    for node in ast.walk(test):
        if _reads_clock(node):
            direct = decides or any(one is node for one in checked)
            message = "What is expected depends on the real clock: pass a time in, or freeze it."
            if not direct:
                message = "It reads the real clock."
            line = getattr(node, "lineno", None)
            yield Finding("clock", message, line, severity="mend" if direct else "note")


def _reads_clock(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in _CLOCK


def unawaited(
    test: Function,
    owner: ast.ClassDef | None,
    tree: ast.Module,
    names: Imported,
    project: Project,
) -> Iterator[Finding]:
    """Coroutines that nobody runs: the test itself, or what it calls."""
    if isinstance(test, ast.AsyncFunctionDef) and not _is_run(test, owner, tree, project):
        message = (
            "Nothing runs an `async def` test here: mark it for a plugin that is installed "
            "(pytest.mark.asyncio, pytest.mark.anyio), or call asyncio.run in a plain one."
        )
        yield Finding("async", message, test.lineno)
    for node in ast.walk(test):
        value = node.value if isinstance(node, ast.Expr | ast.Assign) else None
        if isinstance(node, ast.Assert):
            value = node.test
        if isinstance(value, ast.Call):
            target = resolve(value.func, names)
            function = target[0].functions.get(target[1]) if target else None
            is_generator = function is not None and any(
                isinstance(one, ast.Yield) for one in ast.walk(function)
            )
            if isinstance(function, ast.AsyncFunctionDef) and not is_generator:
                if isinstance(node, ast.Assign) and _is_used_later(test, node):
                    continue
                message = (
                    f"`{function.name}` is a coroutine function: without `await` it does not run."
                )
                yield Finding("async", message, value.lineno)


def _is_used_later(test: Function, assigned: ast.Assign) -> bool:
    """Whether a coroutine that is kept in a variable may be run by what that is passed to."""
    names = {one.id for t in assigned.targets for one in ast.walk(t) if isinstance(one, ast.Name)}
    for node in ast.walk(test):
        if isinstance(node, ast.Await | ast.Call):
            inside = [node.value] if isinstance(node, ast.Await) else [*node.args]
            for one in inside:
                if any(isinstance(n, ast.Name) and n.id in names for n in ast.walk(one)):
                    return True
    return False


def _settings(project: Project) -> str:
    return project.text(project.config) if project.config in project.files else ""


def _is_run(test: Function, owner: ast.ClassDef | None, tree: ast.Module, project: Project) -> bool:
    bases = [ast.unparse(base) for base in owner.bases] if owner else []
    if any("Async" in base for base in bases):
        return True
    marks = [ast.unparse(one) for one in test.decorator_list]
    marks += [ast.unparse(one) for one in owner.decorator_list] if owner else []
    marks += [
        ast.unparse(node.value)
        for node in [*tree.body, *(owner.body if owner else [])]
        if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node.targets[0])
    ]
    arguments = [one.arg for one in test.args.args]
    settings = " ".join([*project.arguments, _settings(project)])
    return (
        any(word in mark for mark in marks for word in _ASYNC_MARKS)
        or "anyio_backend" in arguments
        or "asyncio_mode" in settings
        or "anyio_mode" in settings
    )
