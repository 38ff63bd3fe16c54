"""Shell blocks as programs: command by command, so that none fails unseen.

`set -e` would miss `false && true`, and an early `exit 0` would look like success. The driver runs one
complete command after another, and says on both streams where each begins and ends. `builtin` is what the shell
has itself, where a script has a function of the same name.
"""

import re
from dataclasses import dataclass

from ...server.sandbox import CellResult
from .snippet import Snippet

_DRIVER = r"""
set -o pipefail
_pb_token=$1 _pb_text=$2 _pb_chunk= _pb_number=0 _pb_start=1
set --
while IFS= builtin read -r _pb_line || [ -n "$_pb_line" ]; do
    _pb_number=$((_pb_number + 1))
    [ -n "$_pb_chunk" ] || _pb_start=$_pb_number
    _pb_chunk+=$_pb_line$'\n'
    case $_pb_line in *\\) builtin continue ;; esac
    [ -z "$(bash -n -c "$_pb_chunk" 2>&1)" ] || builtin continue
    builtin printf '\036%s:%s\037' "$_pb_token" "$_pb_start"
    builtin printf '\036%s:to%s\037\036%s:%s\037' "$_pb_token" "$_pb_number" "$_pb_token" "$_pb_start" >&2
    builtin eval "$_pb_chunk" 9>&- </dev/null || builtin exit
    builtin printf '\036%s:end\037' "$_pb_token"
    _pb_chunk=
done 9>&- <<<"$_pb_text"
if [ -n "$_pb_chunk" ]; then
    builtin printf '\036%s:%s\037' "$_pb_token" "$_pb_start"
    builtin printf '\036%s:%s\037' "$_pb_token" "$_pb_start" >&2
    bash -n -c "$_pb_chunk"
    builtin exit 2
fi
builtin printf '\036%s:done\037' "$_pb_token"
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What the driver saw. `outputs` maps the line at which a command begins to what it printed.

    `line` is where the last command that was begun begins, `end` its last line, `whole` whether all were run.
    """

    outputs: dict[int, str]
    errors: dict[int, str]
    line: int
    end: int
    whole: bool


def script(snippet: Snippet) -> tuple[str, dict[int, int]]:
    """Return the commands of a shell snippet, and the snippet's line for each line of them."""
    if snippet.kind != "console":
        lines = snippet.code.split("\n")
        return snippet.code, {number: number for number in range(1, len(lines) + 1)}
    text = ""
    places: dict[int, int] = {}
    for command in snippet.commands:
        first = text.count("\n") + 1
        source = command.source if command.source.endswith("\n") else command.source + "\n"
        for offset in range(source.count("\n")):
            places[first + offset] = command.line + offset
        text += source
    return text, places


def command(text: str, token: str) -> tuple[str, ...]:
    """Return the command that runs a script in the sandbox."""
    return ("bash", "-c", _DRIVER, "bash", token, text.rstrip("\n"))


def read(result: CellResult, token: str) -> Ran:
    """Take the driver's marks out of what a script printed."""
    outputs, whole = _split(result.stdout.text, token)
    errors, _ = _split(result.stderr.text, token)
    ends = re.findall(rf"\x1e{re.escape(token)}:to(\d+)\x1f", result.stderr.text)
    line = max([0, *outputs, *errors])
    return Ran(outputs, errors, line, max([line, *map(int, ends)]), whole)


def plain(text: str, token: str) -> str:
    """Return a stream as a reader would see it."""
    return re.sub(rf"\x1e{re.escape(token)}:\w+\x1f", "", text)


def _split(text: str, token: str) -> tuple[dict[int, str], bool]:
    parts = re.split(rf"\x1e{re.escape(token)}:(\w+)\x1f", text)
    found: dict[int, str] = {}
    for mark, said in zip(parts[1::2], parts[2::2], strict=True):
        if mark.isdigit():
            found[int(mark)] = found.get(int(mark), "") + said
    return found, "done" in parts[1::2]
