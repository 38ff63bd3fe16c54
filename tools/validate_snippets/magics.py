"""IPython's line and cell magics, which documentation of notebooks is full of."""

import re

_LINE = re.compile(r"(?P<indent>[ \t]*)(?P<magic>[%!](?!=)\S.*|\?{1,2}[\w.]+|[\w.]+\?{1,2})$")
_ASSIGNED = re.compile(r"(?P<indent>[ \t]*)(?P<target>[\w, ]+?)\s*=\s*(?P<magic>[!%]\S.*)$")
_CELL = re.compile(r"\s*%%(?P<name>\w+)")
# Cell magics whose body is Python that runs as it stands.
_PYTHON_CELLS = frozenset({"time", "timeit", "capture", "prun"})


def without_magics(code: str) -> str:
    """Return the code with every magic made a `pass`, line for line."""
    if "%" not in code and "!" not in code and "?" not in code:
        return code
    lines = code.split("\n")
    cell = _CELL.match(code)
    if cell and cell["name"] not in _PYTHON_CELLS:
        return "\n".join("" for _ in lines)
    return "\n".join(_plain(line) for line in lines)


def magics(code: str) -> tuple[tuple[int, str], ...]:
    """Return the magics of a snippet with their lines, from 1."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(code.split("\n"), 1):
        match = _LINE.match(line) or _ASSIGNED.match(line)
        if match:
            found.append((number, match["magic"]))
    return tuple(found)


def only_magics(code: str) -> bool:
    """Whether nothing of the code is Python: without its magics, none of it would run."""
    cell = _CELL.match(code)
    if cell:
        return cell["name"] not in _PYTHON_CELLS
    found = {number for number, _ in magics(code)}
    lines = enumerate(code.split("\n"), 1)
    told = [n for n, line in lines if line.strip() and not line.lstrip().startswith("#")]
    return bool(found) and found.issuperset(told)


def _plain(line: str) -> str:
    if match := _LINE.match(line):
        return f"{match['indent']}pass"
    if match := _ASSIGNED.match(line):
        return f"{match['indent']}{match['target']} = None"
    return line
