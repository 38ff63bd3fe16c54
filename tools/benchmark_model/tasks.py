"""Where tasks come from."""

from pathlib import Path

from .builtin import builtin_tasks
from .formats import read_tasks
from .task import Task

BUILTIN = "builtin"


def load_tasks(source: str | Path) -> dict[str, Task]:
    """Return the tasks of `builtin` or of a file, by id, in their order.

    Raises:
        InvalidInput: the file cannot be read or a row is no task; the message names file and line.
    """
    return builtin_tasks() if source == BUILTIN else read_tasks(Path(source))
