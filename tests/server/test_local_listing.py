"""A listing that came with the end of code is never older than the question."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from proofbox.server.sandbox import Sandbox, SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend


@pytest.fixture
async def sandbox(local_cache: Path) -> AsyncGenerator[Sandbox]:
    """One in which somebody lists the home directory after each run, as `execute_code` does."""
    backend = LocalBackend(cache_dir=local_cache)
    opened = await backend.create(SandboxRequest(owner="listing"))
    await opened.list_files(depth=2)
    yield opened
    await backend.close()


async def names(sandbox: Sandbox, depth: int = 2) -> list[str]:
    """What is in the home directory now."""
    listed = await sandbox.list_files(depth=depth)
    return [info.path.removeprefix("/home/user/") for info in listed]


async def test_each_run_is_followed_by_its_own_listing(sandbox: Sandbox) -> None:
    """Run after run."""
    for number in range(5):
        await sandbox.run_code(f"open('f{number}', 'w').close()")

        assert await names(sandbox) == [f"f{n}" for n in range(number + 1)]


async def test_what_happens_after_the_run_is_in_the_listing(sandbox: Sandbox) -> None:
    """A file written, a command, a second question."""
    await sandbox.run_code("1")
    await sandbox.write_files({"written": b""})
    assert await names(sandbox) == ["written"]

    await sandbox.run_code("1")
    await sandbox.run_command("touch commanded")
    assert await names(sandbox) == ["commanded", "written"]

    await sandbox.run_code("import os; os.remove('written')")
    assert await names(sandbox) == ["commanded"]
    assert await names(sandbox) == ["commanded"]


async def test_another_question_gets_its_own_answer(sandbox: Sandbox) -> None:
    """Depth and directory are part of the question."""
    await sandbox.run_code("import os; os.makedirs('a/b/c')")
    assert await names(sandbox, depth=1) == ["a"]

    await sandbox.run_code("1")
    assert await names(sandbox, depth=3) == ["a", "a/b", "a/b/c"]

    await sandbox.run_code("1")
    assert [info.path for info in await sandbox.list_files("a")] == ["/home/user/a/b"]


async def test_code_that_ends_its_interpreter_is_followed_by_a_listing(
    sandbox: Sandbox,
) -> None:
    """Its files are there, whatever became of it."""
    await sandbox.run_code("import os; open('left', 'w').close(); os._exit(1)")

    assert await names(sandbox) == ["left"]
