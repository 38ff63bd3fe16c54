"""The host's side of a keeper (`guest.keeper`): its socket, what its answers mean, how a program is driven.

Both backends use it: whatever a sandbox is, the same guest runs in it.
"""
