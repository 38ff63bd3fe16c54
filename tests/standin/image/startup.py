"""What E2B's kernels add to IPython's display: chart data, table data, and lists and dicts as JSON."""

# pyright: basic, reportUndefinedVariable=false, reportOptionalMemberAccess=false, reportArgumentType=false
# pyright: reportReturnType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false
# pyright: reportOptionalSubscript=false

import json
import sys

from IPython.core.formatters import BaseFormatter, JSONFormatter
from traitlets.traitlets import ObjectName, Unicode


class Data(BaseFormatter):
    format_type = Unicode("e2b/data")
    print_method = ObjectName("_repr_e2b_data_")
    _return_type = (dict, str)

    def __call__(self, obj):
        pandas = sys.modules.get("pandas")
        if pandas is None or not isinstance(obj, pandas.DataFrame):
            return super().__call__(obj)
        columns = obj.to_dict(orient="list")
        return {
            name: [v.isoformat() if isinstance(v, pandas.Timestamp) else v for v in column]
            for name, column in columns.items()
        }


class Chart(BaseFormatter):
    format_type = Unicode("e2b/chart")
    print_method = ObjectName("_repr_e2b_chart_")
    _return_type = (dict, str)

    def __call__(self, obj):
        figure = sys.modules.get("matplotlib.figure")
        if figure is None or not isinstance(obj, figure.Figure):
            return super().__call__(obj)
        from e2b_charts import chart_figure_to_dict

        return chart_figure_to_dict(obj)


class Json(JSONFormatter):
    def __call__(self, obj):
        if isinstance(obj, (list, dict)):
            try:
                return json.loads(json.dumps(obj)), {"expanded": True}
            except (TypeError, ValueError):
                pass
        return super().__call__(obj)


formatter = get_ipython().display_formatter  # noqa: F821 - IPython runs this file
formatter.formatters["e2b/data"] = Data(parent=formatter)
formatter.formatters["e2b/chart"] = Chart(parent=formatter)
formatter.formatters["application/json"] = Json(parent=formatter)
for name in (
    "Data",
    "Chart",
    "Json",
    "formatter",
    "BaseFormatter",
    "JSONFormatter",
    "ObjectName",
    "Unicode",
):
    del globals()[name]
del name
