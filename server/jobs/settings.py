"""What an operator may choose about jobs."""

from dataclasses import dataclass

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class JobSettings:
    """Times in seconds.

    Attributes:
        max_running: jobs that this process runs at one time, but for those that wait for a client's answer.
        max_running_per_principal: the same for each principal, those included.
        look_seconds: how often a waiting call looks for progress.
        beat_seconds: how often the progress of running jobs is written down for other processes,
            and their wish to cancel one is heard.
        lost_seconds: a job of a process that cannot be seen from here (another container or machine)
            is taken for interrupted when it was not heard of for so long.
        cancel_seconds: how long a call waits for the end of a job that it cancels.
        close_seconds: how long the jobs have to clean up when proofbox stops.
        busy_seconds: how long to wait while another process writes to the file.
        max_age_seconds: reports are deleted after this.
        max_bytes: the oldest reports are deleted beyond this, those of all principals together. The
            newest is always kept.
    """

    max_running: int = 32
    max_running_per_principal: int = 4
    look_seconds: float = 0.5
    beat_seconds: float = 5.0
    lost_seconds: float = 60.0
    cancel_seconds: float = 10.0
    close_seconds: float = 5.0
    busy_seconds: float = 5.0
    max_age_seconds: float = 30 * _DAY
    max_bytes: int = 64 * 1024**2
