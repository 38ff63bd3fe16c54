"""Runs answers that are not called in their own process: JavaScript, bash, and programs that read and write.

Its source is sent into the sandbox beside `served`, so it needs Python 3.9 and the standard library only. An
answer runs in a child process. What it returns or prints is passed on; what is expected is not here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from .served import Said, limit_cpu

_MOST_BYTES = 3_000_000
_FILES = {"python": "answer.py", "javascript": "answer.js", "bash": "answer.sh"}
_COMMANDS = {
    "python": [sys.executable, "answer.py"],
    "javascript": ["node", "answer.js"],
    "bash": ["bash", "answer.sh"],
}
_BASH_CALL = 'source ./answer.sh; "$@"'


limit = limit_cpu


def javascript(source: str, driver: str, request: str) -> Said:
    """Let the driver run an answer in JavaScript and say what it says."""
    _write(source, "javascript")
    with open("driver.js", "w", encoding="utf-8") as file:
        file.write(driver)
    with open("request.json", "w", encoding="utf-8") as file:
        file.write(request)
    read, write = os.pipe()
    node = ["node", "--max-old-space-size=512", "--stack-size=900", "driver.js", str(write)]
    try:
        child = subprocess.Popen(node, stdin=subprocess.DEVNULL, pass_fds=(write,))
    except OSError as error:
        return Said({"unavailable": f"node cannot be started: {error.strerror}"})
    os.close(write)
    said = bytearray()
    while len(said) <= _MOST_BYTES:
        data = os.read(read, 1 << 16)
        if not data:
            break
        said += data
    else:
        child.kill()
        return Said({"too_large": len(said)})
    ended = _ending(child.wait())
    if ended:
        return Said(ended)
    try:
        message: dict[str, Any] = json.loads(said)
        return Said(dict(message))
    except (ValueError, TypeError):
        return Said({"given": [], "left": True})


def functions(source: str, entry_point: str, calls: list[list[str]]) -> Said:
    """Call a bash function with each list of words; what it prints is what it gives."""
    _write(source, "bash")
    if subprocess.run(["bash", "-n", "answer.sh"], capture_output=True, check=False).returncode:
        return Said({"syntax": "bash cannot parse it", "line": None})
    given: list[Any] = []
    for words in calls:
        command = ["bash", "-c", _BASH_CALL, "answer", entry_point, *words]
        ended, text = _run(command, b"")
        if ended:
            return Said({"given": given, **ended})
        given.append({"value": text.rstrip("\n")})
    return Said({"given": given, "ended": True})


def programs(source: str, language: str, cases: list[tuple[str, list[str]]]) -> Said:
    """Run a program once for each case's standard input and arguments."""
    _write(source, language)
    given: list[Any] = []
    for stdin, words in cases:
        command = [*_COMMANDS[language], *words]
        ended, text = _run(command, stdin.encode(errors="surrogatepass"))
        if ended:
            return Said({"given": given, **ended})
        given.append({"value": text})
    return Said({"given": given, "ended": True})


def _write(source: str, language: str) -> None:
    with open(_FILES[language], "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(source)


def _run(command: list[str], stdin: bytes) -> tuple[dict[str, Any], str]:
    """What a command printed; the first item says if it did not end by itself."""
    with open("stdin", "wb") as file:
        file.write(stdin)
    with open("stdin", "rb") as given, open("stdout", "wb") as printed:
        try:
            child = subprocess.run(command, stdin=given, stdout=printed, check=False)
        except OSError as error:
            return {"unavailable": f"{command[0]} cannot be started: {error.strerror}"}, ""
    with open("stdout", "rb") as file:
        text = file.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        return {"flooded": True}, ""
    return _ending(child.returncode), text.decode(errors="replace")


def _ending(status: int) -> dict[str, Any]:
    """How a child ended, if a signal did it."""
    if status >= 0:
        return {}
    try:
        return {"killed": signal.Signals(-status).name}
    except ValueError:
        return {"killed": f"signal {-status}"}
