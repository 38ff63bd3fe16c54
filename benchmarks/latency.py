"""What proofbox adds: start, warm call, fresh session, burst, memory.

    uv run benchmarks/latency.py [--rounds N]

Everything on the local backend through a real client over stdio, except where the table says otherwise; a bare
`ipykernel` through `jupyter_client` and a tool that does nothing on the same server are measured in turn with it, so
that ratios hold when the machine's speed drifts. Figures are medians; all processes are children of this one.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import platformdirs
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from mcp import Client, StdioServerParameters
from memory import private_bytes

from proofbox.server.sandbox import SandboxRequest
from proofbox.server.sandbox.local import DEFAULT_PACKAGES
from proofbox.server.sandbox.local.backend import LocalBackend

_SERVER = StdioServerParameters(
    command=sys.executable, args=[str(Path(__file__).with_name("server_with_noop.py"))]
)
_PLAIN = StdioServerParameters(command=sys.executable, args=["-m", "proofbox.server.cli"])
_BURST = 20
_IDLE = 10


async def timed(call: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds that a call takes."""
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1000


def median(values: list[float]) -> float:
    """Shorter to read where it is used a lot."""
    return statistics.median(values)


async def server_start(rounds: int) -> list[float]:
    """Start of the process to the answer of `tools/list`, in milliseconds."""

    async def start() -> None:
        async with Client(_PLAIN) as client:
            await client.list_tools()

    return [await timed(start) for _ in range(rounds)]


def start_kernel() -> tuple[KernelManager, BlockingKernelClient, float]:
    """A bare ipykernel, and the milliseconds to its first result."""
    began = time.perf_counter()
    manager = KernelManager()
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    kernel_run(client)
    return manager, client, (time.perf_counter() - began) * 1000


def _ignore(message: object) -> None:
    """What a kernel shows besides its answer."""
    del message


def kernel_run(client: BlockingKernelClient) -> None:
    """Run 1+1 and wait for the result."""
    answer = client.execute_interactive("1+1", output_hook=_ignore, timeout=60)
    assert answer["content"]["status"] == "ok"


async def first_session() -> float:
    """A new backend's first session to its first result: jail, supervisor and all."""
    backend = LocalBackend(
        cache_dir=platformdirs.user_cache_path("proofbox"), packages=DEFAULT_PACKAGES
    )
    try:
        return await timed(lambda: _use_backend(backend))
    finally:
        await backend.close()


async def _use_backend(backend: LocalBackend) -> None:
    sandbox = await backend.create(SandboxRequest(owner="benchmark"))
    execution = await sandbox.run_code("1+1")
    assert execution.results[0].text == "2"


class Session:
    """Calls on one server, each checked."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.session_id = ""

    async def run(self, **arguments: Any) -> str:
        """One execute_code of 1+1; the session's handle."""
        result = await self._client.call_tool("execute_code", {"code": "1+1", **arguments})
        report = result.structured_content
        assert report is not None
        assert (report["verdict"], report["value"]) == ("passed", "2"), report
        return report["session_id"]

    async def warm(self) -> None:
        """In the session that is open already."""
        await self.run(session_id=self.session_id)

    async def fresh(self) -> None:
        """In a new session."""
        await self.run()

    async def noop(self) -> None:
        """The same server's tool that does nothing."""
        result = await self._client.call_tool("noop", {"code": "1+1"})
        assert result.structured_content == {"result": "1+1"}, result

    async def close(self, session_id: str) -> None:
        """Give the session up."""
        await self._client.call_tool("close_session", {"session_id": session_id})


async def measure(rounds: int) -> list[tuple[str, str, str]]:
    """Rows of the table: what, figure, against what."""
    rows: list[tuple[str, str, str]] = []
    starts = await server_start(max(3, rounds // 40))
    rows.append(("server start to tools/list", f"{median(starts):,.0f} ms", ""))
    await first_session()  # the environment is built and in the page cache
    firsts: list[float] = []
    kernels: list[float] = []
    for _ in range(max(3, rounds // 40)):
        firsts.append(await first_session())
        manager, client, milliseconds = start_kernel()
        kernels.append(milliseconds)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    ratio = median(firsts) / median(kernels)
    rows.append(
        (
            "very first session to first result (port)",
            f"{median(firsts):,.0f} ms",
            f"ipykernel start {median(kernels):,.0f} ms, ratio {ratio:.2f}",
        )
    )
    async with Client(_SERVER) as client:
        rows += await measure_calls(Session(client), rounds)
    return rows


async def measure_calls(session: Session, rounds: int) -> list[tuple[str, str, str]]:
    """Rows that need a running server."""
    rows: list[tuple[str, str, str]] = []
    session.session_id = await session.run()
    await anyio.sleep(5)  # the supervisor imports numpy and pandas meanwhile
    rows += await measure_warm(session, rounds)
    rows.append(await measure_fresh(session, rounds))
    rows.append(await measure_burst(session))
    rows.append(await measure_memory(session))
    return rows


async def measure_warm(session: Session, rounds: int) -> list[tuple[str, str, str]]:
    """A warm call in turn with a no-op tool, with ours and with Jupyter's client of a kernel."""
    backend = LocalBackend(
        cache_dir=platformdirs.user_cache_path("proofbox"), packages=DEFAULT_PACKAGES
    )
    sandbox = await backend.create(SandboxRequest(owner="benchmark"))
    manager, kernel, _ = start_kernel()
    times: dict[str, list[float]] = {"noop": [], "warm": [], "port": [], "ipykernel": []}
    for _ in range(rounds):
        times["noop"].append(await timed(session.noop))
        times["warm"].append(await timed(session.warm))
        times["port"].append(await timed(lambda: sandbox.run_code("1+1")))
        began = time.perf_counter()
        kernel_run(kernel)
        times["ipykernel"].append((time.perf_counter() - began) * 1000)
    kernel.stop_channels()
    manager.shutdown_kernel(now=True)
    await backend.close()
    middle = {name: median(values) for name, values in times.items()}
    over = median([w - n for w, n in zip(times["warm"], times["noop"], strict=True)])
    bare = middle["ipykernel"]
    return [
        (
            "warm 1+1 through MCP on stdio",
            f"{middle['warm']:.2f} ms",
            f"{over:+.2f} ms over a no-op tool, {bare / middle['warm']:.1f} x as fast as ipykernel",
        ),
        (
            "the same by the port, without MCP",
            f"{middle['port']:.2f} ms",
            f"{bare / middle['port']:.1f} x as fast as ipykernel by jupyter_client ({bare:.2f} ms)",
        ),
    ]


async def measure_fresh(session: Session, rounds: int) -> tuple[str, str, str]:
    """Fresh sessions one after another, each closed again."""
    fresh: list[float] = []
    warm: list[float] = []
    for _ in range(max(10, rounds // 10)):
        warm.append(await timed(session.warm))
        began = time.perf_counter()
        handle = await session.run()
        fresh.append((time.perf_counter() - began) * 1000)
        await session.close(handle)
        await anyio.sleep(0.1)  # as far apart as calls of an agent that hurries
    over = median([f - w for f, w in zip(fresh, warm, strict=True)])
    return ("fresh session to first result", f"{median(fresh):.1f} ms", f"{over:+.1f} ms over warm")


async def measure_burst(session: Session) -> tuple[str, str, str]:
    """All at once: how long until half of them have their result, and all."""
    latencies: list[float] = []
    handles: list[str] = []

    async def one() -> None:
        began = time.perf_counter()
        handles.append(await session.run())
        latencies.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(_BURST):
            group.start_soon(one)
    wall = (time.perf_counter() - began) * 1000
    for handle in handles:
        await session.close(handle)
    return (
        f"{_BURST} fresh sessions at once",
        f"{wall / _BURST:.1f} ms each",
        f"median latency {median(latencies):.0f} ms, all after {wall:.0f} ms",
    )


async def measure_memory(session: Session) -> tuple[str, str, str]:
    """Private memory of one more idle session that has run something."""
    await anyio.sleep(1)
    before = private_bytes()
    handles = [await session.run() for _ in range(_IDLE)]
    await anyio.sleep(1)
    each = (private_bytes() - before) / _IDLE / 1024**2
    for handle in handles:
        await session.close(handle)
    return ("private memory of an idle session", f"{each:.1f} MB", "")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="warm calls (default 200)")
    rows = anyio.run(measure, parser.parse_args().rounds)
    for what, figure, against in rows:
        sys.stdout.write(f"{what:44}{figure:>12}  {against}\n")


if __name__ == "__main__":
    main()
