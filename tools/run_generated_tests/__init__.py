"""Run tests that a model wrote, and say which of them are worth keeping, with the evidence.

`project` is what is tested and `running` runs it; `story` makes results (`events`) of what a run said and
decides whether it may be believed. `guest` is what is sent into the sandbox.
"""
