"""Learn which `print` printed what, so that output shown inside code is compared line by line.

The recorder is source for a cell that runs before the snippet, in its namespace's interpreter. Every
`print` to standard output, and whatever else writes to `sys.stdout`, is then framed with a token and the place
of the call; `read` takes the frames out again. Processes that print, and code that redirects standard output, are not
framed. Nor is `pprint`, of which pytest-examples does not compare the output that pages written for it show.
"""

import re
from dataclasses import dataclass

_SOURCE = """\
def _install():
    import builtins, sys
    real, stdout, main = builtins.print, sys.stdout, globals()
    write = stdout.write
    def frame(text, caller):
        outer, line, file = caller, caller.f_lineno, caller.f_code.co_filename
        while caller is not None:
            if caller.f_globals is main and caller.f_code.co_name == "<module>":
                outer = caller
            caller = caller.f_back
        top = "" if outer.f_code.co_filename == file else outer.f_code.co_filename
        write(f"\\x1e{token}:{{line}}:{{outer.f_lineno}}:{{top}}\\x1d{{file}}\\x1f{{text}}\\x1e{token}\\x1f")
    def print(*values, sep=" ", end="\\n", file=None, flush=False):
        if sys.stdout is not stdout or (file is not None and file is not stdout):
            return real(*values, sep=sep, end=end, file=file, flush=flush)
        text = (" " if sep is None else sep).join(map(str, values)) + ("\\n" if end is None else end)
        frame(text, sys._getframe(1))
        if flush:
            stdout.flush()
    def wrote(text):
        caller = sys._getframe(1)
        if not isinstance(text, str) or caller.f_code.co_filename.endswith("pprint.py"):
            return write(text)
        frame(text, caller)
        return len(text)
    builtins.print, stdout.write = print, wrote
_install()
del _install
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call of `print`, or of what writes as it does: the file and line that called it, and what it printed, end included.

    `outer_line` of `outer_file` is the statement of the module itself on the way to the call.
    """

    file: str
    line: int
    text: str
    outer_file: str
    outer_line: int


def source(token: str) -> str:
    """Return the cell that installs the recorder; `token` must not be guessable from the snippet.

    Raises ValueError for a token that is not letters, digits and dashes.
    """
    if not re.fullmatch(r"[\w-]+", token):
        raise ValueError("a token is made of letters, digits and dashes")
    return _SOURCE.format(token=token)


def read(stdout: str, token: str) -> tuple[tuple[Recorded, ...], str]:
    """Split a recorded output into the calls of `print` and the whole output as readers would see it."""
    frame = re.compile(
        rf"\x1e{re.escape(token)}:(?P<line>\d+):(?P<outer>\d+):(?P<top>[^\x1d]*)\x1d(?P<file>[^\x1f]*)\x1f"
        rf"(?P<text>.*?)\x1e{re.escape(token)}\x1f",
        re.DOTALL,
    )
    calls = tuple(
        Recorded(m["file"], int(m["line"]), m["text"], m["top"] or m["file"], int(m["outer"]))
        for m in frame.finditer(stdout)
    )
    return calls, frame.sub(lambda match: match["text"], stdout)
