"""Compile the packages of an environment ahead of time, without running anything of them.

A program of its own, run by the environment's base interpreter as
`python -I -S compile_tree.py ROOT NAME`: standard library only. `uv --compile-bytecode` would
start the environment's own interpreter, and that runs every `.pth` file a package brought. ROOT is
the environment, NAME what a jail calls it: only the second goes into the bytecode.
"""

import ctypes
import os
import py_compile
import resource
import signal
import sys
import warnings

_PR_SET_PDEATHSIG = 1
# Far more than any honest package takes; a hostile one only loses its own bytecode.
_CPU_SECONDS = 300
_MEMORY_BYTES = 4 * 1024**3
_SELDOM = ("tests", "__pycache__", "pip", "setuptools", "pkg_resources", "docutils")


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _sources(root: str) -> "list[str]":
    found: list[str] = []
    for directory, names, files in os.walk(os.path.join(root, "lib")):
        # A package's own tests are half of the work and hardly ever imported.
        names[:] = [name for name in names if name not in _SELDOM]
        found += [os.path.join(directory, name) for name in files if _is_worth_it(directory, name)]
    return found


def _is_worth_it(directory: str, name: str) -> bool:
    # Of hundreds of languages those that tracebacks and diffs are shown in.
    lexer = directory.endswith("pygments/lexers") and name[0] != "_"
    return name.endswith(".py") and (not lexer or name in ("python.py", "diff.py"))


def _compile(sources: "list[str]", root: str, name: str) -> None:
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    for source in sources:
        try:
            py_compile.compile(source, dfile=name + source[len(root) :], doraise=True)
        except Exception:  # noqa: BLE001, S112 - templates and old Python are not ours to judge
            continue


def main() -> None:
    """Share the sources out over the processors and wait for all of them."""
    root, name = sys.argv[1:]
    me = os.getpid()
    sources = _sources(root)
    workers = len(os.sched_getaffinity(0))
    children: list[int] = []
    for number in range(workers):
        child = os.fork()
        if child == 0:
            _die_with(me)
            _compile(sources[number::workers], root, name)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
