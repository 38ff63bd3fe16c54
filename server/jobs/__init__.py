"""Jobs: work that may take longer than the call that started it.

`Jobs` is the door (`jobs`), `run_or_job` what most tools need. Behind it: `job` is one piece of work,
`questions` are what work asks of its callers,
`ledger` knows what became of which, `archive` is the SQLite file that outlives us, `reports` that file as
the event loop sees it, and `owner` tells whether the process that ran a job is still there.
"""

from .job import Job, JobNotFound, JobState, JobSummary, Progress, Report, State, Work
from .jobs import Jobs, OnProgress, run_or_job
from .questions import Questions, Unanswered
from .settings import JobSettings

__all__ = [
    "Job",
    "JobNotFound",
    "JobSettings",
    "JobState",
    "JobSummary",
    "Jobs",
    "OnProgress",
    "Progress",
    "Questions",
    "Report",
    "State",
    "Unanswered",
    "Work",
    "run_or_job",
]
