"""Make a project of what was asked for."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...server.sandbox import InvalidInput
from . import layout, uploads
from .layout import WrongImport
from .manifest import Manifest, read_manifest
from .project import Kept, Project
from .request import TestsRequest
from .suite import Sheet, Uncollected, is_test_file, read_sheet

MOST_FILES = 200
MOST_BYTES = 4 * 1024**2
_DOCUMENTS = (".txt", ".rst", ".md")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A project, and what its test files say before anything ran."""

    project: Project
    sheets: tuple[Sheet, ...]
    wrong_imports: tuple[WrongImport, ...]


def prepare(request: TestsRequest, roots: Sequence[Path]) -> Prepared:
    """The project that a request names. Reads files; runs nothing but git.

    Raises:
        InvalidInput: the arguments cannot be honoured.
    """
    source, written = _checked(request.source), _checked(request.tests)
    if both := sorted(path for path in source.keys() & written if source[path] != written[path]):
        raise InvalidInput(
            f"{both[0]} is given as source and, otherwise, as tests: nothing was run."
        )
    given = {**source, **written}
    kept: list[Kept] = []
    notes: list[str] = []
    files: dict[str, bytes] = {}
    if request.project is not None:
        files, kept, notes = uploads.collect(folder_inside(request.project, roots))
    elif not request.tests:
        raise InvalidInput("Give tests (path to text), or project, a folder that has some.")
    on_disk = read_manifest(files)
    files |= {path: text.encode("utf-8", "replace") for path, text in given.items()}
    manifest = read_manifest(files)
    tests = _tests(files, request, manifest, on_disk)
    if not tests:
        where = "project has" if request.project is not None else "tests have"
        raise InvalidInput(
            f"The {where} no test file: nothing was run. Pytest takes {', '.join(manifest.patterns)}."
        )
    return _prepared(request, files, tests, manifest, kept, notes)


def _prepared(
    request: TestsRequest,
    files: dict[str, bytes],
    tests: Sequence[str],
    manifest: Manifest,
    kept: Sequence[Kept],
    notes: Sequence[str],
) -> Prepared:
    texts = {p: c.decode("utf-8", "replace") for p, c in files.items() if p.endswith(".py")}
    every = layout.source_files(texts, [p for p in texts if is_test_file(p, manifest.patterns)])
    _check_only(request.only, [*tests, *every])
    chosen = [path for path in every if _meant(path, request)]
    accept_src = _src_is_a_package(request, texts, every)
    roots = layout.import_roots(texts, every, tests, accept_src=accept_src)
    modules = [layout.module_of(path, roots) for path in chosen]
    sheets = tuple(read_sheet(path, files[path].decode("utf-8", "replace")) for path in tests)
    sheets += tuple(_overlooked(request, texts, tests, manifest))
    files |= _metadata(manifest, roots)
    project = Project(
        files=files,
        sources=tuple(modules),
        tests=tuple(tests),
        roots=roots,
        arguments=(*manifest.arguments, *_doctests(sheets, manifest)),
        config=manifest.config,
        packages=request.packages or manifest.packages,
        stayed_home=tuple(kept),
        notes=(*notes, *_remarks(manifest)),
    )
    everywhere = [layout.module_of(path, roots) for path in every]
    wrong = layout.wrong_imports(texts, tests, roots, everywhere)
    return Prepared(project, sheets, tuple(dict.fromkeys(wrong)))


def folder_inside(name: str, roots: Sequence[Path], instead: str = "") -> Path:
    """The folder that a path names, resolved; `instead` says what can be given where none may be read.

    Raises:
        InvalidInput: it is none, or outside the folders that may be read.
    """
    if not roots:
        advice = instead or "Send source and tests as text"
        raise InvalidInput(
            f"This server may not read files. {advice}, or set PROOFBOX_ROOTS to the "
            "folders that paths may name."
        )
    resolved = [root.resolve() for root in roots]
    candidates = [(root / name).resolve() for root in resolved]
    inside = [path for path in candidates if any(path.is_relative_to(root) for root in resolved)]
    found = next((path for path in inside if path.is_dir()), None)
    if found is None:
        shown = ", ".join(map(str, resolved))
        raise InvalidInput(f"{name!r} is no folder inside those that may be read: {shown}.")
    return found


def _checked(given: Mapping[str, str]) -> dict[str, str]:
    """The files by plain relative path."""
    if len(given) > MOST_FILES:
        raise InvalidInput(f"{len(given)} files were given; at most {MOST_FILES} can be.")
    if sum(map(len, given.values())) > MOST_BYTES:
        raise InvalidInput(f"The files have more than {MOST_BYTES:,} characters; send fewer.")
    plain: dict[str, str] = {}
    for path, text in given.items():
        name = posixpath.normpath(path)
        if not path or "\0" in path or posixpath.isabs(name) or name.split("/")[0] in {"..", "."}:
            raise InvalidInput(f"{path!r} cannot be a file's path here: use one below the project.")
        plain[name] = text
    return plain


def _tests(
    files: Mapping[str, bytes], request: TestsRequest, manifest: Manifest, on_disk: Manifest
) -> list[str]:
    if request.tests:
        named = [posixpath.normpath(path) for path in request.tests]
        support = {"conftest.py", "__init__.py"}
        wanted = [
            p for p in named if p.endswith((".py", *_DOCUMENTS)) and p.split("/")[-1] not in support
        ]
        fitting = [
            p for p in wanted if is_test_file(p, manifest.patterns) or p.endswith(_DOCUMENTS)
        ]
        return fitting or wanted
    found = [path for path in files if is_test_file(path, on_disk.patterns)]
    if not any(_named(path, request.only) for path in found):
        return sorted(found)
    return sorted(path for path in found if _named(path, request.only))


def _check_only(only: Iterable[str], known: Iterable[str]) -> None:
    """Else the other tests would be run in the place of what was asked for."""
    for each in only:
        if not any(_named(path, [each]) for path in known):
            raise InvalidInput(f"{each!r} names no test file and no source: nothing was run.")


def _overlooked(
    request: TestsRequest, texts: Mapping[str, str], tests: Sequence[str], manifest: Manifest
) -> Iterator[Sheet]:
    """Files that were given as tests, have some, and are called as pytest does not look for them. What other tests
    speak of may be there for them.
    """
    for path in map(posixpath.normpath, request.tests):
        name = path.rpartition("/")[2]
        stem = name.removesuffix(".py")
        if path in tests or path not in texts or name == "conftest.py":
            continue
        if any(re.search(rf"\b{re.escape(stem)}\b", texts.get(test, "")) for test in tests):
            continue
        why = f"Pytest takes {', '.join(manifest.patterns)}, and so it does not look into {name}."
        written = read_sheet(path, texts[path]).tests
        yield Sheet(path, uncollected=tuple(Uncollected(t.name, t.line, why) for t in written))


def _named(path: str, only: Iterable[str]) -> bool:
    plain = [posixpath.normpath(each) for each in only]
    return any(path == each or path.startswith(f"{each}/") or each == "." for each in plain)


def _meant(path: str, request: TestsRequest) -> bool:
    if request.only:
        # Naming tests alone leaves all of the source under test.
        sources = [each for each in request.only if not is_test_file(each) and "test" not in each]
        return not sources or _named(path, sources)
    if request.source and request.project is None:
        return path in {posixpath.normpath(each) for each in request.source}
    return True


def _src_is_a_package(
    request: TestsRequest, texts: Mapping[str, str], every: Sequence[str]
) -> bool:
    """Whether `import src.x` is meant: by the package itself, its modules, or tests that were there before."""
    given = {posixpath.normpath(path) for path in request.tests}
    witnesses = [*every, *(path for path in texts if path not in given and request.project)]
    return "src/__init__.py" in texts or any(
        name.startswith("src.") for path in witnesses for name, _ in layout.imports(texts[path])
    )


def _doctests(sheets: Sequence[Sheet], manifest: Manifest) -> list[str]:
    documents = [sheet.path for sheet in sheets if sheet.path.endswith(_DOCUMENTS)]
    wanted = [f"--doctest-glob={path.rpartition('/')[2]}" for path in documents]
    examples = any(sheet.examples and sheet.path.endswith(".py") for sheet in sheets)
    if examples and "--doctest-modules" not in manifest.arguments:
        wanted.append("--doctest-modules")
    return wanted


def _metadata(manifest: Manifest, roots: Sequence[str]) -> dict[str, bytes]:
    """What makes `importlib.metadata.version` of the project itself answer, as if it was installed."""
    if not manifest.name:
        return {}
    folder = f"{manifest.name.replace('-', '_')}-{manifest.version}.dist-info"
    text = f"Metadata-Version: 2.1\nName: {manifest.name}\nVersion: {manifest.version}\n"
    return {posixpath.join(roots[0], folder, "METADATA"): text.encode()}


def _remarks(manifest: Manifest) -> list[str]:
    remarks: list[str] = []
    if manifest.unreadable:
        shown = ", ".join(manifest.unreadable[:5])
        remarks.append(f"Not installed, since only wheels of the index are: {shown}.")
    if manifest.dropped:
        remarks.append(
            f"Not given to pytest, of the project's addopts: {' '.join(manifest.dropped)}."
        )
    return remarks
