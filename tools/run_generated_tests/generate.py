"""The whole loop: a model writes tests, they are run and weighed, it is told what to mend, and again."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio

from ...server.sandbox import InvalidInput
from ...server.sessions import Clock, SystemClock
from .._app import App
from ..benchmark_model import spending
from ..benchmark_model.asking import charge
from ..benchmark_model.fenced import fences
from ..benchmark_model.providers.base import Provider, Question, Refused
from ..benchmark_model.providers.patience import Pace, Patience, persist
from ..benchmark_model.providers.prices import Price, price_of
from ..benchmark_model.spending import Budget, Charge
from . import writing
from .prepare import Prepared, prepare
from .project import Project
from .report import AttemptReport, TestsReport
from .request import TestsRequest
from .run import run

_PYTHON = {"python", "py", "python3", ""}


@dataclass(frozen=True, slots=True)
class Terms:
    """Whom to ask and how often. `max_tokens` is the most that one answer may have."""

    provider: Provider
    clock: Clock
    budget: Budget
    price: Price
    max_attempts: int = 3
    max_tokens: int = 8192
    patience: Patience = field(default_factory=Patience)


def terms_for(provider: Provider, max_attempts: int, usd: float) -> Terms:
    """The terms with a budget in USD. It binds nobody whose price is not known: then attempts are the limit."""
    price = price_of(provider, {}, batch=False)
    return Terms(provider, SystemClock(), Budget(usd=usd), price, max_attempts)


@dataclass(frozen=True, slots=True)
class _Attempt:
    report: TestsReport
    text: str = ""


async def generate(
    app: App,
    who: str,
    request: TestsRequest,
    terms: Terms,
    tell: Callable[[str], None] = lambda said: None,
) -> TestsReport:
    """Have tests written for the source of a request, at most `max_attempts` times; the last report, with
    the tests that earned it in `file`.

    Raises:
        InvalidInput: the arguments cannot be honoured; nobody was asked.
        SandboxError: there was no sandbox to run anything in.
    """
    terms.budget.purse = app.quotas.purse(who)
    spending.check_priced(terms.provider.name, terms.price, terms.budget.purse)
    project = (await anyio.to_thread.run_sync(_sources, request, app.roots)).project
    loop = _Loop(app, who, request, terms, tell, project)
    return await loop.finish()


def _sources(request: TestsRequest, roots: Sequence[Path]) -> Prepared:
    """The source under test, as it is with the file that the model will write."""
    if not request.source and request.project is None:
        raise InvalidInput(
            "Give source (path to text), or project: there is nothing to write tests for."
        )
    placeholder = {writing.FILE: "def test_nothing():\n    pass\n"}
    prepared = prepare(replace(request, tests=placeholder), roots)
    if not prepared.project.sources:
        raise InvalidInput("There is no Python source to write tests for.")
    return prepared


class _Loop:
    """One conversation, without a memory on the model's side: each question says all it needs."""

    def __init__(
        self,
        app: App,
        who: str,
        request: TestsRequest,
        terms: Terms,
        tell: Callable[[str], None],
        project: Project,
    ) -> None:
        self._app = app
        self._who = who
        self._request = request
        self._terms = terms
        self._tell = tell
        self._project = project
        self._pace = Pace(1, terms.clock)
        self._attempts: list[AttemptReport] = []
        self._best: _Attempt | None = None
        self._stopped = ""

    async def finish(self) -> TestsReport:
        """Attempts until the tests are good, or one of the limits is reached."""
        prompt = writing.first(self._project)
        for number in range(1, self._terms.max_attempts + 1):
            self._tell(
                f"Attempt {number} of {self._terms.max_attempts}: {self._terms.provider.name} writes"
            )
            reply = await self._ask(prompt, number)
            if reply is None:
                break
            attempt = await self._try(reply)
            self._note(attempt)
            if attempt.report.verdict in {"passed", "errored"}:
                break
            prompt = writing.again(self._project, attempt.text, attempt.report.feedback)
        return await self._told()

    async def _ask(self, prompt: str, number: int) -> str | None:
        """What the model answers; None where it must not be asked, or does not answer."""
        terms = self._terms
        most = spending.worst(prompt, terms.max_tokens, terms.price)
        if not terms.budget.set_aside(most):
            self._stopped = f"No more was asked: {terms.budget.reason()}."
            return None
        real = Charge()
        try:
            question = Question("tests", number, prompt)
            reply, _ = await persist(
                terms.provider.name,
                lambda: terms.provider.ask(question),
                self._pace,
                terms.clock,
                terms.patience,
            )
            real = charge(reply, terms.price, most)
        except Refused as refused:
            self._stopped = f"The model did not answer: {refused}"
            return None
        finally:
            terms.budget.settle(most, real)
        return reply.text

    async def _try(self, reply: str) -> _Attempt:
        text = code_of(reply)
        if not text:
            said = "The answer has no Python code in a fence: give the whole test file in one."
            return _Attempt(TestsReport.without_tests("failed", said, feedback=said))
        request = replace(self._request, tests={writing.FILE: text})
        return _Attempt(await run(self._app, self._who, request, self._tell), text)

    def _note(self, attempt: _Attempt) -> None:
        report = attempt.report
        self._attempts.append(
            AttemptReport(
                verdict=report.verdict,
                reason=report.reason,
                kept=report.keep,
                feedback=report.feedback,
            )
        )
        if self._best is None or report.keep >= self._best.report.keep:
            self._best = attempt

    async def _told(self) -> TestsReport:
        """The best attempt, with nothing in its file but what is to be kept. That file was run as it is."""
        best = self._best
        if best is None:
            reason = self._stopped or "No attempt was made."
            return TestsReport.without_tests("errored", reason, attempts=self._attempts)
        if best.report.keep and best.report.verdict != "passed":
            best = await self._without_the_rest(best)
        report = best.report
        problems = [*report.problems, *([self._stopped] if self._stopped else [])]
        file = best.text if report.verdict == "passed" else ""
        change = {"attempts": self._attempts, "file": file, "problems": problems}
        return report.model_copy(update=change)

    async def _without_the_rest(self, best: _Attempt) -> _Attempt:
        self._tell("Running the tests to keep without the others")
        keep = {test.id.partition("[")[0] for test in best.report.tests if test.verdict == "keep"}
        spoiled = {
            test.id.partition("[")[0] for test in best.report.tests if test.verdict != "keep"
        }
        text = only(best.text, {name.partition("::")[2] for name in keep - spoiled})
        if not text:
            return best
        request = replace(self._request, tests={writing.FILE: text}, coverage_target=None)
        report = await run(self._app, self._who, request, self._tell)
        target = self._request.coverage_target
        return _Attempt(_below(report, target), text)


def _below(report: TestsReport, target: float | None) -> TestsReport:
    """A file of good tests that reach too little is still worth having; the report says what it lacks."""
    percent = report.coverage_percent
    if target is None or percent is None or percent >= target:
        return report
    said = f"Coverage is {percent:.1f} %, below the target of {target:g} %."
    change = {"coverage": False, "coverage_target": target, "problems": [*report.problems, said]}
    return report.model_copy(update=change)


def code_of(reply: str) -> str:
    """The test file in an answer: its longest block of Python that has a test in it, else that it has."""
    blocks = [one.code for one in fences(reply) if one.label.lower() in _PYTHON]
    if not blocks and "def test" in reply:
        blocks = [reply]
    with_tests = [text for text in blocks if "def test" in text]
    longest = max(with_tests or blocks, key=len, default="")
    return f"{longest.rstrip()}\n" if longest.strip() else ""


def only(text: str, names: set[str]) -> str:
    """The file without the tests that are not among `names` (`function` or `Class::function`)."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ""
    lines = text.splitlines(keepends=True)
    doomed: set[int] = set()
    for scope, node in _tests(tree):
        if (f"{scope}::{node.name}" if scope else node.name) not in names:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            doomed |= set(range(first, (node.end_lineno or node.lineno) + 1))
    left = "".join(line for number, line in enumerate(lines, 1) if number not in doomed)
    return left if _parses(left) and "def test" in left else ""


def _tests(tree: ast.Module) -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    found: list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]] = []
    scopes: Mapping[str, list[ast.stmt]] = {"": tree.body} | {
        node.name: node.body for node in tree.body if isinstance(node, ast.ClassDef)
    }
    for scope, body in scopes.items():
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
                "test"
            ):
                found.append((scope, node))
    return found


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True
