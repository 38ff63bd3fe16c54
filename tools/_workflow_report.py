"""What the reports of all workflows share."""

from pydantic import BaseModel, Field

from ..server.jobs import State
from ._verdict import Verdict


class ProgressReport(BaseModel):
    """How far it is. What is counted, and whether a total is known, depends on the tool."""

    done: int
    total: int | None = None
    message: str = Field(default="", description="What it is at.")


class JobNote(BaseModel):
    """The job that has the whole report, or will have it."""

    job_id: str = Field(description="For get_job.")
    state: State
    elapsed_seconds: float
    progress: ProgressReport | None = None


class Rest(BaseModel):
    """What this answer leaves out. get_job has it: by `offset`, and with `full` for texts that were cut."""

    results: int = Field(default=0, description="Results after those shown.")
    offset: int | None = Field(default=None, description="Where they begin.")
    characters: int = Field(default=0, description="Cut out of the texts shown.")


class WorkflowReport(BaseModel):
    """What every workflow reports. Fields that would be empty are left out."""

    verdict: Verdict = Field(
        description="passed; failed: the code did it; errored: a sandbox did; skipped: nothing ran."
    )
    reason: str
    rest: Rest | None = None
    job: JobNote | None = None
