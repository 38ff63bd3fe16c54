"""Threads that parse at the same time."""

import ast
import gc
import inspect
import sys
import threading

import pytest

from proofbox.server.parsing import make_safe


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="later Pythons count for each parser")
def test_threads_take_turns_at_parsing() -> None:
    """Else work that runs beside other work fails now and then, on Python 3.11, for no reason of its own."""
    make_safe()
    make_safe()
    source = "\n".join(f"x{number} = [[[{number}]]]" for number in range(2000))
    begun, done = threading.Event(), threading.Event()
    overtaken: list[bool] = []

    def parse_too() -> None:
        begun.wait(20)
        ast.parse("1 + 1")
        done.set()

    def look(phase: str, info: dict[str, int]) -> None:
        """In the middle of the parsing, where the interpreter may go on with another thread."""
        here = inspect.currentframe()
        caller = here.f_back if here else None
        if not overtaken and caller and caller.f_code.co_name == "parse":
            begun.set()
            overtaken.append(done.wait(0.3))

    other = threading.Thread(target=parse_too)
    other.start()
    usual = gc.get_threshold()
    gc.set_threshold(100)
    gc.callbacks.append(look)
    try:
        ast.parse(source)
    finally:
        gc.callbacks.remove(look)
        gc.set_threshold(*usual)
    other.join(20)

    assert overtaken == [False]
    assert done.is_set()
