"""Environment variables for one call, as cells before and after it.

The SDK's `envs=` pastes values into code unescaped: a quote in a value is a syntax error, and a
crafted value is code. It also shifts the line numbers of the user's code. These cells quote, and they
put back what was there before.
"""

import json
import re
from collections.abc import Callable, Mapping

from ..errors import InvalidInput

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_PYTHON_SET = """\
import os, sys
sys._proofbox_environ = {name: os.environ.get(name) for name in new}
os.environ.update(new)
"""
_PYTHON_RESET = """\
import os, sys
for name, value in sys.__dict__.pop("_proofbox_environ", {}).items():
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
"""


def check(env: Mapping[str, str]) -> None:
    """Raises InvalidInput for what cannot be an environment."""
    for name, value in env.items():
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} cannot name an environment variable.")
        if "\0" in value:
            raise InvalidInput(f"The value of {name} holds a NUL character.")


def cells(language: str, env: Mapping[str, str]) -> tuple[str, str]:
    """Code that sets `env`, and code that restores what it replaced.

    Raises:
        InvalidInput: a name or a value is unusable, or the language has no such thing.
    """
    check(env)
    if language not in _CELLS:
        raise InvalidInput(
            f"Environment variables cannot be set for {language} code on E2B: a running interpreter of "
            "that language cannot change its own. Put the values into the code or into a file."
        )
    return _CELLS[language](env)


def _python(env: Mapping[str, str]) -> tuple[str, str]:
    run = "__import__('builtins').exec"
    return (
        f"{run}({_PYTHON_SET!r}, {{'new': {dict(env)!r}}})",
        f"{run}({_PYTHON_RESET!r}, {{}})",
    )


_SCRIPT_SET = """\
void (() => {
  const env = %s;
  const old = Object.keys(env).map(name => [name, process.env[name]]);
  globalThis.__proofboxEnviron = Object.fromEntries(old);
  Object.assign(process.env, env);
})()"""
_SCRIPT_RESET = """\
void (() => {
  for (const [name, value] of Object.entries(globalThis.__proofboxEnviron ?? {})) {
    if (value === undefined) delete process.env[name]; else process.env[name] = value;
  }
  delete globalThis.__proofboxEnviron;
})()"""


def _javascript(env: Mapping[str, str]) -> tuple[str, str]:
    return _SCRIPT_SET % json.dumps(dict(env)), _SCRIPT_RESET


_R_SET = """\
invisible({
  options(proofbox.environ = Sys.getenv(c(%s), unset = NA, names = TRUE))
  Sys.setenv(%s)
})"""
_R_RESET = """\
invisible(local({
  old <- getOption("proofbox.environ")
  for (name in names(old))
    if (is.na(old[[name]])) Sys.unsetenv(name) else do.call(Sys.setenv, as.list(old[name]))
  options(proofbox.environ = NULL)
}))"""


def _r(env: Mapping[str, str]) -> tuple[str, str]:
    # JSON's escapes are R's too, apart from those of characters that need none.
    names = ", ".join(json.dumps(name) for name in env)
    pairs = ", ".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in env.items()
    )
    return _R_SET % (names, pairs), _R_RESET


def _bash(env: Mapping[str, str]) -> tuple[str, str]:
    before: list[str] = []
    after: list[str] = []
    for name, value in env.items():
        kept = f"__proofbox_{name}"
        before.append(
            f'if [ -n "${{{name}+x}}" ]; then {kept}="${name}"; fi; export {name}={_ansi(value)}'
        )
        after.append(
            f'if [ -n "${{{kept}+x}}" ]; then {name}="${kept}"; unset {kept}; else unset {name}; fi'
        )
    return "; ".join(before), "; ".join(after)


def _ansi(value: str) -> str:
    # One line whatever the value: the bash kernel types the code into a terminal line by line.
    escaped = "".join(
        f"\\x{ord(letter):02x}"
        if ord(letter) < 32 or ord(letter) == 127 or letter in "\\'"
        else letter
        for letter in value
    )
    return f"$'{escaped}'"


_CELLS: dict[str, Callable[[Mapping[str, str]], tuple[str, str]]] = {
    "python": _python,
    "javascript": _javascript,
    "typescript": _javascript,
    "r": _r,
    "bash": _bash,
}
