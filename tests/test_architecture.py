"""Who may import whom, and other rules that the source itself must keep."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for top in ("server", "tools", "prompts") for path in (ROOT / top).rglob("*.py")
)

# The longest prefix that fits a module names its layer; a layer may import itself and these.
LAYERS = {
    "server.cli": {
        *{"server.app", "server.assembly", "server.page", "server", "tools", "prompts"},
        *{"server.replicas", "server.sandbox", "server.sessions"},
    },
    "server.testing": {"server.app", "server", "tools", "server.sandbox"},
    "server.app": {"server.assembly", "server.prompting", "server", "tools", "server.sandbox"},
    "server.assembly": {"server", "tools", "server.replicas", "server.sandbox", "server.sessions"},
    "server.prompting": {"prompts"},
    "server.page": {"server", "tools", "server.replicas", "server.sandbox", "server.sessions"},
    "tools": {"server", "server.sandbox", "server.sessions"},
    "server.sessions": {"server.sandbox", "server.replicas"},
    "server.replicas": {"server", "server.sandbox"},
    "server.sandbox": set[str](),
    "server": {"server.replicas", "server.sandbox", "server.sessions"},
    "prompts": set[str](),
}

SDK = {"e2b", "e2b_code_interpreter", "e2b_connect"}
IN_THE_ENVIRONMENT = {"IPython", "traitlets", "matplotlib", "numpy", "pandas", "e2b_charts"}


def module_of(path: Path) -> str:
    """The dotted name below the repository, as `server.sandbox.base`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str:
    """The layer that a module is in."""
    fitting = [name for name in LAYERS if module == name or module.startswith(f"{name}.")]
    return max(fitting, key=len)


@cache
def imports_in(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """The import statements of a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return tuple(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def imports_of(path: Path, module: str) -> Iterator[str]:
    """Our own modules that a file imports anywhere, in functions too."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in imports_in(path):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1]
            target = ".".join([*base, *([node.module] if node.module else [])])
            yield from [target] if node.module else [f"{target}.{item.name}" for item in node.names]


def absolute_imports(path: Path) -> set[str]:
    """The top-level names of everything that a file imports absolutely."""
    names: set[str] = set()
    for node in imports_in(path):
        if isinstance(node, ast.Import):
            names |= {item.name.partition(".")[0] for item in node.names}
        elif not node.level:
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=[module_of(path) for path in SOURCES])
def test_imports_run_one_way(path: Path) -> None:
    """The command line over the server, over the tools, over sessions, over sandboxes."""
    module = module_of(path)
    layer = layer_of(module)

    for imported in imports_of(path, module):
        below = layer_of(imported.strip("."))
        assert below == layer or below in LAYERS[layer], f"{module} imports {imported}"


def test_the_rule_on_imports_sees_them() -> None:
    """It would be worth nothing if it found no import at all."""
    seen = {
        (layer_of(module_of(path)), layer_of(imported))
        for path in SOURCES
        for imported in imports_of(path, module_of(path))
    }

    assert {
        ("server.cli", "server.app"),
        ("server.app", "tools"),
        ("tools", "server.sessions"),
    } <= seen
    assert ("tools", "server.app") not in seen


@pytest.mark.parametrize("path", SOURCES, ids=[module_of(path) for path in SOURCES])
def test_source_names_itself_by_relative_imports_only(path: Path) -> None:
    """Two names for one module would be two modules."""
    assert "proofbox" not in absolute_imports(path)


def test_only_the_adapter_imports_the_sdk_of_e2b() -> None:
    """Its traps are handled in one place."""
    users = {path.parent for path in SOURCES if absolute_imports(path) & SDK}

    assert users == {ROOT / "server/sandbox/e2b"}


def test_only_the_fixtures_import_pytest() -> None:
    """Whoever serves, or scripts the tools without a suite, need not have it."""
    here = [path for path in SOURCES if path.parent.name != "guest"]
    users = {path for path in here if "pytest" in absolute_imports(path)}

    assert users == {ROOT / "server/testing/fixtures.py"}


def test_the_guest_imports_little_but_the_standard_library() -> None:
    """It runs in sandboxes that have nothing else; what it shows, it imports if that is there."""
    guest = [path for path in SOURCES if path.parent == ROOT / "server/sandbox/guest"]
    own = {"proofbox_guest", *(path.stem for path in guest)}

    assert guest
    for path in guest:
        assert absolute_imports(path) <= sys.stdlib_module_names | own | IN_THE_ENVIRONMENT, path
