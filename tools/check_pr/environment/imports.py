"""Whether packages that a pull request brings can be imported beside the others."""

import json
import secrets
from collections.abc import Mapping, Sequence

from ....server import programs
from ....server.programs import OpenSandbox
from ....server.sandbox import Cell, Program
from .environment import Environments

_SECONDS = 120.0
_MOST = 60
_LONGEST = 300
# Alone is in a fork that has imported nothing else; beside the others is in one process, one after another.
_LOOK = """
import importlib, json, os, sys
from importlib import metadata

def modules_of(name):
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return []
    listed = (found.read_text("top_level.txt") or "").split()
    if not listed:
        for file in found.files or ():
            parts = str(file).split("/")
            if parts[0].endswith((".dist-info", ".data", ".pth")) or ".." in parts or parts[0] == "__pycache__":
                continue
            listed.append(parts[0] if len(parts) > 1 else parts[0].split(".")[0])
    names = dict.fromkeys(each.replace("/", ".") for each in listed)
    return [each for each in names if each.isidentifier() and not each.startswith("_")]

def attempt(name):
    try:
        importlib.import_module(name)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:400]
    return ""

def apart(work):
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(read)
        out = os.open(os.devnull, os.O_WRONLY)
        os.dup2(out, 1)
        os.dup2(out, 2)
        try:
            os.write(write, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        said = pipe.read()
    os.wait()
    return json.loads(said) if said else None

def together(names):
    return {name: said for name in names if (said := attempt(name))}

def look(packages):
    tops = {package: modules_of(package) for package in packages}
    names = [name for listed in tops.values() for name in listed]
    failed = apart(lambda: together(names))
    if failed is None:
        failed = {name: "its import ended the process" for name in names if apart(lambda: attempt(name)) is None}
    answer = {}
    for package, listed in tops.items():
        for name in listed:
            if name in failed:
                alone = apart(lambda: attempt(name))
                answer[package] = [name, failed[name], alone == ""]
                break
    return answer

sys.stdout.write(TOKEN + " " + json.dumps(look(PACKAGES)))
"""


async def import_conflicts(
    both: Environments, open_base: OpenSandbox, open_head: OpenSandbox
) -> tuple[str, ...]:
    """In a sentence each, packages that head has anew and that cannot be imported. What base cannot import
    either says nothing of the change; what could not be found out is left out.
    """
    changed = [each.name for each in both.differences if each.after]
    others = [pin.split("==")[0] for pin in both.head.packages]
    ordered = [*(name for name in others if name not in changed), *changed][-_MOST:]
    failed = await _look(ordered, open_head)
    if not failed:
        return ()
    known = await _look(
        [pin.split("==")[0] for pin in both.base.packages if _name(pin) in failed], open_base
    )
    versions = dict(pin.split("==", 1) for pin in both.head.packages)
    return tuple(
        _sentence(name, versions.get(name, ""), *failed[name])
        for name in failed
        if name not in known
    )


def _name(pin: str) -> str:
    return pin.split("==")[0]


def _sentence(package: str, version: str, module: str, error: str, works_alone: bool) -> str:
    beside = ", which it can be alone" if works_alone else ""
    plain = "".join(letter if letter.isprintable() else " " for letter in error)[:_LONGEST]
    return f"{package} {version} cannot be imported beside the others{beside}: import {module} raises {plain}"


async def _look(
    packages: Sequence[str], open_sandbox: OpenSandbox
) -> Mapping[str, tuple[str, str, bool]]:
    """Packages that cannot be imported: the module, the error, and whether it can be alone."""
    if not packages:
        return {}
    token = secrets.token_hex(16)
    code = f"TOKEN, PACKAGES = {token!r}, {list(packages)!r}\n{_LOOK}"
    program = Program("imports", (Cell(code, "<imports>"),), timeout=_SECONDS)
    async with programs.run([program], open_sandbox, lanes=1) as ended:
        async for ran in ended:
            if ran.result is None or ran.result.outcome != "completed":
                continue
            said, _, answer = ran.result.cells[0].stdout.text.partition(" ")
            if said == token:
                return {name: tuple(each) for name, each in json.loads(answer).items()}
    return {}
