"""The way of every snippet to its verdict: rounds of programs, each with as little before it as it needs."""

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.to_thread

from ...server.sandbox import (
    Program,
    ProgramResult,
    ProofboxError,
    SandboxUnavailable,
)
from .._app import App
from . import (
    beside,
    build,
    filters,
    javascript,
    judge_shell,
    near,
    needs,
    probe,
    reporting,
    sphinx,
    together,
    unrun,
)
from .build import Built, Surroundings
from .judge import judge
from .judged import Judged
from .oracles import DEFAULT_RULES
from .plan import Attempt, Failure, can_run, namespace, next_attempt, plan
from .preload import preloaded
from .request import Document, SnippetsRequest
from .sandboxes import Sandboxes
from .snippet import Snippet

OnDone = Callable[[int, int], None]
"""Called with how many snippets are judged, and how many there are."""

_MOST_INSTALLS = 3
"""A package that is there can show that another one is missing."""


@dataclass(slots=True, eq=False)
class Case:
    """A snippet on its way to a verdict."""

    document: Document
    snippet: Snippet
    id: str | None = None
    tried: list[Attempt] = field(default_factory=list[Attempt])
    judged: list[Judged] = field(default_factory=list[Judged])
    built: Built | None = None
    done: Judged | None = None

    @property
    def setup(self) -> Attempt | None:
        return self.tried[-1] if self.tried else None

    def start_over(self) -> None:
        """Forget what was tried: the next sandbox has more in it."""
        self.tried.clear()
        self.judged.clear()
        self.built = self.done = None


@dataclass(frozen=True, slots=True)
class _Namespace:
    """The program of a page, and the cases in it by index."""

    made: together.Whole
    cases: Mapping[int, Case]


class Validation:
    """One run: rounds of programs, until every snippet has its verdict."""

    def __init__(
        self, app: App, who: str, request: SnippetsRequest, cases: Sequence[Case], on_done: OnDone
    ) -> None:
        self._app = app
        self._request = request
        self._cases = cases
        self._on_done = on_done
        self._ready = 0
        self._around = Surroundings(
            secrets.token_hex(16), request.env, request.setup, request.timeout_seconds
        )
        self._facts = probe.Facts()
        self._sandboxes = Sandboxes(app, who, request.packages)
        self._sandboxes.preload = preloaded(cases)
        self._configured: dict[Path, sphinx.ProjectSetup] = {}
        self._by_document: dict[int, list[Case]] = {}
        for case in cases:
            self._by_document.setdefault(id(case.document), []).append(case)
        self._pages: dict[int, Sequence[Snippet]] = {}
        self._broken: dict[int, frozenset[int]] = {}

    @property
    def losses(self) -> int:
        """How many sandboxes were lost on the way."""
        return self._sandboxes.losses

    @property
    def packages(self) -> tuple[str, ...]:
        """What the sandboxes have on top of the default."""
        return self._sandboxes.packages

    async def finish(self) -> probe.Facts:
        """Judge every case."""
        self._skip_named()
        async with self._sandboxes:
            await self._judge([case for case in self._cases if case.done is None])
            for _ in range(_MOST_INSTALLS):
                if not await self._install():
                    break
            await self._look_closer([case for case in self._cases if case.tried])
        return self._facts

    async def _judge(self, waiting: Sequence[Case]) -> None:
        if waiting:
            await self._ask(waiting)
        for case in waiting:
            self._without_running(case)
        self._leave_out(waiting)
        if self._request.mode == "page":
            await self._together(waiting)
        waiting = [case for case in waiting if case.done is None]
        while waiting:
            self._begin(waiting)
            await self._round([case for case in waiting if case.done is None])
            waiting = [case for case in waiting if case.done is None]

    def _leave_out(self, cases: Sequence[Case]) -> None:
        """Let what its author leaves out here, under a condition or by name, run before no other snippet."""
        for document in {id(case.document): case.document for case in cases}.values():
            named = {
                case.snippet.index
                for case in self._by_document[id(document)]
                if case.done is not None and case.done.kind == "skipped_by_author"
            }
            self._pages[id(document)] = [
                replace(one, marks=replace(one.marks, skip="left out here"))
                if one.index in named or unrun.left_out(one, self._facts)
                else one
                for one in document.page.snippets
            ]

    def _snippets(self, document: Document) -> Sequence[Snippet]:
        """The snippets of a page, as far as it is known which of them are left out."""
        return self._pages.get(id(document), document.page.snippets)

    async def _together(self, cases: Sequence[Case]) -> None:
        """Run each namespace as one program, and again without what ended it, until that gets nowhere."""
        waiting = [
            case
            for case in cases
            if case.done is None and together.fits(case.snippet) and not self._given(case)
        ]
        dead: set[tuple[int, int]] = set()
        while waiting:
            pages = self._namespaces(waiting, dead)
            async with self._sandboxes.run(page.made.program for page in pages.values()) as ended:
                async for ran in ended:
                    if ran.result is not None:
                        await self._take_page(pages[ran.program.id], ran.result, dead)
            left = [case for case in waiting if case.done is None]
            if len(left) == len(waiting):
                return  # each alone will show why
            waiting = left

    def _namespaces(
        self, waiting: Sequence[Case], dead: Collection[tuple[int, int]]
    ) -> dict[str, _Namespace]:
        grouped: dict[tuple[int, int], dict[int, Case]] = {}
        for case in waiting:
            key = (id(case.document), case.snippet.document)
            grouped.setdefault(key, {})[case.snippet.index] = case
        pages: dict[str, _Namespace] = {}
        for number, cases in enumerate(grouped.values()):
            document = next(iter(cases.values())).document
            snippets = self._snippets(document)
            indexes = [
                index
                for index in namespace(snippets, snippets[next(iter(cases))])
                if index in cases
                or (can_run(snippets[index]) and (id(document), index) not in dead)
            ]
            made = together.whole(
                snippets, indexes, self._around, str(number),
                modules=self._facts.subjects, home=document.page.home,
            )  # fmt: skip
            pages[str(number)] = _Namespace(made, cases)
        return pages

    async def _take_page(
        self, page: _Namespace, result: ProgramResult, dead: set[tuple[int, int]]
    ) -> None:
        document = next(iter(page.cases.values())).document
        snippets = self._snippets(document)
        found = together.results(page.made, snippets, result, self._around.token)
        for index, (built, own) in found.items():
            case = page.cases.get(index)
            if case is not None:
                attempt = plan(snippets, index, mode="page", modules=self._facts.subjects,
                               home=document.page.home)[0]  # fmt: skip
                case.tried.append(attempt)
                judged = await self._judged(case, built, own)
                before = len(self._build(case, "").program.cells) - len(built.program.cells)
                judged = replace(judged, ran=before + len(own.cells))
                self._end(case, _with_setup(judged, attempt) if judged.passed else judged)
        if found and result.outcome != "completed":
            dead.add((id(document), max(found)))

    async def _install(self) -> bool:
        """Judge again what lacks a package that its project names, with that package."""
        wanted = await anyio.to_thread.run_sync(self._wanted)
        if not wanted:
            return False
        before = [(case, case.done) for case in wanted]
        packages = self.packages
        self._sandboxes.packages = (*packages, *sorted(set(wanted.values())))
        for case in wanted:
            case.start_over()
        self._ready -= len(wanted)
        try:
            await self._judge(list(wanted))
        except ProofboxError as error:
            self._sandboxes.packages = packages
            for case, judged in before:
                if judged is not None:
                    case.done = replace(
                        judged, reason=f"{judged.reason} Installing it failed: {error}"
                    )
            return False
        return True

    def _wanted(self) -> dict[Case, str]:
        """The requirement for each case that lacks one and whose project allows it."""
        wanted: dict[Case, str] = {}
        for case in self._cases:
            module = needs.missing(case.done.reason) if case.done else ""
            if module and case.done and case.done.kind == "needs_dependency":
                folder = Path(case.document.page.file).parent
                requirement = needs.allowed(module, needs.of_project(folder, self._app.roots))
                if requirement and requirement not in self.packages:
                    wanted[case] = requirement
        return wanted

    async def _look_closer(self, cases: Sequence[Case]) -> None:
        """Ask for what was meant where a name was wrong."""
        wrong = {
            str(number): (case, case.done)
            for number, case in enumerate(cases)
            if case.done is not None and near.worth_asking(case.done)
        }
        token = self._around.token
        looks = (
            near.program(self._build(case, name), judged.ran, token, name)
            for name, (case, judged) in wrong.items()
        )
        async with self._sandboxes.run(looks) as ended:
            async for ran in ended:
                case, judged = wrong[ran.program.id]
                if ran.result is not None:
                    line = reporting.text_of(case.snippet, judged)
                    hint = near.hint(ran.result, token, line)
                    case.done = replace(judged, hint=hint or judged.hint)

    def _skip_named(self) -> None:
        for case in self._cases:
            names = {case.document.name}
            file, project = Path(case.document.page.file), self._request.project
            if project is not None and file.is_relative_to(project):
                names.add(file.relative_to(project).as_posix())
            if pattern := unrun.named_by(self._request.skip, names, case.snippet, case.id):
                self._end(case, Judged("skipped_by_author", f"skip names it: {pattern}"))

    async def _ask(self, cases: Sequence[Case]) -> None:
        documents = {id(case.document): case.document for case in cases}.values()
        pages = (one for document in documents for one in document.page.snippets)
        conditions = {one.marks.skip_if for one in pages} - {""}
        results: dict[str, ProgramResult] = {}
        trouble: ProofboxError | None = None
        async with self._sandboxes.run(
            probe.programs(self._around, conditions, self.packages)
        ) as ended:
            async for ran in ended:
                if ran.result is None:
                    trouble = self._sandboxes.trouble or SandboxUnavailable(ran.error)
                else:
                    results[ran.program.id] = ran.result
        if trouble is not None:
            # Nothing can be said of any snippet, so there is no report to give.
            raise trouble
        self._facts = probe.read(list(results.values()), self._around.token, self.packages)

    def _without_running(self, case: Case) -> None:
        condition = case.snippet.marks.skip_if
        if condition in self._facts.true:
            self._end(case, Judged("skipped_by_author", f"Its author skips it if {condition}."))
        elif case.snippet.language == "javascript" and not self._facts.node:
            self._end(case, Judged("language", "It is JavaScript, and this sandbox has no Node."))
        elif judged := unrun.judge(case.snippet, self._facts.python, self._facts.modules):
            self._end(case, judged)

    def _begin(self, cases: Sequence[Case]) -> None:
        """Plan the next attempt of each case; one that has none left has its verdict."""
        self._broken.clear()
        for case in cases:
            if case.snippet.language in {"python", "pycon"}:
                attempt = self._next(case)
                if attempt is None:
                    told = _most_telling(case.judged)
                    case.tried = case.tried[: told + 1]
                    self._end(case, case.judged[told])
                else:
                    case.tried.append(attempt)

    def _next(self, case: Case) -> Attempt | None:
        if case.judged and case.judged[-1].kind in {"syntax", "timeout", "unsafe", "infra"}:
            return None
        page = case.document.page
        failures: list[Failure] = [judged.failure for judged in case.judged]
        return next_attempt(
            self._snippets(case.document),
            case.snippet.index,
            case.tried,
            failures,
            mode=self._request.mode,
            modules=self._facts.subjects,
            home=page.home,
            broken=self._broken_on(case.document),
            given=self._given(case),
        )

    def _given(self, case: Case) -> str:
        """What Sphinx runs before this example: before those that its doctest builder runs."""
        said = case.snippet.marks
        tested = case.snippet.kind == "doctest" or any(mark.by == "sphinx" for mark in said.said)
        return self._settings(case).setup if tested else ""

    def _settings(self, case: Case) -> sphinx.ProjectSetup:
        folder = Path(case.document.page.file).parent
        if folder not in self._configured:
            # A name like <text> is in no folder that may be read.
            roots = self._app.roots if folder.is_absolute() else ()
            self._configured[folder] = sphinx.of_folder(folder, roots)
        return self._configured[folder]

    def _broken_on(self, document: Document) -> frozenset[int]:
        """The snippets of a page that are known not to run; others that define the same are better."""
        if id(document) not in self._broken:
            self._broken[id(document)] = frozenset(
                other.snippet.index
                for other in self._by_document[id(document)]
                if (other.done and not other.done.passed)
                or (other.judged and not other.judged[-1].passed)
            )
        return self._broken[id(document)]

    async def _round(self, cases: Sequence[Case]) -> None:
        waiting = {str(number): case for number, case in enumerate(cases)}
        async with self._sandboxes.run(self._programs(dict(waiting))) as ended:
            async for ran in ended:
                case = waiting.pop(ran.program.id)
                if ran.result is None:
                    self._end(case, Judged("infra", ran.error))
                else:
                    await self._take(case, ran.result)
        for case in waiting.values():
            self._end(case, Judged("infra", "Its program gave no result."))

    def _programs(self, cases: Mapping[str, Case]) -> Iterator[Program]:
        for name, case in cases.items():
            case.built = self._build(case, name)
            is_python = case.snippet.language in {"python", "pycon"}
            program = case.built.program
            yield beside.waited_for(case.snippet, program) if is_python else program

    def _build(self, case: Case, name: str) -> Built:
        snippet = case.snippet
        if snippet.language == "yaml":
            return build.yaml(snippet, self._around, name)
        if snippet.language in {"bash", "console"}:
            return build.bash(snippet, self._around, name)
        if snippet.language == "javascript":
            return javascript.program(snippet, self._around, name)
        page = self._snippets(case.document)
        home = case.document.page.home
        return build.python(page, snippet.index, case.tried[-1], self._around, name, home)

    async def _take(self, case: Case, result: ProgramResult) -> None:
        """Judge a result: the case ends, or another attempt is due."""
        snippet, built = case.snippet, case.built
        if built is None:
            raise RuntimeError("a result without a program")
        if snippet.language == "yaml":
            self._end(case, unrun.of_yaml(snippet, result))
            return
        judged = await self._judged(case, built, beside.folded(built, result))
        if snippet.language not in {"python", "pycon"}:
            self._end(case, judged)
            return
        case.judged.append(judged)
        if judged.passed:
            self._end(case, _with_setup(judged, case.tried[-1]))

    async def _judged(self, case: Case, built: Built, result: ProgramResult) -> Judged:
        token, snippet = self._around.token, case.snippet
        flags = self._settings(case).flags
        rules = replace(DEFAULT_RULES, flags=flags) if flags else DEFAULT_RULES
        if snippet.language == "javascript":
            judged = javascript.judge(snippet, result, rules, self._around.token)
        elif snippet.language in {"bash", "console"}:
            judged = judge_shell.judge(snippet, result, rules, token)
        else:
            judged = judge(snippet, built, result, rules, token)
        if judged.kind == "output_mismatch" and self._request.normalise:
            rules = filters.rules(self._request.normalise, flags)
            judged = await filters.judged_again(snippet, built, result, rules, token)
        if judged.passed and snippet.language in {"python", "pycon"} and not snippet.marks.raises:
            failed = beside.failure(snippet, result.cells[built.before :])
            judged = replace(failed, oracle=judged.oracle) if failed else judged
        return replace(judged, ran=len(result.cells))

    def _end(self, case: Case, judged: Judged) -> None:
        case.done = judged
        self._ready += 1
        self._on_done(self._ready, len(self._cases))


def _with_setup(judged: Judged, attempt: Attempt) -> Judged:
    needed = bool(attempt.before or attempt.imports or attempt.given)
    return replace(judged, kind="works_with_setup") if needed and judged.kind == "works" else judged


def _most_telling(judged: Sequence[Judged]) -> int:
    """Which attempt to report: the first in which the snippet itself ran and had all names."""
    for number, one in enumerate(judged):
        if one.reached and not one.failure.missing:
            return number
    return next((n for n, one in enumerate(judged) if one.reached), 0)
