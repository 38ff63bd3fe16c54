"""The main plot as a PNG: drawn in a sandbox, where matplotlib is; this machine has no need of it."""

import json
import logging
from collections.abc import Sequence

from ...server.sandbox import ProofboxError, Sandbox
from .. import _text
from .charts import colours
from .summary import Model

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 60.0
_CODE = """
import json
import matplotlib.pyplot as plt
plt.rcParams["text.parse_math"] = False
rows = json.loads({data!r})
figure, axes = plt.subplots(figsize=(8, 1.2 + 0.45 * len(rows)), dpi=110)
for place, row in enumerate(reversed(rows)):
    low, high = row["value"] - row["low"], row["high"] - row["value"]
    axes.errorbar(row["value"], place, xerr=[[low], [high]], fmt="o", color=row["colour"], capsize=4, lw=2)
axes.set_yticks(range(len(rows)), [row["name"] for row in reversed(rows)])
axes.set_ylim(-0.6, len(rows) - 0.4)
axes.set_xlim(0, 100)
axes.set_xlabel("pass@1 in %, with 95 % intervals over {tasks} tasks")
axes.grid(axis="x", alpha=0.3)
figure.tight_layout()
plt.show()
"""


async def draw(sandbox: Sandbox, models: Sequence[Model], tasks: int) -> bytes | None:
    """pass@1 of each model with its interval; None where the sandbox cannot draw, which ends no benchmark."""
    colour = colours([one.name for one in models])
    rows = [
        {
            "name": _text.clean(one.name)[:40],
            "value": 100 * found.value,
            "low": 100 * found.low,
            "high": 100 * found.high,
            "colour": colour[one.name],
        }
        for one in models
        if (found := one.pass_at.get(1))
    ]
    code = _CODE.format(data=json.dumps(rows), tasks=tasks)
    try:
        execution = await sandbox.run_code(code, timeout=_TIMEOUT_SECONDS)
    except ProofboxError:
        logger.warning("The plot of a benchmark could not be drawn", exc_info=True)
        return None
    pictures = (result.data.get("image/png") for result in execution.results)
    return next((one for one in pictures if isinstance(one, bytes)), None)
