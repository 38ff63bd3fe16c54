"""One sandbox, in which answers to tasks run one way or another."""

import secrets
from dataclasses import dataclass, replace

from ....server.sandbox import ProgramRunner
from ..task import Task
from . import languages, references, verdict
from .build import Builder, Plan
from .verdict import Finding


@dataclass(frozen=True, slots=True)
class Timed:
    """What was found in one run, with wall time from outside and the process's own word on CPU time."""

    finding: Finding
    seconds: float | None = None
    cpu_seconds: float | None = None


class Place:
    """A sandbox and what makes programs for it."""

    def __init__(self, sandbox: ProgramRunner, builder: Builder) -> None:
        self._sandbox = sandbox
        self._builder = builder

    async def plan(self, task: Task) -> Plan:
        """Find out how answers to a task are judged, and whether its tests could fail any.

        Raises:
            SandboxUnavailable: the sandbox was lost.
        """
        plan = await self._plan(task)
        if plan.method == "compared" or plan.problem or not task.entry_point:
            return plan
        # A `check` that is never called, or that compares nothing, would pass whatever a model says.
        idle = await self.once(task, _doing_nothing(task), plan, secrets.token_hex(16))
        if idle.finding.outcome != "passed":
            return plan
        return replace(plan, problem="its tests pass a function that does nothing.")

    async def _plan(self, task: Task) -> Plan:
        if task.cases:
            return Plan("compared")
        if task.language != "python":
            return await self._plan_of_tests(task)
        if not task.reference:
            return Plan("in_process")
        if task.calls:
            program = self._builder.expect(task, f"{task.id}: reference")
            return references.expected_of(task, await self._sandbox.run_program(program))
        program = self._builder.record(task, f"{task.id}: reference")
        calls, problem = references.calls_of(await self._sandbox.run_program(program))
        if problem:
            return Plan("in_process", problem=problem)
        return Plan("replayed", calls) if calls else Plan("in_process")

    async def _plan_of_tests(self, task: Task) -> Plan:
        """Take the tests of another language apart; they are judged by comparison or not at all."""
        taken = None
        if task.language == "bash":
            taken = languages.bash_tests(task.test)
        else:
            result = await self._sandbox.run_program(self._builder.tests(task, f"{task.id}: tests"))
            taken = references.taken_apart(result)
        if taken is None:
            return Plan(
                "compared", problem="its tests are not of the kind that can be taken apart."
            )
        return Plan("compared", *taken)

    async def once(self, task: Task, code: str, plan: Plan, nonce: str) -> Timed:
        """Run an answer once, and the tests on what it gave if they run elsewhere.

        Raises:
            SandboxUnavailable: the sandbox was lost.
        """
        name = f"{task.id}: answer"
        program = self._builder.answer(task, code, plan, name, nonce)
        result = await self._sandbox.run_program(program)
        finding = verdict.of_answer(task, plan, result, nonce)
        if finding.calls:
            replay = self._builder.replay(task, finding.calls, f"{task.id}: tests")
            finding = verdict.of_replay(await self._sandbox.run_program(replay))
        own = result.cells[1:]
        return Timed(finding, sum(cell.seconds for cell in own), sum(c.cpu_seconds for c in own))


def _doing_nothing(task: Task) -> str:
    names = (task.entry_point, *task.needs)
    return "\n".join(f"def {name}(*_, **__):\n    return None" for name in names)
