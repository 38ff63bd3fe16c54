"""Layouts, import roots, manifests, and what test files say of themselves, all without running anything."""

from pathlib import Path

import pytest

from proofbox.server.sandbox import InvalidInput
from proofbox.tools.run_generated_tests import suite
from proofbox.tools.run_generated_tests.manifest import read_manifest
from proofbox.tools.run_generated_tests.prepare import Prepared, prepare
from proofbox.tools.run_generated_tests.request import TestsRequest
from proofbox.tools.run_generated_tests.suite import read_sheet

TEST = "from {name} import add\n\n\ndef test_add():\n    assert add(1, 1) == 2\n"
ADD = "def add(a, b):\n    return a + b\n"


def given(source: dict[str, str], name: str) -> Prepared:
    """The project of files and one test that imports `name`."""
    request = TestsRequest(source=source, tests={"tests/test_it.py": TEST.format(name=name)})
    return prepare(request, ())


@pytest.mark.parametrize(
    ("source", "name", "roots", "module"),
    [
        ({"calc.py": ADD}, "calc", ("",), "calc"),
        ({"src/calc.py": ADD}, "calc", ("src",), "calc"),
        ({"src/pkg/__init__.py": "", "src/pkg/calc.py": ADD}, "pkg.calc", ("src",), "pkg.calc"),
        ({"pkg/__init__.py": "", "pkg/calc.py": ADD}, "pkg.calc", ("",), "pkg.calc"),
        ({"pkg/calc.py": ADD, "pkg/types.py": ""}, "pkg.calc", ("",), "pkg.calc"),
        ({"pkg/calc.py": "import one", "pkg/one.py": ""}, "pkg.calc", ("pkg", ""), "calc"),
        ({"src/a/b/__init__.py": "", "src/a/b/calc.py": ADD}, "a.b.calc", ("src",), "a.b.calc"),
        ({"src/a/calc.py": ADD}, "a.calc", ("src",), "a.calc"),
        ({"src/__init__.py": "", "src/calc.py": ADD}, "src.calc", ("",), "src.calc"),
        ({"a/b/__init__.py": "", "a/b/calc.py": ADD}, "b.calc", ("a",), "b.calc"),
    ],
    ids=[
        "flat",
        "src",
        "src with a package",
        "package",
        "namespace",
        "scripts",
        "deep namespace",
        "src with a namespace",
        "src is a package",
        "deep",
    ],
)
def test_import_roots_are_worked_out(
    source: dict[str, str], name: str, roots: tuple[str, ...], module: str
) -> None:
    """From where packages begin and from what is imported."""
    prepared = given(source, name)

    assert prepared.project.roots == roots
    assert module in {one.name for one in prepared.project.sources}
    assert not prepared.wrong_imports


@pytest.mark.parametrize(
    ("source", "name", "meant"),
    [
        ({"calc.py": ADD}, "src.calc", "calc"),
        ({"src/calc.py": ADD}, "src.calc", "calc"),
        ({"src/pkg/__init__.py": "", "src/pkg/calc.py": ADD}, "src.pkg.calc", "pkg.calc"),
        ({"calc.py": ADD}, "myproject.calc", "calc"),
    ],
)
def test_an_invented_prefix_is_named(source: dict[str, str], name: str, meant: str) -> None:
    """With what was meant, and its line."""
    [wrong] = [one for one in given(source, name).wrong_imports if one.written == name]

    assert (wrong.file, wrong.line, wrong.meant) == ("tests/test_it.py", 1, meant)


def test_files_must_stay_inside_the_project() -> None:
    """A path that leads out of it is refused, and so is a request without tests."""
    for path in ("../calc.py", "/etc/calc.py", "a/../../calc.py", ""):
        with pytest.raises(InvalidInput, match="cannot be a file's path"):
            prepare(TestsRequest(source={path: ADD}, tests={"test_it.py": ""}), ())
    with pytest.raises(InvalidInput, match="Give tests"):
        prepare(TestsRequest(source={"calc.py": ADD}), ())
    with pytest.raises(InvalidInput, match="may not read files"):
        prepare(TestsRequest(project="."), ())


def test_a_project_outside_the_roots_is_refused(tmp_path: Path) -> None:
    """Outside reads like missing."""
    (tmp_path / "inside").mkdir()
    roots = (tmp_path / "inside",)

    for name in ("..", str(tmp_path), "nothing", "/etc"):
        with pytest.raises(InvalidInput, match="no folder inside"):
            prepare(TestsRequest(project=name), roots)


def test_a_project_is_read_with_its_manifest(tmp_path: Path) -> None:
    """What it needs, how pytest is to be started, and which of its files are meant."""
    files = {
        "pyproject.toml": '[project]\nname = "calc"\nversion = "2.0"\ndependencies = ["attrs>=23"]\n'
        '[project.optional-dependencies]\ntest = ["pytest", "hypothesis", "pytest-cov", "calc[x]"]\n'
        '[tool.pytest.ini_options]\naddopts = "--import-mode importlib -x --cov=calc '
        "-p my.plugin -p pytest_cov -m 'not slow' --ignore tests/old\"\n",
        "src/calc/__init__.py": "",
        "src/calc/one.py": ADD,
        "src/calc/two.py": ADD,
        "tests/test_one.py": TEST.format(name="calc.one"),
        "tests/test_two.py": TEST.format(name="calc.two"),
        "setup.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    whole = prepare(TestsRequest(project="."), (tmp_path,)).project
    one = prepare(
        TestsRequest(project=".", only=("src/calc/one.py", "tests/test_one.py")), (tmp_path,)
    ).project

    assert whole.tests == ("tests/test_one.py", "tests/test_two.py")
    assert [m.name for m in whole.sources] == ["calc", "calc.one", "calc.two"]
    assert whole.packages == ("attrs>=23", "pytest", "hypothesis")
    assert whole.arguments == ("--import-mode=importlib", "-p", "my.plugin")
    assert "-p pytest_cov -m not slow --ignore=tests/old" in whole.notes[0]
    assert whole.config == "pyproject.toml"
    assert "src/calc-2.0.dist-info/METADATA" in whole.files
    assert "-x --cov=calc" in whole.notes[0]
    assert one.tests == ("tests/test_one.py",)
    assert [m.name for m in one.sources] == ["calc.one"]


@pytest.mark.parametrize("name", ["tests/checks.py", "tests/data", "nowhere"])
def test_other_tests_are_not_run_in_the_place_of_those_that_were_named(
    tmp_path: Path, name: str
) -> None:
    """What is called as no test file, has none in it or is not there is refused."""
    for path in ("one.py", "tests/test_one.py", "tests/checks.py", "tests/data/a.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(TEST.format(name="one"))

    with pytest.raises(InvalidInput, match=f"'{name}' names no test file and no source"):
        prepare(TestsRequest(project=".", only=("one.py", name)), (tmp_path,))


def test_tests_do_not_take_the_place_of_the_source() -> None:
    """Then they would be tests of themselves."""
    tests = {"test_one.py": TEST.format(name="one"), "./one.py": "def add(a, b): return 3\n"}

    with pytest.raises(InvalidInput, match=r"one\.py is given as source and, otherwise, as tests"):
        prepare(TestsRequest(source={"one.py": ADD}, tests=tests), ())


def test_a_file_of_tests_that_pytest_does_not_look_into_is_not_passed_over() -> None:
    """Unless the others use it."""
    checks = TEST.format(name="one")
    given = {"test_one.py": checks + "\nfrom helping import *\n", "helping.py": checks}
    request = TestsRequest(source={"one.py": ADD}, tests={**given, "checks.py": checks})

    sheets = {sheet.path: sheet for sheet in prepare(request, ()).sheets}

    assert sheets.keys() == {"test_one.py", "checks.py"}
    assert "does not look into checks.py" in sheets["checks.py"].uncollected[0].why


def test_manifests_of_other_kinds_are_read() -> None:
    """Requirements files, groups, and setup.cfg; what is no wheel of the index is named."""
    requirements = (
        b"attrs  # a comment\n-r other.txt\n\ngit+https://x/y.git\nthing @ https://x/t.whl\n"
    )
    groups = b'[project]\nname = "x"\n[dependency-groups]\ndev = ["pytest", "mypy", "anyio"]\n'

    plain = read_manifest({"requirements.txt": requirements})
    grouped = read_manifest({"pyproject.toml": groups})
    cfg = read_manifest({"setup.cfg": b"[options]\ninstall_requires =\n  attrs\n  idna\n"})
    broken = read_manifest({"pyproject.toml": b"[", "setup.cfg": b"[["})

    assert plain.packages == ("attrs",)
    assert plain.unreadable == ("git+https://x/y.git", "thing @ https://x/t.whl")
    assert grouped.packages == ("pytest", "anyio")
    assert cfg.packages == ("attrs", "idna")
    assert broken.packages == ()


def test_what_never_becomes_a_test_is_named() -> None:
    """Shadowed, misnamed, guarded, nested, or in a class that pytest does not collect."""
    text = (
        "def test_a(): assert 1\n"
        "def test_a(): assert 2\n"
        "def should_add(): assert 1\n"
        "def helper(): assert 1\n"
        "class TestX:\n    def __init__(self): pass\n    def test_in(self): assert 1\n"
        "class Things:\n    def test_in(self): assert 1\n"
        "if __name__ == '__main__':\n    def test_guarded(): assert 1\n"
        "def test_outer():\n    def test_inner(): assert 0\n    assert 1\n"
        "class TestOk:\n    def test_fine(self): assert 1\n"
    )

    sheet = read_sheet("test_it.py", text)

    assert {(one.name, one.line) for one in sheet.uncollected} == {
        ("test_a", 1),
        ("should_add", 3),
        ("TestX::test_in", 7),
        ("Things::test_in", 9),
        ("test_guarded", 11),
        ("test_inner", 13),
    }
    assert [one.name for one in sheet.tests] == ["test_a", "test_outer", "TestOk::test_fine"]


def test_what_is_a_test_only_on_a_condition_is_named() -> None:
    """It may not be there, and then nobody would miss it."""
    text = (
        "if new:\n    def test_new(): assert 1\nelse:\n    def test_old(): assert 1\n"
        "try:\n    import x\nexcept ImportError:\n    pass\n"
        "else:\n    class TestX:\n        def test_in(self): assert 1\n"
        "if False:\n    def test_never(): assert 1\n"
        "def test_always(): assert 1\n"
    )

    sheet = read_sheet("test_it.py", text)

    assert [(one.name, one.line) for one in sheet.conditional] == [
        ("test_new", 2),
        ("test_old", 4),
        ("TestX::test_in", 11),
    ]
    assert [one.name for one in sheet.uncollected] == ["test_never"]
    assert [one.name for one in sheet.tests] == ["test_always"]


def test_a_file_that_is_no_python_says_so() -> None:
    """With its line."""
    sheet = read_sheet("test_it.py", "def test_a(:\n    pass\n")

    assert (sheet.tests, sheet.error_line) == ((), 1)
    assert sheet.error


def test_files_are_parsed_ahead_where_all_of_their_trees_are_kept() -> None:
    """So that whoever asks next has them at once; more than that would only be parsed twice. No Python is no matter."""
    few = [b"ahead = %d\n" % number for number in range(5)] + [b"def\n"]
    many = [b"far_ahead = %d\n" % number for number in range(100)]
    suite.parsed.cache_clear()

    suite.parse_ahead(many)
    assert suite.parsed.cache_info().currsize == 0

    suite.parse_ahead([*few, *few])
    assert suite.parsed.cache_info().misses == 6
    assert suite.parsed("ahead = 3\n") is not None
    assert suite.parsed.cache_info().misses == 6
