"""Test files that are compiled once for many processes: the code is that of the very text, or it is not taken."""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from proofbox.server.sandbox import Captured, CellResult, Program, ProgramResult
from proofbox.tools.run_generated_tests import compiling
from proofbox.tools.run_generated_tests.compiling import Compiled, compile_tests
from proofbox.tools.run_generated_tests.guest import compiled as guest
from proofbox.tools.run_generated_tests.project import Project

CELLS = """
import contextlib, io, json, sys
names = {}
told = []
for code in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(code, names)
    told.append(said.getvalue())
print(json.dumps(told))
"""
SESSION = """
import json, sys
import pytest
from proofbox.tools.run_generated_tests.guest import compiled
options = json.loads(sys.argv[1])
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", sys.argv[2]], plugins=[compiled.plugin(options, print)]))
"""


class Here:
    """Runs cells in a process of this machine; good for code that is ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def run_program(self, program: Program) -> ProgramResult:
        for path, content in program.files.items():
            place = self._folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        codes = json.dumps([cell.code for cell in program.cells])
        command = [sys.executable, "-I", "-c", CELLS, codes]
        ran = await anyio.run_process(command, cwd=self._folder, check=False)
        if ran.returncode:
            return ProgramResult(program.id, "raised", ran.stderr.decode())
        told = [CellResult("completed", stdout=Captured(text)) for text in json.loads(ran.stdout)]
        return ProgramResult(program.id, "completed", cells=tuple(told))


async def made(folder: Path, texts: dict[str, bytes]) -> Compiled:
    """What compiling comes to."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Here]:
        yield Here(folder)

    return await compile_tests(texts, opened)


async def test_what_pytest_would_warn_of_or_refuse_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that cannot be compiled without a word is compiled where it can be told; so is a suite that is small."""
    texts = {
        "tests/test_good.py": b"def test_a():\n    assert 1 == 1\n",
        "tests/test_warns.py": b"X = '\\d'\n",
        "tests/test_broken.py": b"def\n",
        "tests/readme.txt": b">>> 1\n1\n",
    }

    small = await made(tmp_path, texts)
    monkeypatch.setattr(compiling, "_LEAST_BYTES", 1)
    found = await made(tmp_path, texts)

    assert not small.codes
    assert [path for path, _ in found.codes] == ["tests/test_good.py"]
    project = Project(files=texts, sources=(), tests=tuple(texts))
    [sent] = found.options(project, texts)["files"]
    assert sent.endswith("/tests/test_good.py")
    changed = Project(files={"tests/test_good.py": b"x = 1\n"}, sources=(), tests=())
    assert not found.options(changed, changed.files)


async def test_a_compile_that_fails_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is in the way, the result is that nothing was compiled."""
    monkeypatch.setattr(compiling, "_LEAST_BYTES", 1)
    monkeypatch.setattr(compiling, "_BEGIN", "raise ImportError")

    assert not (await made(tmp_path, {"test_a.py": b"x = 1\n"})).codes


@pytest.mark.parametrize(("text", "maker", "passes"), [
    ("as it is", "mine", True),
    ("another", "mine", False),
    ("as it is", "somebody else's", False),
])  # fmt: skip
def test_code_is_taken_for_the_very_text_and_of_the_same_maker_alone(
    text: str, maker: str, passes: bool, tmp_path: Path
) -> None:
    """The code here is that of a test that holds, the text that of one which does not: so it shows which is run."""
    path = tmp_path / "test_it.py"
    path.write_text("def test_it():\n    assert 1 == 2\n")
    code = guest.compiled(str(path), b"def test_it():\n    assert 1 == 1\n")
    digest = guest.digest(path.read_bytes() if text == "as it is" else b"another")
    by = guest.maker() if maker == "mine" else "00000000 1.0"
    options = {"files": {str(path): (by, digest, code)}}

    ran = subprocess.run(
        [sys.executable, "-B", "-c", SESSION, json.dumps(options), str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert ("1 passed" in ran.stdout) is passes, ran.stdout + ran.stderr
    assert ("assert 1 == 2" in ran.stdout) is not passes
