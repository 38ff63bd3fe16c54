"""How much each principal may use: `allowances` says what there is, `quotas` counts, `usage` keeps the count."""
