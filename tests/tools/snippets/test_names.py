"""What snippets need and define."""

import pytest

from proofbox.tools.validate_snippets.names import analyse


@pytest.mark.parametrize(
    ("source", "needs"),
    [
        pytest.param("x = 1\nprint(x)", "", id="defined"),
        pytest.param("print(x)\nx = 1", "x", id="used-before-it-is-defined"),
        pytest.param("x = x + 1", "x", id="itself"),
        pytest.param("x += 1", "x", id="augmented"),
        pytest.param("def f():\n    return y\ny = 1\nf()", "", id="function-sees-later-names"),
        pytest.param("def f():\n    return y\nf()", "y", id="function-needs"),
        pytest.param("def f(a, *b, c=d, **e):\n    g = a\n    return g, b, c, e", "d", id="parameters"),
        pytest.param("@app.get('/')\ndef f(x: Item) -> Out: ...", "app Item Out", id="decorator-annotation"),
        pytest.param("from __future__ import annotations\ndef f(x: Item): ...", "", id="future"),
        pytest.param("class A(B):\n    x = 1\n    y = x\n    def f(self):\n        return z", "B z", id="class"),
        pytest.param("class A:\n    x: C = 1", "C", id="class-annotation"),
        pytest.param("[i for i in xs if i > n]", "xs n", id="comprehension"),
        pytest.param("[i for i in range(3)]\nprint(i)", "i", id="comprehension-does-not-leak"),
        pytest.param("[(y := i) for i in range(3)]\nprint(y)", "", id="walrus-leaks"),
        pytest.param("{k: v for k, v in d.items()}", "d", id="dict-comprehension"),
        pytest.param("f = lambda a, b=c: a + b + d", "c d", id="lambda"),
        pytest.param("for i in xs:\n    pass\nprint(i)", "xs", id="loop-variable-leaks"),
        pytest.param("with open('x') as f, g() as h:\n    f, h", "g", id="with"),
        pytest.param("try:\n    import a\nexcept E as e:\n    print(e)", "E", id="except"),
        pytest.param("import a.b\nimport c as d\nfrom e import f as g\na, d, g", "", id="imports"),
        pytest.param("import a.b as c\na", "a", id="import-as-binds-only-the-alias"),
        pytest.param("x = 1\ndel x\nprint(x)", "x", id="deleted"),
        pytest.param("match p:\n    case [a, *b, {'k': c, **d}, P(x=e) as f]:\n        a, b, c, d, e, f", "p P", id="match"),
        pytest.param("def f():\n    global g\n    g = 1\nf()\nprint(g)", "", id="global"),
        pytest.param("async def f():\n    await g()\nawait f()", "g", id="top-level-await"),
        pytest.param("x: int", "", id="annotation-only"),
        pytest.param("x: int\nprint(x)", "x", id="annotation-binds-nothing"),
        pytest.param("print(__name__, __file__, len)", "", id="always-there"),
        pytest.param("%matplotlib inline\n!pip install x\nplt.plot()", "plt", id="magics"),
        pytest.param("def f():\n    def g():\n        return h\n    h = 1\n    return g", "", id="closure"),
        pytest.param("if TYPE_CHECKING:\n    from a import B\nB()", "TYPE_CHECKING B", id="type-checking"),
    ],
)  # fmt: skip
def test_needed_names_are_those_that_a_module_would_miss(source: str, needs: str) -> None:
    """Names are followed in the order and the scopes in which Python would run the code."""
    assert analyse(source).needs == set(needs.split())


def test_definitions_touches_and_stars_are_told() -> None:
    """What a snippet leaves behind, what it changes, and where anything may come from."""
    names = analyse(
        "from m import *\nx = 1\ndf['a'] = 2\nitems.append(x)\ndel d[0]\n@app.get\ndef f(): ..."
    )

    assert names.defines == {"x", "f"}
    assert names.touches == {"df", "items", "d", "app"}
    assert names.stars == ("m",)


def test_what_does_not_parse_needs_nothing() -> None:
    """Text that is not Python gives no names."""
    assert not analyse("x = = 1").parses
    assert not analyse("(" * 10_000).parses
