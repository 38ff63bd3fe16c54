"""Reports as pages that people look at: one style, nothing that runs, and all foreign text as text.

`markup` is what HTML is made of, `parts` what our pages are made of, `document` a whole page, and `kinds` knows
how the report of each tool is shown. Nothing here is imported before a page is asked for.
"""
