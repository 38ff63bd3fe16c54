"""The review: Markdown, annotations and SARIF from one report."""
