"""Benchmark models: ask, extract, judge, and write down each step, so that a stopped run goes on."""

import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import anyio

from ...server.sandbox import ProgramRunner
from ...server.sessions import Clock, SystemClock
from .._app import App
from . import replies, results
from .asking import Asked, Terms, ask_all
from .batches import ask_in_batches
from .extraction import Extraction
from .journal import hash_of
from .judging import PRELOAD, judge
from .plan import BenchRequest, Contender, Plan, plan
from .providers.base import Provider, Question, Reply
from .providers.patience import Patience
from .providers.recorded import Recorded
from .results import Result, Verdict
from .sample import Candidate, Judgement, Variant
from .spending import Budget
from .task import Task

if TYPE_CHECKING:
    from .providers.claude import Anthropic

OnProgress = Callable[[int, int, str], None]
"""Called with how much is done, how much there is, and what is being done."""

_Name = tuple[str, str, int]
"""Model, task and sample."""

LANES = 2
ANSWERS = "benchmark-answers"


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that ended. `asked` tells by model how asking went; `spent` is what new answers took."""

    plan: Plan
    asked: Mapping[str, Asked]
    budget: Budget
    new_answers: int

    def results(self) -> Iterator[Result]:
        """Every sample, model by model and task by task: the same order however they came in."""
        for contender in self.plan.contenders:
            for key, question in contender.questions.items():
                yield result_of(self.plan, contender, self.asked[contender.name], key, question)


@asynccontextmanager
async def planned(
    app: App,
    who: str,
    request: BenchRequest,
    *,
    sampling: Mapping[str, Provider] | None = None,
    clock: Clock | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncGenerator[Plan]:
    """The plan of a request of `who`, whose answers are kept apart from those of others.

    Raises:
        InvalidInput: it cannot be honoured; nothing was asked.
    """
    folder = app.data / ANSWERS / hash_of(who)[:16]
    made = await anyio.to_thread.run_sync(
        lambda: plan(
            request,
            env=os.environ if env is None else env,
            folder=folder,
            clock=clock or SystemClock(),
            roots=app.roots,
            sampling=sampling,
            purse=app.quotas.purse(who),
        )
    )
    try:
        if request.fresh:
            for contender in made.contenders:
                contender.journal.forget()
        yield made
    finally:
        with anyio.CancelScope(shield=True):
            await made.aclose()


async def run(
    app: App,
    who: str,
    made: Plan,
    on_progress: OnProgress,
    *,
    clock: Clock | None = None,
    patience: Patience | None = None,
) -> Finished:
    """Ask what is missing, judge what is not judged yet.

    Raises:
        InvalidInput: a model cannot be asked; nothing was.
        OSError: an answer could not be written down.
    """
    asked, budget, new = await _ask_all(made, on_progress, clock, patience)
    await _Judging(app, who, made, on_progress).finish()
    return Finished(made, asked, budget, new)


async def ask_only(made: Plan, on_progress: OnProgress) -> None:
    """Ask what is missing, and no more. Raises as `run` does."""
    await _ask_all(made, on_progress, None, None)


async def _ask_all(
    made: Plan, on_progress: OnProgress, clock: Clock | None, patience: Patience | None
) -> tuple[dict[str, Asked], Budget, int]:
    """How asking each model went, what it took, and how many new answers there are."""
    request = made.request
    missing = {one.name: one.missing() for one in made.contenders}
    for contender in made.contenders:
        if missing[contender.name]:
            await contender.provider.check()
    budget = made.budget()
    progress = _Progress(on_progress, sum(map(len, missing.values())), "answers")
    terms = Terms(
        budget,
        made.parameters["max_tokens"],
        clock or SystemClock(),
        patience or Patience(),
        progress.step,
    )
    asked: dict[str, Asked] = {}

    async def ask(contender: Contender) -> None:
        asked[contender.name] = await _ask(contender, missing[contender.name], terms, request)

    async with anyio.create_task_group() as models:
        for contender in made.contenders:
            models.start_soon(ask, contender)
    return asked, budget, progress.done


async def _ask(
    contender: Contender, missing: Mapping[str, Question], terms: Terms, request: BenchRequest
) -> Asked:
    provider = contender.provider
    if not missing:
        return Asked()
    if request.batch and provider.name.startswith("anthropic:"):
        batching = cast("Anthropic", provider)
        return await ask_in_batches(batching, missing, contender.journal, contender.price, terms)
    return await ask_all(provider, missing, contender.journal, contender.price, terms)


@dataclass(slots=True)
class _Progress:
    tell: OnProgress
    total: int
    what: str
    done: int = 0

    def step(self) -> None:
        self.done += 1
        self.tell(self.done, self.total, self.what)


@dataclass(frozen=True, slots=True)
class _Sample:
    """An answer that is to be judged."""

    contender: Contender
    key: str
    question: Question


@dataclass(slots=True)
class _Judging:
    """Two rounds: the programs as they are written, then those that failed and take imports for given.

    `_found` has the programs of the answers that are being judged, not of all.
    """

    app: App
    who: str
    plan: Plan
    on_progress: OnProgress
    _samples: dict[_Name, _Sample] = field(default_factory=dict[_Name, _Sample])
    _strict: dict[_Name, Judgement] = field(default_factory=dict[_Name, Judgement])
    _found: dict[_Name, Extraction] = field(default_factory=dict[_Name, Extraction])

    async def finish(self) -> None:
        """Judge every answer that has no verdict."""
        for contender in self.plan.contenders:
            for key, question in contender.questions.items():
                if self._waits(contender, key, question):
                    name = (contender.name, question.task_id, question.sample)
                    self._samples[name] = _Sample(contender, key, question)
        if not self._samples:
            return
        progress = _Progress(self.on_progress, len(self._samples), "verdicts")
        async for judgement in self._judged("strict"):
            await self._settle(judgement)
            progress.step()
        async for judgement in self._judged("lenient"):
            name = _name(judgement)
            await self._write(name, self._strict[name], judgement)

    def _waits(self, contender: Contender, key: str, question: Question) -> bool:
        reply = reply_of(contender, key, question)
        if reply is None:
            return False
        task = self.plan.tasks[question.task_id]
        verdict = results.verdict_key(reply, task, self.plan.request.timing_runs)
        return ("verdict", verdict) not in contender.journal

    def _candidates(self, variant: Variant) -> Iterator[Candidate]:
        for name in list(self._samples if variant == "strict" else self._strict):
            task, reply = self._task(name), self._reply(name)
            found = self._found[name] = results.extraction_of(reply, task)
            program = found.strict if variant == "strict" else found.lenient
            yield results.candidate_of(name[0], task, name[2], reply, program, variant)

    async def _judged(self, variant: Variant) -> AsyncGenerator[Judgement]:
        if variant == "lenient" and not self._strict:
            return
        async with judge(
            self._candidates(variant),
            self.plan.tasks,
            self._sandbox,
            sandboxes=self.app.sessions.spread,
            lanes=LANES,
            timing_runs=self.plan.request.timing_runs if variant == "strict" else 1,
        ) as judgements:
            async for judgement in judgements:
                yield judgement

    async def _settle(self, strict: Judgement) -> None:
        """Write the verdict down, unless the lenient program has to be judged first."""
        name = _name(strict)
        found = self._found[name]
        if found.lenient != found.strict and strict.outcome in {"exception", "wrong_answer"}:
            self._strict[name] = strict
            del self._found[name]
        else:
            await self._write(name, strict, None)

    async def _write(self, name: _Name, strict: Judgement, lenient: Judgement | None) -> None:
        """Write a verdict down; one that is our fault is reached anew in the next run."""
        journal = self._samples[name].contender.journal
        timing_runs = self.plan.request.timing_runs
        key = results.verdict_key(self._reply(name), self._task(name), timing_runs)
        verdict = results.verdict_of(strict, lenient, self._found.pop(name).trail)
        if "infra_error" in {verdict.outcome, verdict.lenient}:
            journal.remember("verdict", key, results.to_record(verdict))
        else:
            await journal.add("verdict", key, results.to_record(verdict))

    def _task(self, name: _Name) -> Task:
        return self.plan.tasks[name[1]]

    def _reply(self, name: _Name) -> Reply:
        sample = self._samples[name]
        reply = reply_of(sample.contender, sample.key, sample.question)
        if reply is None:
            raise RuntimeError("an answer that was there is gone")
        return reply

    @asynccontextmanager
    async def _sandbox(self) -> AsyncGenerator[ProgramRunner]:
        async with self.app.sessions.lease_once(
            self.who, purpose="benchmark", preload=PRELOAD, programs_only=True
        ) as lease:
            yield lease.programs


def _name(judgement: Judgement) -> _Name:
    candidate = judgement.candidate
    return candidate.model, candidate.task_id, candidate.sample


def reply_of(contender: Contender, key: str, question: Question) -> Reply | None:
    """The answer to a question, where there is one."""
    if isinstance(contender.provider, Recorded):
        return contender.provider.get(question)
    record = contender.journal.get("reply", key)
    return replies.from_record(record) if record else None


def result_of(
    made: Plan, contender: Contender, asked: Asked, key: str, question: Question
) -> Result:
    task = made.tasks[question.task_id]
    reply = reply_of(contender, key, question)
    if reply is None:
        why = asked.failures.get(key) or asked.stopped or "There is no answer to it."
        return Result(contender.name, task.id, question.sample, None, missing=why)
    verdict_key = results.verdict_key(reply, task, made.request.timing_runs)
    record = contender.journal.get("verdict", verdict_key)
    verdict: Verdict | None = results.from_record(record) if record else None
    cost = contender.price.of(reply.tokens)
    return results.result_of(contender.name, task.id, question.sample, reply, cost, verdict)
