"""Tests of our own among those of the suite: they show that a failure would be seen.

A suite that makes pytest report success whatever happens does it to them too. They are functions of the
suite's own modules, so that its conftest files and fixtures have the same hold on them.
"""

from __future__ import annotations

from typing import Any

import pytest

_FAILING = "def {name}():\n    seen = {number}\n    assert seen == {number} + 1\n"
_PASSING = "def {name}():\n    seen = {number}\n    assert seen == {number}\n"
_RAISING = "def {name}():\n    raise ValueError({number})\n"
_KINDS = {"failing": _FAILING, "passing": _PASSING, "raising": _RAISING}


def insert(items: list[pytest.Item], wanted: list[dict[str, Any]]) -> set[str]:
    """Put the probes among the items, each in the module of an item; their ids.

    Each of `wanted` has a `name`, a `kind`, and numbers: `place` between 0 and 1, `number` and `side`.
    """
    hosts = [item for item in items if isinstance(item.parent, (pytest.Module, pytest.Class))]
    made: set[str] = set()
    for probe in wanted:
        if not hosts:
            break
        host = hosts[int(probe["place"] * len(hosts))]
        item = _make(host, probe)
        at = items.index(host) + probe["side"]
        items.insert(at, item)
        made.add(item.nodeid)
    return made


def _make(host: pytest.Item, probe: dict[str, Any]) -> pytest.Item:
    module = host.getparent(pytest.Module)
    assert module is not None
    source = _KINDS[probe["kind"]].format(name=probe["name"], number=probe["number"])
    namespace: dict[str, Any] = {"__name__": module.name}
    exec(compile(source, str(module.path), "exec"), namespace)  # noqa: S102 - our own text
    function: Any = pytest.Function  # its constructor has no types
    return function.from_parent(module, name=probe["name"], callobj=namespace[probe["name"]])
