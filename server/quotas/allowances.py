"""What one principal may use."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowances:
    """Infinite where there is no limit.

    Attributes:
        calls: that run at a time.
        sessions: that exist at a time.
        sandbox_seconds: a day, of all sandboxes together, for as long as they are open.
        usd: a day, for models that are asked.
    """

    calls: float = math.inf
    sessions: float = math.inf
    sandbox_seconds: float = math.inf
    usd: float = math.inf
