"""Raw items in a form that needs nothing else: setup, code and real output, each run once more to prove it.

A form is run twice, by a fork of the warm interpreter and by a fresh one of its own, and it is only given
if both print the same. `forms` has what there is to run and to read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...server.sandbox import Cell, Program, ProgramResult
from . import build, forms
from .names import analyse
from .plan import Attempt
from .sandboxes import Sandboxes
from .snippet import Snippet

_VERSIONS = """
import importlib.metadata as m, json
owners = m.packages_distributions()
names = json.loads({names!r})
print({token!r} + json.dumps({{n: {{d: m.version(d) for d in set(owners.get(n, []))}} for n in names}}))
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An item that works, and how it was made to."""

    snippet: Snippet
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Standalone:
    """The form. `env` names the variables that must be set; `packages` are versions by name.

    `error` is what it raises at its end, "" where it raises nothing. Without `code` there is no form, and
    `reason` says why.
    """

    code: str = ""
    language: str = ""
    output: str = ""
    error: str = ""
    reason: str = ""
    env: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict[str, str])


async def standalone(
    wanted: Sequence[Wanted], around: build.Surroundings, sandboxes: Sandboxes
) -> list[Standalone]:
    """Return the form of each item, in their order."""
    made = [_form(want, around) for want in wanted]
    modules = {
        name for want, form in zip(wanted, made, strict=True) for name in _modules(want, form)
    }
    asked = Program("versions", (Cell(_versions_of(modules, around), "<versions>"),))
    warm = await _run([asked, *_programs(wanted, made, around, fresh=False)], sandboxes)
    first = [
        _first(want, form, warm.get(str(number)), around)
        for number, (want, form) in enumerate(zip(wanted, made, strict=True))
    ]
    fresh = await _run(_programs(wanted, first, around, fresh=True), sandboxes)
    versions = _versions(warm.get("versions"), around.token)
    return [
        replace(_proved(form, fresh.get(str(number))), packages=_packages(want, form, versions))
        for number, (want, form) in enumerate(zip(wanted, first, strict=True))
    ]


async def _run(
    wanted: Sequence[Program] | Iterator[Program], sandboxes: Sandboxes
) -> dict[str, ProgramResult]:
    results: dict[str, ProgramResult] = {}
    async with sandboxes.run(wanted) as ended:
        async for ran in ended:
            if ran.result is not None:
                results[ran.program.id] = ran.result
    return results


def _form(want: Wanted, around: build.Surroundings) -> Standalone:
    """The code, before it has been run."""
    snippet = want.snippet
    env = tuple(sorted({**around.env, **snippet.marks.env}))
    before = [part for part in (around.setup, *want.attempt.imports) if part]
    if snippet.language in {"bash", "console"}:
        return Standalone(forms.script(snippet), "bash", env=env)
    if snippet.language not in {"python", "pycon"}:
        return Standalone(snippet.code, snippet.language)
    if snippet.kind == "doctest":
        return Standalone("".join(map(forms.prompted, before)), "pycon", env=env)
    return Standalone(forms.joined([*before, build.runnable(snippet.code)]), "python", env=env)


def _programs(
    wanted: Sequence[Wanted], made: Sequence[Standalone], around: build.Surroundings, *, fresh: bool
) -> Iterator[Program]:
    for number, (want, form) in enumerate(zip(wanted, made, strict=True)):
        snippet, name = want.snippet, str(number)
        if form.reason or form.language not in forms.RUNNABLE:
            continue
        if form.language == "pycon" and not fresh:
            yield build.python([snippet], 0, _alone(want), around, name).program
            continue
        env = {**around.env, **snippet.marks.env}
        timeout = snippet.marks.timeout or around.timeout
        if form.language == "python" and not fresh:
            yield Program(name, (Cell(form.code, forms.FILE),), env=env, timeout=timeout)
        else:
            yield Program(
                name,
                command=forms.command(form.code, form.language),
                files=forms.files(form.code, form.language),
                env=env,
                timeout=timeout,
            )


def _alone(want: Wanted) -> Attempt:
    return Attempt("alone", imports=want.attempt.imports)


def _first(
    want: Wanted, form: Standalone, result: ProgramResult | None, around: build.Surroundings
) -> Standalone:
    """The form with what it printed when it was run for the first time."""
    if form.language not in forms.RUNNABLE:
        return form
    if result is None:
        return _none(form, "A sandbox failed while it was run once more.")
    if form.language == "pycon":
        built = build.python([want.snippet], 0, _alone(want), around, "")
        own = result.cells[built.before :]
        if result.outcome != "completed" or forms.is_cut(own):
            return _none(form, "It did not run to its end once more, or printed too much.")
        shown = forms.shown(build.examples(want.snippet), own)
        output = "".join(cell.stdout.text for cell in own)
        return replace(form, code=form.code + shown, output=output)
    said = forms.said(result)
    if said.trouble:
        return _none(form, said.trouble)
    return replace(form, output=said.output, error=said.error)


def _proved(form: Standalone, result: ProgramResult | None) -> Standalone:
    """The form, if it ran to the same end and printed the same again."""
    if form.reason or form.language not in forms.RUNNABLE:
        return form
    if result is None:
        return _none(form, "A sandbox failed while it was run once more.")
    if form.language == "pycon":
        # doctest itself has compared.
        return (
            form if result.exit_code == 0 else _none(form, f"doctest does not take it. {_CHANGES}")
        )
    again = forms.said(result)
    if again.trouble:
        return _none(form, f"A fresh interpreter does not run it: {again.trouble}")
    # An interpreter puts the module before the name of an exception, and the message may have several lines.
    same = again.error.endswith(form.error.splitlines()[-1]) if form.error else not again.error
    return form if same and again.output == form.output else _none(form, _CHANGES)


_CHANGES = "What it prints may change from run to run."


def _none(form: Standalone, reason: str) -> Standalone:
    return Standalone(language=form.language, reason=reason, env=form.env)


def _modules(want: Wanted, form: Standalone) -> frozenset[str]:
    """The top-level names of all that a form imports."""
    if form.language not in {"python", "pycon"}:
        return frozenset()
    source = form.code if form.language == "python" else want.snippet.source
    imports = "\n".join(want.attempt.imports)
    return analyse(source).imports | analyse(imports).imports


def _versions_of(modules: set[str], around: build.Surroundings) -> str:
    return _VERSIONS.format(names=json.dumps(sorted(modules)), token=around.token)


def _versions(result: ProgramResult | None, token: str) -> dict[str, dict[str, str]]:
    if result is None or result.outcome != "completed":
        return {}
    found: dict[str, Any] = json.loads(result.cells[0].stdout.text.partition(token)[2])
    return {str(name): dict(versions) for name, versions in found.items()}


def _packages(
    want: Wanted, form: Standalone, versions: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    packages: dict[str, str] = {}
    for name in sorted(_modules(want, form)):
        packages.update(versions.get(name, {}))
    return packages
