"""What the text of a test gives away, with its line; genuine tests give away nothing."""

import textwrap
from pathlib import Path

import pytest

from proofbox.tools.run_generated_tests.findings import Finding
from proofbox.tools.run_generated_tests.project import Module, Project
from proofbox.tools.run_generated_tests.smells import smells

LABELLED = Path(__file__).parent / "labelled"
SHOP = (LABELLED / "shop.py").read_bytes()


def findings_of(text: str, config: str = "") -> list[Finding]:
    """All findings of a test file for the shop, notes left out."""
    project = Project(
        files={"shop.py": SHOP, "test_shop.py": text.encode(), "pytest.ini": config.encode()},
        sources=(Module("shop.py", "shop"),),
        tests=("test_shop.py",),
        config="pytest.ini" if config else "",
    )
    found = smells(project, "test_shop.py")
    return [one for several in found.values() for one in several if one.severity != "note"]


def in_test(body: str) -> list[Finding]:
    """The findings of one test with this body."""
    head = "import asyncio, datetime, pytest, time\nimport shop\nfrom shop import Stock, order, total\n"
    return findings_of(f"{head}def test_it():\n{textwrap.indent(textwrap.dedent(body), '    ')}")


@pytest.mark.parametrize(
    ("body", "kind", "line"),
    [
        ("assert True", "tautology", 5),
        ("a = total([1])\nassert a == a", "tautology", 6),
        ("assert (total([1]) == 1, 'sum')", "tautology", 5),
        ("assert total([1]) == 2 or True", "tautology", 5),
        ("assert len(total([1])) >= 0", "tautology", 5),
        ("assert 1 == 1", "tautology", 5),
        ("try:\n    assert total([1]) == 2\nexcept Exception:\n    pass", "swallowed", 7),
        ("try:\n    assert total([1]) == 2\nexcept:\n    print('oh')", "swallowed", 7),
        ("with pytest.raises(Exception):\n    total([1], 200)", "broad_raises", 5),
        ("s = Stock()\nwith pytest.raises(KeyError):\n    a = total([s])\n    assert a == 1", "not_called", 8),
        ("return total([1]) == 1", "returns", 5),
        ("def check():\n    assert total([1]) == 1\nassert check", "not_called", 7),
        ("m = shop.Mock()\nm.called_once_with(1)", "not_called", 6),
        ("m.assert_called_once", "not_called", 5),
        ("assert shop.totals([1]) == 1", "hallucinated", 5),
        ("s = Stock()\ns.put('cup')", "hallucinated", 6),
        ("assert total([1], tax=2) == 1", "hallucinated", 5),
        ("monkeypatch.setattr(shop, 'total', len)\nassert shop.total([1]) == 1", "mocked", 5),
        ("shop.total = lambda p: 1\nassert shop.total([1]) == 1", "mocked", 5),
        ("time.sleep(2)\nassert total([1]) == 1", "sleeps", 5),
        ("assert requests.get('http://a.b').ok", "network", 5),
        ("assert total([datetime.datetime.now().year]) == 2024", "clock", 5),
        ("now = time.time()\ntotal([1])\nassert time.time() - now < 1", "clock", 5),
        ("order(Stock(), 'cup')", "async", 5),
        ("a, off = [1, 2], 50\nassert total(a, off) == sum(a) * (100 - off) // 100", "copies", 6),
        ("exec(inspect.getsource(shop.total))\nassert total([1]) == 1", "copies", 5),
    ],
)  # fmt: skip
def test_a_smell_is_named_with_its_line(body: str, kind: str, line: int) -> None:
    """A model must know what to mend, and where."""
    assert (kind, line) in {(one.kind, one.line) for one in in_test(body)}


@pytest.mark.parametrize(
    "body",
    [
        "assert total([1, 2]) == 3",
        "assert shop.once(list)() is shop.once(list)() or total([1]) == 1",
        "try:\n    total([1], 200)\nexcept ValueError:\n    return\nraise AssertionError('accepted')",
        "try:\n    assert total([1]) == 1\nexcept AssertionError as error:\n    pytest.fail(str(error))",
        "with pytest.raises(Exception, match='percentage'):\n    total([1], 200)",
        "s = Stock()\ns = object()\ns.put('cup')",
        "assert asyncio.run(order(Stock({'a': 1}), 'a')) == 'ordered a'",
        "coroutine = order(Stock({'a': 1}), 'a')\nassert asyncio.run(coroutine) == 'ordered a'",
        "time.sleep(0)\nassert total([1]) == 1",
        "total([1])\nassert True\nassert total([2]) == 2",
        "monkeypatch.setattr(shop, 'slugify', len)\nassert total([1]) == 1",
        "assert shop.__name__ == 'shop'",
        "with pytest.raises(AttributeError):\n    s = Stock()\n    assert s.missing == 1",
        "with pytest.raises((KeyError, TypeError)):\n    total([1], tax=2)",
    ],
)
def test_what_only_looks_like_it_is_left_alone(body: str) -> None:
    """A genuine test that is refused teaches a model to write worse ones."""
    assert not in_test(body)


@pytest.mark.parametrize("path", sorted((LABELLED / "kept").glob("*.txt")), ids=lambda p: p.stem)
def test_genuine_tests_have_no_smell(path: Path) -> None:
    """Whatever their style."""
    assert not findings_of(path.read_text())


def test_a_wrong_import_comes_with_the_name_that_was_meant() -> None:
    """Of the file, since no test of it can run."""
    [finding] = findings_of("from shop import slugify_text\n")

    assert (finding.kind, finding.line, finding.near) == ("hallucinated", 1, "slugify")


def test_an_invented_root_is_named_as_the_mistake() -> None:
    """`src` is where files are, not what they are called."""
    [finding] = findings_of("from src.shop import total\n")

    assert finding.near == "shop"
    assert "without `src.`" in finding.message


def test_a_function_that_is_written_again_is_told_from_one_that_is_called_alike() -> None:
    """A fixture may have the name of a function of the source."""
    again = 'def slugify(text):\n    return "-".join(text.lower().split())\n'
    fixture = "import pytest\n@pytest.fixture\ndef load(tmp_path):\n    return tmp_path / 'a'\n"

    assert [one.kind for one in findings_of(again)] == ["copies"]
    assert not findings_of(fixture)


@pytest.mark.parametrize(
    ("text", "config", "found"),
    [
        ("async def test_a():\n    assert 1\n", "", True),
        ("import pytest\n@pytest.mark.asyncio\nasync def test_a():\n    assert f()\n", "", False),
        ("import pytest\npytestmark = pytest.mark.anyio\nasync def test_a():\n    assert f()\n", "", False),
        ("async def test_a():\n    assert f()\n", "[pytest]\nasyncio_mode = auto\n", False),
        ("class TestA(unittest.IsolatedAsyncioTestCase):\n    async def test_a(self):\n        assert f()\n", "", False),
    ],
)  # fmt: skip
def test_an_async_test_needs_somebody_to_run_it(text: str, config: str, found: bool) -> None:
    """A mark, a setting or a class of unittest."""
    assert ("async" in {one.kind for one in findings_of(text, config)}) is found


@pytest.mark.parametrize(
    "text", ["def test_a(:\n", "\0", "x = " + "(" * 3000], ids=["syntax", "nul", "deep"]
)
def test_a_file_that_does_not_parse_has_none(text: str) -> None:
    """That it does not is said when it is collected."""
    assert not findings_of(text)
