"""A backend whose sandboxes answer what a test has laid down, for what the fake cannot bring about."""

from collections.abc import Awaitable, Callable, Mapping

from fakes import FakeBackend, FakeSandbox

from proofbox.server.sandbox import Execution, OnOutput, SandboxRequest

Play = Callable[["PlayedSandbox", str, OnOutput], Awaitable[Execution]]


class PlayedSandbox(FakeSandbox):
    """Runs code by `play(sandbox, code, on_output)`; its files are a dictionary that play may change."""

    def __init__(
        self, backend: FakeBackend, request: SandboxRequest, name: str, play: Play
    ) -> None:
        super().__init__(backend, request, name)
        self._play = play
        self.asked: list[dict[str, object]] = []

    async def run_code(
        self,
        code: str,
        *,
        language: str = "python",
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        on_output: OnOutput | None = None,
    ) -> Execution:
        self.asked.append({"language": language, "env": env, "timeout": timeout})
        return await self._play(self, code, on_output or _ignore)


class PlayedBackend(FakeBackend):
    """Makes played sandboxes."""

    open: int

    def __init__(self, play: Play) -> None:
        super().__init__()
        self._play = play
        self.played: list[PlayedSandbox] = []

    async def create(self, request: SandboxRequest) -> PlayedSandbox:
        self.open += 1
        sandbox = PlayedSandbox(self, request, f"played-{len(self.played)}", self._play)
        self.created.append(sandbox)
        self.played.append(sandbox)
        return sandbox


def gives(execution: Execution) -> Play:
    """A play that always gives the same."""

    async def play(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
        del sandbox, code, on_output
        return execution

    return play


def _ignore(stream: object, text: str) -> None:
    del stream, text
