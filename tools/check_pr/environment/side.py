"""One side of a pull request, ready to run."""

from dataclasses import dataclass

from ....server.programs import OpenSandbox
from ..pull.pull import Tree
from .environment import Environment


@dataclass(frozen=True, slots=True)
class Side:
    """A tree (of the project's folder), its environment, and how sandboxes with it are opened: in a jail that
    no other code of the principal shares.
    """

    tree: Tree
    environment: Environment
    open_sandbox: OpenSandbox
