"""The backend that needs no account: a bubblewrap jail on this machine (Linux)."""

DEFAULT_PACKAGES = (
    "ipython",
    "numpy",
    "pandas",
    "matplotlib",
    "e2b-charts",
    "pytest",
    "coverage",
)
"""What an environment holds when nothing else is said. `PROOFBOX_PACKAGES` replaces all of it but
`ipython`, which the interpreter needs; a request's own packages come on top.
"""
