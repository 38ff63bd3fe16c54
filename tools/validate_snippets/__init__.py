"""Documentation snippets: find them, work out what each needs, judge what it printed.

Nothing in this package runs code. `extract` turns files into snippets with exact positions, `plan`
says what to run before a snippet, `oracles` compares what was shown with what was printed, `rewrite`
puts the real output in its place.
"""
