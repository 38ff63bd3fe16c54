"""What objects look like: MIME bundles, chart data and table data.

Chart data is what the package `e2b_charts` makes of a matplotlib figure, table data what E2B's code interpreter
makes of a pandas DataFrame (`to_dict(orient="list")`), so that both backends show the same.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

CHART = "application/vnd.e2b.chart+json"
TABLE = "application/vnd.e2b.table+json"

# A table is meant to be read by a client, not to move a data set.
_MOST_CELLS = 100_000


class _ChartFormatter(BaseFormatter):
    mime = CHART
    format_type = Unicode(CHART)
    print_method = ObjectName("_repr_e2b_chart_")
    _return_type = dict

    def pop(self, typ: Any, default: Any = None) -> Any:
        """Nothing: IPython takes figures from every formatter when a picture format is chosen."""
        return default


class _TableFormatter(BaseFormatter):
    mime = TABLE
    format_type = Unicode(TABLE)
    print_method = ObjectName("_repr_e2b_table_")
    _return_type = dict


def register(shell: InteractiveShell) -> None:
    """Teach the shell's display formatter both; each is looked up when such an object first appears."""
    display: Any = shell.display_formatter
    for kind, module, name, convert in (
        (_ChartFormatter, "matplotlib.figure", "Figure", _chart),
        (_TableFormatter, "pandas", "DataFrame", _table),
        (_TableFormatter, "pandas.core.frame", "DataFrame", _table),
    ):
        if kind.mime not in display.formatters:
            display.formatters[kind.mime] = kind(parent=display)
        display.formatters[kind.mime].for_type_by_name(module, name, convert)


def _chart(figure: Any) -> dict[str, Any] | None:
    try:
        import e2b_charts

        charts: Any = e2b_charts  # its dict has no type arguments
        return charts.chart_figure_to_dict(figure) or None
    except Exception:  # noqa: BLE001 - a figure without chart data is still a picture
        return None


def _table(frame: Any) -> dict[str, Any] | None:
    if frame.size > _MOST_CELLS:
        return None
    try:
        return json.loads(frame.to_json(orient="split", date_format="iso"), object_hook=_by_column)
    except Exception:  # noqa: BLE001 - a table that has no JSON form is still text and HTML
        return None


def _by_column(split: dict[str, Any]) -> dict[str, Any]:
    if split.keys() != {"columns", "index", "data"}:
        return split
    return {
        str(name): [row[at] for row in split["data"]] for at, name in enumerate(split["columns"])
    }


def jsonable(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """The bundle with `bytes` as base64 and everything else as JSON takes it."""
    ready: dict[str, Any] = {}
    for kind, content in bundle.items():
        if isinstance(content, bytes):
            content = base64.b64encode(content).decode()
        try:
            json.dumps(content)
        except (TypeError, ValueError):
            content = repr(content)
        ready[str(kind)] = content
    return ready
