"""Several proofbox services that work as one: what they share, and how each knows of the others.

`store` is the one interface to what is shared; `sqlite`, `redis` and `postgres` keep it, and `address`
opens the one that is configured. `team` stands on it: which replicas live, how many sandboxes there are.
"""
