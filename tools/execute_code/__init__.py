"""Code that runs in a sandbox, and what came of it."""
