"""E2B's code interpreter: kernels, and the order in which its server talks to them.

Two properties of the real server are kept on purpose. It knows the reply `abort` but not `aborted`, so
that a cell which the kernel drops never ends. And when a client leaves in the middle of a cell it lets
the next cell in before it interrupts the kernel.
"""

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from jupyter_client.asynchronous.client import AsyncKernelClient

from .faults import Faults
from .machine import ENVIRONMENT, HOME, Machine

Message = dict[str, Any]

# The real server needs 0.11 to 0.13 s from the client's leaving to the interrupt.
INTERRUPT_DELAY = 0.15
RESTART_DELAY = 0.3
KEEPALIVE_SECONDS = 5.0
LANGUAGES = ("python", "javascript", "bash")
_END: Message = {"type": "end_of_execution"}


class Context:
    """One kernel."""

    def __init__(self, machine: Machine, faults: Faults, language: str, cwd: str) -> None:
        self.id = str(uuid.uuid4())
        self.language = language
        self.cwd = cwd
        self._machine = machine
        self._faults = faults
        self._lock = asyncio.Lock()
        self._executions: dict[str, asyncio.Queue[Message]] = {}
        self._answered: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()
        self._interrupting = False
        self._pid = 0
        self._client: AsyncKernelClient | None = None
        self._wait: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a cell runs, or waits to."""
        return bool(self._executions)

    def describe(self) -> Message:
        return {"id": self.id, "language": self.language, "cwd": self.cwd}

    async def start(self) -> None:
        """Start the kernel, again if it dies before it answers: what is left of the last one may have all
        processes there are.
        """
        self._ready.clear()
        while not await self._started():
            if not self._machine.alive:
                raise RuntimeError("the machine ended while a kernel started")
            await self.abandon()
            await asyncio.sleep(RESTART_DELAY)

    async def _started(self) -> bool:
        """Whether the kernel has answered."""
        name = uuid.uuid4().hex[:8]
        outside = self._machine.folder / name
        connection: Message = {
            "transport": "ipc",
            "ip": f"/run/standin/{name}",
            "shell_port": 1,
            "iopub_port": 2,
            "stdin_port": 3,
            "control_port": 4,
            "hb_port": 5,
            "key": name,
            "signature_scheme": "hmac-sha256",
        }
        (self._machine.folder / f"{name}.json").write_text(json.dumps(connection))
        ended = await self._spawn(f"/run/standin/{name}.json")
        # Who connects too early is made to wait by ZeroMQ.
        while not all(Path(f"{outside}-{number}").exists() for number in (1, 2, 4)):
            if ended.is_set() or not self._machine.alive:
                return False
            await asyncio.sleep(0.005)
        client = AsyncKernelClient()
        client.load_connection_info(cast(Any, {**connection, "ip": str(outside)}))
        self._client = client
        if not await self._connect(client, ended):
            return False
        self._run(self._receive(client.iopub_channel, client))
        self._run(self._receive(client.shell_channel, client))
        self._ready.set()
        return True

    async def _spawn(self, connection_file: str) -> asyncio.Event:
        """Returns what is set when the kernel has ended."""
        if self.language == "python":
            argv = ["ipykernel", "--IPKernelApp.exec_files=['/opt/standin/startup.py']"]
        else:
            argv = ["/opt/standin/process_kernel.py"]
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            self._pid, wait = await self._machine.spawn(
                [*argv, "-f", connection_file, "--HistoryManager.enabled=False"],
                stdout=null,
                stderr=null,
                env={**ENVIRONMENT, "STANDIN_LANGUAGE": self.language},
                cwd=self.cwd,
                kernel=True,
                processes=self._machine.size.kernel_processes,
            )
        finally:
            os.close(null)

        ended = asyncio.Event()

        async def watch() -> None:
            await wait()
            ended.set()
            # Until then `start` looks after it.
            if self._ready.is_set():
                self._run(self._died())

        self._wait = asyncio.create_task(watch())
        return ended

    async def _connect(self, client: AsyncKernelClient, ended: asyncio.Event) -> bool:
        """Whether the kernel answered before it ended."""
        client.start_channels(shell=True, iopub=True, stdin=False, hb=False, control=False)
        while not ended.is_set() and self._machine.alive:
            client.kernel_info()
            with suppress(Exception):
                await client.get_shell_msg(timeout=0.5)
                await client.get_iopub_msg(timeout=0.1)
                return not ended.is_set()
        return False

    async def execute(self, code: str) -> AsyncGenerator[Message]:
        """The messages of one cell, in the server's order."""
        async with self._lock:
            if self._interrupting:
                # What the kernel does with a cell that is queued when the interrupt comes.
                await asyncio.Event().wait()
            await self._ready.wait()
            number = self._request(code)
            queue = self._executions[number]
            try:
                while True:
                    try:
                        message = await asyncio.wait_for(queue.get(), KEEPALIVE_SECONDS)
                    except TimeoutError:
                        message = {"type": "keepalive"}
                    yield message
                    if message == _END:
                        return
            except (asyncio.CancelledError, GeneratorExit):
                if not self._faults.take("interrupt_ignored"):
                    self._interrupting = True
                    self._run(self._interrupt())
                raise
            finally:
                self._executions.pop(number, None)

    def _request(self, code: str) -> str:
        assert self._client is not None
        number = self._client.execute(code, allow_stdin=False, stop_on_error=True)
        self._executions[number] = asyncio.Queue()
        return number

    async def _interrupt(self) -> None:
        await asyncio.sleep(INTERRUPT_DELAY)
        self._interrupting = False
        with suppress(OSError, ValueError):
            await self._machine.ask("kill", pid=-self._pid, signal=signal.SIGINT)

    async def restart(self) -> None:
        for queue in self._executions.values():
            queue.put_nowait(_error("UnexpectedEndOfExecution", "Connection was closed"))
            queue.put_nowait(_END)
        await self.stop()
        await self.start()

    async def stop(self) -> None:
        self._ready.clear()
        if self._wait is not None:
            self._wait.cancel()
        if self._machine.alive:
            with suppress(OSError, ValueError):
                await self._machine.ask("kill", pid=-self._pid, signal=signal.SIGKILL)
        await self.abandon()

    async def abandon(self) -> None:
        """Stop listening; the kernel is dead already or dies with its machine."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        tasks += [self._wait] if self._wait is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            self._client.stop_channels()
            self._client = None

    async def _died(self) -> None:
        self._ready.clear()
        await asyncio.sleep(RESTART_DELAY)
        for queue in self._executions.values():
            queue.put_nowait(_error("ContextRestarting", "Context was restarted"))
            queue.put_nowait(_END)
        await self.abandon()
        if self._machine.alive:
            await self.start()

    def _run(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _receive(self, channel: Any, client: AsyncKernelClient) -> None:
        while client is self._client:
            self._handle(await channel.get_msg())

    def _handle(self, message: Message) -> None:
        number = message["parent_header"].get("msg_id", "")
        queue = self._executions.get(number)
        if queue is None:
            return
        kind, content = message["msg_type"], message["content"]
        if kind == "execute_input":
            queue.put_nowait(
                {"type": "number_of_executions", "execution_count": content["execution_count"]}
            )
            self._answered.add(number)
        elif kind == "stream":
            stamp = datetime.now(UTC).isoformat()
            queue.put_nowait({"type": content["name"], "text": content["text"], "timestamp": stamp})
        elif kind in ("display_data", "execute_result"):
            queue.put_nowait(_result(content["data"], main=kind == "execute_result"))
        elif kind == "error":
            trace = "".join(content["traceback"])
            queue.put_nowait(_error(content["ename"], content["evalue"], trace))
        elif kind == "status" and content["execution_state"] == "idle" and number in self._answered:
            self._answered.discard(number)
            queue.put_nowait(_END)


def _error(name: str, value: str, traceback: str = "") -> Message:
    return {"type": "error", "name": name, "value": value, "traceback": traceback}


_FIELDS = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/pdf": "pdf",
    "text/latex": "latex",
    "application/json": "json",
    "application/javascript": "javascript",
    "e2b/data": "data",
    "e2b/chart": "chart",
}


def _result(bundle: Message, *, main: bool) -> Message:
    result: Message = {"type": "result", "is_main_result": main, "extra": {}}
    for kind, content in bundle.items():
        if kind in _FIELDS:
            result[_FIELDS[kind]] = content
        else:
            result["extra"][kind] = content
    text = result.get("text")
    if text is not None and len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        result["text"] = text[1:-1]
    return result


class Interpreter:
    """The contexts of one sandbox. A Python one is there from the start."""

    def __init__(self, machine: Machine, faults: Faults) -> None:
        self._machine = machine
        self._faults = faults
        self.contexts: dict[str, Context] = {}

    async def create(self, language: str, cwd: str = HOME) -> Context:
        """Raises LookupError for a language that the template has no kernel for."""
        if language not in LANGUAGES:
            raise LookupError(f"Failed to create context: No such kernel named {language}")
        context = Context(self._machine, self._faults, language, cwd)
        await context.start()
        self.contexts[context.id] = context
        return context

    async def find(self, context_id: str | None, language: str | None) -> Context | None:
        if context_id:
            return self.contexts.get(context_id)
        language = language or "python"
        for context in self.contexts.values():
            if context.language == language:
                return context
        return await self.create(language)

    async def stop(self) -> None:
        """After the machine was stopped."""
        for context in self.contexts.values():
            await context.abandon()
