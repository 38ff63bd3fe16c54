"""Names that documentation uses without importing them, because everybody imports them alike."""

import re
from collections.abc import Collection, Iterable

CONVENTIONAL: dict[str, str] = {
    "ak": "import awkward as ak",
    "alt": "import altair as alt",
    "cs": "import polars.selectors as cs",
    "da": "import dask.array as da",
    "dd": "import dask.dataframe as dd",
    "go": "import plotly.graph_objects as go",
    "gpd": "import geopandas as gpd",
    "jnp": "import jax.numpy as jnp",
    "mpl": "import matplotlib as mpl",
    "nn": "from torch import nn",
    "np": "import numpy as np",
    "nx": "import networkx as nx",
    "pa": "import pyarrow as pa",
    "pc": "import pyarrow.compute as pc",
    "pd": "import pandas as pd",
    "pl": "import polars as pl",
    "plt": "import matplotlib.pyplot as plt",
    "pq": "import pyarrow.parquet as pq",
    "px": "import plotly.express as px",
    "sa": "import sqlalchemy as sa",
    "sns": "import seaborn as sns",
    "sp": "import scipy as sp",
    "st": "import streamlit as st",
    "tf": "import tensorflow as tf",
    "xr": "import xarray as xr",
    "Path": "from pathlib import Path",
    "date": "from datetime import date",
    "timedelta": "from datetime import timedelta",
}

STANDARD = frozenset(
    {
        "asyncio",
        "collections",
        "datetime",
        "functools",
        "io",
        "itertools",
        "json",
        "logging",
        "math",
        "operator",
        "os",
        "random",
        "re",
        "sys",
        "time",
    }
)
"""Modules of the standard library that documentation uses without importing them."""

_DATETIME_MODULE = re.compile(r"\bdatetime\.(?:datetime|date|time|timedelta|timezone|UTC)\b")


def imports_for(names: Iterable[str], source: str, modules: Collection[str] = ()) -> dict[str, str]:
    """Return the import line for each name that has a conventional one.

    `modules` are importable top modules that may be used under their own name. `source` tells
    `datetime` the class from `datetime` the module.
    """
    found: dict[str, str] = {}
    for name in sorted(names):
        if name == "datetime" and not _DATETIME_MODULE.search(source):
            found[name] = "from datetime import datetime"
        elif name in CONVENTIONAL:
            found[name] = CONVENTIONAL[name]
        elif name in STANDARD or name in modules:
            found[name] = f"import {name}"
    return found
