"""A process that uses the local backend, for tests that kill it.

Run as `python local_server.py CACHE`. It prints `creating` when it begins to start a jail and `open`
when four sessions are busy in it, then waits to be killed.
"""

import sys
from pathlib import Path

import anyio

from proofbox.server.sandbox import SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend

BUSY = """
import os, subprocess, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
subprocess.Popen(["sleep", "1000"])
time.sleep(1000)
"""


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def main() -> None:
    backend = LocalBackend(cache_dir=Path(sys.argv[1]))
    say("creating")
    owners = ("one", "one", "two", "two")
    sandboxes = [await backend.create(SandboxRequest(owner=owner)) for owner in owners]
    async with anyio.create_task_group() as busy:
        started = anyio.Semaphore(0)
        for sandbox in sandboxes:
            await sandbox.run_code("import os; os.getpid()")
            busy.start_soon(_work, sandbox.run_code, started)
        for _ in sandboxes:
            await started.acquire()
        say("open")


async def _work(run_code, started: anyio.Semaphore) -> None:
    await run_code(
        f"print('busy', flush=True)\n{BUSY}", timeout=1000, on_output=lambda *_: started.release()
    )


if __name__ == "__main__":
    anyio.run(main)
