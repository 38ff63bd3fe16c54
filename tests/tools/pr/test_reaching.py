"""Which changed statements tests run: told test by test, by marks that change nothing else."""

from pathlib import Path
from textwrap import dedent

from guest_plugin import records_of

from proofbox.tools.check_pr import beyond

GUEST = Path(beyond.__file__).parent / "guest" / "reaching.py"
CODE = dedent('''\
    """A module."""
    from __future__ import annotations
    import inspect
    A = 1; B = 2

    def low(x):
        """Docstring."""
        if x > 10:
            y = (
                x
            )
        elif x < 0:
            y = 0
        else:
            y = 1
        try:
            return y
        except ValueError:
            raise
        finally:
            x = 0

    class Shop:
        size = 3

        async def open(self):
            async with self:
                match self.size:
                    case 3:
                        return await self
        def lines(self):
            return inspect.getsource(low), low.__code__.co_firstlineno

    def gone():
        return 1
    ''')
TESTS = dedent("""\
    import sys
    import pytest
    import pkg.shop
    from pkg import shop

    @pytest.fixture(scope="module")
    def made():
        return shop.low(-1)

    def test_high():
        assert shop.low(11) == 11

    def test_first(made):
        assert made == 0

    def test_second(made):
        assert made == 0

    def test_nothing():
        pass

    def test_nothing_else_is_changed():
        source, line = shop.Shop().lines()
        assert source.startswith("def low(x):") and line == 6
        assert "__proofbox_ran__" not in vars(shop)
        with pytest.raises(TypeError) as caught:
            shop.low(None)
        assert caught.traceback[-1].lineno + 1 == 8
    """)


def test_every_test_is_told_with_the_marked_statements_that_it_runs(tmp_path: Path) -> None:
    """Also what imports and shared fixtures run; neither names, nor lines, nor sources are others."""
    wanted = [2, 4, 6, 8, 9, 12, 13, 15, 17, 19, 21, 24, 28, 35]
    path = str(tmp_path / "project" / "pkg" / "shop.py")
    records = records_of(
        tmp_path,
        "reaching",
        {"reaching": GUEST.read_text()},
        {"pkg/__init__.py": "", "pkg/shop.py": CODE, "test_shop.py": TESTS},
        {"early": True, "lines": {path: wanted}},
    )

    told = {one["test"].rpartition(":")[2]: sorted(set(one["lines"][path])) for one in records}
    assert told == {
        "": [2, 4, 6, 24],
        "test_high": [8, 9, 17, 21],
        "test_first": [8, 12, 13, 17, 21],
        "test_second": [8, 12, 13, 17, 21],
        "test_nothing_else_is_changed": [8],
    }


def test_a_module_that_somebody_else_loads_is_not_said_to_be_unused(tmp_path: Path) -> None:
    """As pytest does with plugins: what of it was run nobody knows."""
    path = str(tmp_path / "project" / "plug.py")
    files = {
        "plug.py": "def used():\n    return 1\n",
        "conftest.py": "import pytest\npytest.register_assert_rewrite('plug')\n",
        "test_plug.py": "import plug\n\ndef test_used():\n    assert plug.used()\n",
    }

    records = records_of(
        tmp_path,
        "reaching",
        {"reaching": GUEST.read_text()},
        files,
        {"early": True, "lines": {path: [2]}},
    )

    assert [one.get("unmarked") for one in records] == [[path]]
