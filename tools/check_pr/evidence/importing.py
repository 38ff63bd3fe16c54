"""Whether the changed modules can still be imported, where no test has shown it."""

import secrets
from collections.abc import Mapping, Sequence

from ....server import programs
from ....server.programs import OpenSandbox
from ....server.sandbox import Cell, Program
from ...run_generated_tests.project import ROOT, Project

_SECONDS = 120.0
_SHOWN = 300
_HOW = {"exited": "exited", "timed_out": "ran out of time", "killed": "was killed"}
_CODE = """
import importlib, os, site, sys
site.main()
os.chdir({root!r})
sys.path[:0] = {path!r}
for name in {names!r}:
    said = "ends the process"
    sys.stderr.write({token!r} + " begins " + name + chr(10))
    try:
        importlib.import_module(name)
        said = ""
    except BaseException as error:
        said = (type(error).__name__ + ": " + str(error)).replace(chr(10), " ")[:{shown}]
    sys.stdout.write(chr(10) + {token!r} + " " + name + " " + said + chr(10))
    sys.stdout.flush()
"""


async def broken_imports(
    project: Project, names: Sequence[str], env: Mapping[str, str], open_sandbox: OpenSandbox
) -> dict[str, str] | None:
    """Those of the modules that cannot be imported, and what they raise; None if that is not known."""
    token = secrets.token_hex(16)
    code = _CODE.format(
        root=ROOT,
        path=[f"{ROOT}/{root}".rstrip("/") for root in project.roots],
        names=list(names),
        token=token,
        shown=_SHOWN,
    )
    files = {f"project/{path}": content for path, content in project.files.items()}
    environment = {"PYTHONDONTWRITEBYTECODE": "1", **env}
    program = Program("imports", (Cell(code),), files=files, env=environment, timeout=_SECONDS)
    async with programs.run([program], open_sandbox) as ended:
        async for ran in ended:
            if ran.result is None or not ran.result.cells:
                return None
            said = _read(ran.result.cells[0].stdout.text, token)
            return {
                name: said.get(name, _ended(ran.result.outcome))
                for name in names
                if said.get(name, "?")
            }
    return None


def _ended(outcome: str) -> str:
    return f"its import does not come to its end, the process {_HOW.get(outcome, 'was ended')}"


def _read(stdout: str, token: str) -> dict[str, str]:
    """What each import raised, empty for those that did not."""
    found: dict[str, str] = {}
    for line in stdout.splitlines():
        head, _, rest = line.partition(" ")
        if head == token:
            name, _, said = rest.partition(" ")
            found[name] = said
    return found
