"""The sandboxes that exist, and their ends."""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from e2b.envd.filesystem.filesystem_connect import FilesystemASGIApplication
from e2b.envd.process.process_connect import ProcessASGIApplication

from .envd import Filesystem, Process
from .faults import Faults
from .interpreter import Interpreter
from .machine import Machine, Size, Zygote


@dataclass
class Instance:
    """One sandbox. `ends_at` is on the monotonic clock."""

    id: str
    machine: Machine
    interpreter: Interpreter
    process: Process
    request: dict[str, Any]
    ends_at: float
    access_token: str = field(default_factory=secrets.token_hex)
    traffic_token: str = field(default_factory=secrets.token_hex)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    state: Literal["running", "paused"] = "running"
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    networks: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def __post_init__(self) -> None:
        self.process_app = ProcessASGIApplication(self.process)
        self.filesystem_app = FilesystemASGIApplication(Filesystem(self.machine))


class Fleet:
    """All sandboxes of one stand-in. `most_at_once` counts those that were being made or ended, too."""

    def __init__(self, folder: Path, faults: Faults, size: Size) -> None:
        self.instances: dict[str, Instance] = {}
        self.created = 0
        self.most_at_once = 0
        self.size = size
        self._existing = 0
        self._folder = folder
        self._zygote = Zygote()
        self._faults = faults
        self._watchers: dict[str, asyncio.Task[None]] = {}

    async def create(self, request: dict[str, Any]) -> Instance:
        sandbox_id = secrets.token_hex(10)
        machine = Machine(self._folder / sandbox_id, self.size, self._zygote)
        self.created += 1
        self._existing += 1
        self.most_at_once = max(self.most_at_once, self._existing)
        try:
            await machine.start()
            interpreter = Interpreter(machine, self._faults)
            await interpreter.create("python")
        except BaseException:
            await machine.stop()
            self._existing -= 1
            raise
        instance = Instance(
            id=sandbox_id,
            machine=machine,
            interpreter=interpreter,
            process=Process(machine, self._faults),
            request=request,
            ends_at=time.monotonic() + request.get("timeout", 300),
        )
        self.instances[sandbox_id] = instance
        self.set_network(instance, request.get("network") or {})
        self._watchers[sandbox_id] = asyncio.create_task(self._expire(instance))
        return instance

    def set_network(self, instance: Instance, network: dict[str, Any]) -> None:
        """There is no network; what the policy says about the package index is written down."""
        instance.networks.append(network)
        closed = "0.0.0.0/0" in (network.get("denyOut") or [])
        named = "pypi.org" in (network.get("allowOut") or [])
        instance.machine.set_network(index=named or not closed)

    def set_timeout(self, instance: Instance, seconds: float) -> None:
        instance.ends_at = time.monotonic() + seconds
        self._watchers[instance.id].cancel()
        self._watchers[instance.id] = asyncio.create_task(self._expire(instance))

    async def kill(self, sandbox_id: str) -> bool:
        instance = self.instances.pop(sandbox_id, None)
        if instance is None:
            return False
        watcher = self._watchers.pop(sandbox_id)
        if watcher is not asyncio.current_task():
            watcher.cancel()
        instance.gone.set()
        await instance.machine.stop()
        await instance.interpreter.stop()
        await instance.process.stop()
        self._existing -= 1
        return True

    async def stop(self) -> None:
        for sandbox_id in tuple(self.instances):
            await self.kill(sandbox_id)

    async def end(self) -> None:
        """Stop for good."""
        await self.stop()
        await self._zygote.stop()

    async def _expire(self, instance: Instance) -> None:
        await asyncio.sleep(instance.ends_at - time.monotonic())
        if instance.request.get("autoPause"):
            instance.state = "paused"
        else:
            await self.kill(instance.id)
