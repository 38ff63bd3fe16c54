"""Tests that fail where they do not look, from what pytest and Python say of it."""

from collections.abc import Mapping

import pytest

from proofbox.tools._app import App
from proofbox.tools.run_generated_tests.events import TestRun
from proofbox.tools.run_generated_tests.project import ROOT, Project
from proofbox.tools.run_generated_tests.request import TestsRequest
from proofbox.tools.run_generated_tests.run import run
from proofbox.tools.run_generated_tests.suite import Sheet, Written
from proofbox.tools.run_generated_tests.unseen import unseen

TESTS = """\
def helper():
    assert f() == 2

def test_first():
    start(helper)
    def work():
        assert f() == 2
        raise KeyError("meant")
    async def check():
        assert f() == 2
    async def empty():
        pass

def test_last(): pass
"""
FIRST, LAST = "test_m.py::test_first", "test_m.py::test_last"
FRAMES = (
    'Traceback (most recent call last):\n  File "/x/lib/python3.11/y.py", line 1, in run\n    z\n'
)
WRONG = "AssertionError: assert 1 == 2"


def traceback(line: int, error: str, file: str = "test_m.py") -> str:
    """One that ends there, as Python writes it."""
    return f'{FRAMES}  File "{ROOT}/{file}", line {line}, in work\n    it\n{error}\n'


def thread(trace: str) -> str:
    """What pytest warns of."""
    return f"Exception in thread Thread-1 (work)\n\n{trace}\nEnable tracemalloc\n"


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        (thread(traceback(7, WRONG)), 0, {FIRST: ("mend", 7)}),
        (thread(traceback(2, WRONG)), 0, {LAST: ("mend", 2)}),
        (thread(traceback(8, "KeyError: 'meant'")), 0, {FIRST: ("note", 8)}),
        (thread(traceback(7, "TypeError: f()")), 0, {FIRST: ("mend", 7)}),
        (thread(traceback(7, WRONG, "m.py")), 0, {}),
        (f"Process Process-1:\n{traceback(7, WRONG)}", 0, {FIRST: ("mend", 7)}),
        (
            "ERROR    asyncio:base_events.py:1785 Task exception was never retrieved\nfuture: <Task>\n"
            + traceback(7, WRONG),
            0,
            {FIRST: ("mend", 7)},
        ),
        ("coroutine 'test_first.<locals>.check' was never awaited", 12, {FIRST: ("mend", 12)}),
        ("coroutine 'test_first.<locals>.empty' was never awaited", 12, {}),
        ("coroutine 'AsyncMockMixin._execute_mock_call' was never awaited", 12, {}),
        ("cannot collect test class 'Test'", 12, {}),
    ],
)
def test_what_fails_beside_a_test_is_said_of_the_test_whose_lines_it_is(
    text: str, line: int, found: Mapping[str, tuple[str, int]]
) -> None:
    """Though another ran when it was noticed; what was raised on purpose costs nothing."""
    sheet = Sheet(
        "test_m.py", (Written("test_first", 4, 12, True), Written("test_last", 14, 14, False))
    )
    project = Project({"test_m.py": TESTS.encode()}, (), ("test_m.py",))
    warning = {"id": LAST, "kind": "", "text": text, "file": f"{ROOT}/test_m.py", "line": line}

    said = unseen([sheet], project, [TestRun(complete=True, warnings=(warning,))])

    assert {name: (one.severity, one.line) for name, [one] in said.items()} == found


SOURCE = "def double(number):\n    return number * 2\n\n\nasync def later(number):\n    return number * 2\n"
CHECKS = """
import asyncio, multiprocessing, threading
from m import double, later

def test_thread():
    def work(): assert double(2) == 5
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert double(3) == 6

def test_process():
    def work(): assert double(2) == 5
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert double(3) == 6

def test_task():
    async def work(): assert await later(2) == 5
    async def main():
        asyncio.create_task(work())
        await asyncio.sleep(0)
        return await later(1)
    assert asyncio.run(main()) == 2

def test_forgotten():
    async def work(): assert await later(2) == 5
    work()
    assert double(1) == 2

def test_good():
    got = []
    thread = threading.Thread(target=lambda: got.append(double(4)))
    thread.start()
    thread.join()
    assert got == [8]
"""


@pytest.mark.slow
async def test_a_check_that_fails_where_nobody_looks_is_no_reason_to_keep_a_test(
    jailed: App,
) -> None:
    """Each of them proves something too, by its last line, and passes."""
    request = TestsRequest({"m.py": SOURCE}, {"test_m.py": CHECKS}, mutation="off", repeat=1)

    report = await run(jailed, "local", request)

    verdicts = {test.id.rpartition("::")[2]: (test.verdict, test.kind) for test in report.tests}
    assert verdicts.pop("test_good") == ("keep", "")
    assert verdicts == dict.fromkeys(
        ["test_thread", "test_process", "test_task", "test_forgotten"], ("mend", "unseen")
    )
