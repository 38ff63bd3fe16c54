"""The HTTP service: who may come in, how much each may use, and what an operator sees of it.

Nothing is imported here: settings are read at every start, and the rest only by `proofbox serve --http`.
"""
