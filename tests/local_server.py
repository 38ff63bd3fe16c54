"""A process that uses the local backend, for tests that kill it.

Run as `python local_server.py CACHE`. It prints `creating` when it begins to start a jail and `open`
when four sessions are busy in it, then waits to be killed.
"""

import signal
import sys
from pathlib import Path

import anyio

from proofbox.server.sandbox import Sandbox, SandboxRequest
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
    """Tell the test."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def main() -> None:
    """Open sessions of two owners and keep them busy."""
    backend = LocalBackend(cache_dir=Path(sys.argv[1]))
    say("creating")
    owners = ("one", "one", "two", "two")
    sandboxes = [await backend.create(SandboxRequest(owner=owner)) for owner in owners]
    async with anyio.create_task_group() as busy:
        started = anyio.Semaphore(0)
        for sandbox in sandboxes:
            await sandbox.run_code("import os; os.getpid()")
            busy.start_soon(_work, sandbox, started)
        for _ in sandboxes:
            await started.acquire()
        say("open")


async def _work(sandbox: Sandbox, started: anyio.Semaphore) -> None:
    def begun(_stream: str, _text: str) -> None:
        started.release()

    await sandbox.run_code(f"print('busy', flush=True)\n{BUSY}", timeout=1000, on_output=begun)


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
    anyio.run(main)
