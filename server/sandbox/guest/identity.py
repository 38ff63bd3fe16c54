"""Who user code is in this session, where that is not simply who we are.

Set once, in the process that becomes the session's keeper; everything that starts or kills user code asks here.
A jail has neither: its sessions are in pid namespaces, and have the jail's one user.
"""

from __future__ import annotations

user: int | None = None  # the user and group that user code gets; None for our own
in_pid_namespace = True  # else what belongs to the session is what runs as `user`


def become(number: int, *, namespaces: bool) -> None:
    """User code of this process's session is to run as `number`."""
    global user, in_pid_namespace
    user, in_pid_namespace = number, namespaces
