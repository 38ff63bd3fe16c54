"""What an operator may choose about sessions."""

from dataclasses import dataclass, field

from ..sandbox import Limits


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Times in seconds.

    Attributes:
        idle_seconds: a session that nobody uses for so long is closed.
        max_age_seconds: a sandbox older than this is replaced before the session's next call. A
            backend with a hard limit of its own can only make it shorter.
        rotation_margin_seconds: how long before the backend's hard limit a sandbox is replaced: more
            than the longest call, so that none meets the limit while it runs. At most half the limit.
        max_sessions: sandboxes at one time, those being created or closed included.
        max_sessions_per_principal: the same for each principal; None for no such limit.
        queue_length: calls that may wait for a sandbox, and in each session for the call before.
        queue_wait_seconds: how long a call waits for a sandbox before it is told to come back.
        ttl_seconds: life that a heartbeat asks for, three times in that period, on backends whose
            sandboxes die by themselves. Must be the backend's own.
        sweep_seconds: time between two searches for sandboxes of dead processes.
        close_seconds: how long the end of one sandbox may take before we go on without it. At the exit
            that of all together, with a fifth more for the backend.
        warm_principal: the one principal of a server that has only one. A sandbox belongs to its
            owner from birth, so nothing can be made ready for somebody who is not known yet.
        pool_size: sandboxes kept ready for `warm_principal`. They cost money on E2B, and each is a
            place of `max_sessions`.
        limits: what every sandbox may use.
    """

    idle_seconds: float = 900.0
    max_age_seconds: float = 6 * 3600.0
    rotation_margin_seconds: float = 900.0
    max_sessions: int = 32
    max_sessions_per_principal: int | None = None
    queue_length: int = 16
    queue_wait_seconds: float = 30.0
    ttl_seconds: float = 300.0
    sweep_seconds: float = 300.0
    close_seconds: float = 10.0
    warm_principal: str | None = None
    pool_size: int = 0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.pool_size and self.warm_principal is None:
            raise ValueError(
                "pool_size needs a server with one principal: a sandbox is never handed to an owner"
                " for whom it was not made"
            )
