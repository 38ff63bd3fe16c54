"""What a caller may choose from; apart from the rest, so that the schema of the tool costs no more."""

from typing import Literal

Format = Literal["markdown", "mdx", "myst", "rst", "python", "notebook", "text"]
Mode = Literal["auto", "isolated", "page"]
Updating = Literal["no", "patch", "write"]
"""What to do about shown outputs that are wrong: nothing, a patch, or to write the real ones into the files."""
