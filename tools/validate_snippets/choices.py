"""What a caller may choose from; apart from the rest, so that the schema of the tool costs no more."""

from typing import Literal

Format = Literal["markdown", "mdx", "myst", "rst", "python", "notebook", "text"]
Mode = Literal["auto", "isolated", "page"]
