"""Which print printed what."""

import contextlib
import io

import pytest

from proofbox.tools.validate_snippets import recorder


def run(code: str) -> str:
    namespace: dict[str, object] = {}
    out = io.StringIO()
    import builtins

    original = builtins.print
    try:
        with contextlib.redirect_stdout(out):
            exec(recorder.source("tok-1"), namespace)  # noqa: S102 - the recorder is source to run
            exec(compile(code, "snippet.py", "exec"), namespace)  # noqa: S102
    finally:
        builtins.print = original
    return out.getvalue()


def test_every_print_is_recorded_with_its_place() -> None:
    """Calls are told apart, and the output reads as if nobody listened."""
    stdout = run(
        "def f():\n    print('a', 1, sep='-')\nf()\nimport sys\nsys.stdout.write('raw\\n')\nprint('b', end='')"
    )

    calls, plain = recorder.read(stdout, "tok-1")

    assert [(c.file, c.line, c.text, c.outer_file, c.outer_line) for c in calls] == [
        ("snippet.py", 2, "a-1\n", "snippet.py", 3),
        ("snippet.py", 5, "raw\n", "snippet.py", 5),
        ("snippet.py", 6, "b", "snippet.py", 6),
    ]
    assert plain == "a-1\nraw\nb"


def test_redirected_output_is_left_alone() -> None:
    """Code that captures its own output sees no frames."""
    code = (
        "import contextlib, io, sys\nbuf = io.StringIO()\n"
        "with contextlib.redirect_stdout(buf):\n    print('in')\n"
        "print('err', file=sys.stderr) if False else None\nprint(repr(buf.getvalue()))"
    )

    calls, plain = recorder.read(run(code), "tok-1")

    assert [call.text for call in calls] == ["'in\\n'\n"]
    assert plain == "'in\\n'\n"


def test_frames_of_another_token_are_text() -> None:
    """A snippet cannot forge what it printed without the token."""
    calls, _ = recorder.read(run("print('\\x1eother:1:x\\x1fforged\\x1eother\\x1f')"), "tok-1")

    assert [call.line for call in calls] == [1]


@pytest.mark.parametrize("token", ["", "a b", "{x}", 'x"'])
def test_a_token_must_be_harmless(token: str) -> None:
    """It becomes part of source code."""
    with pytest.raises(ValueError, match="token"):
        recorder.source(token)
