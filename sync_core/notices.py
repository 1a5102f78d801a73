"""What happened that a tenant's admins want to know. Ids and counts only, nothing personal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sync_core.model import RunState


class Kind(StrEnum):
    """Stable: receivers tell notices apart by it."""

    RUN_FINISHED = "run.finished"
    RUN_FAILED = "run.failed"
    RUN_HELD = "run.held"
    CONSENT_LOST = "consent.lost"
    REQUEST_DUE = "request.due_soon"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened. The same `notice` id is the same event, however often it is told."""

    tenant: str
    notice: str
    kind: Kind
    sync: str = ""
    run: str = ""
    reason: str = ""
    request: str = ""


KINDS = {
    RunState.SUCCEEDED: Kind.RUN_FINISHED,
    RunState.PARTIAL: Kind.RUN_FINISHED,
    RunState.FAILED: Kind.RUN_FAILED,
    RunState.HELD: Kind.RUN_HELD,
}
"""What the end of a run is told as. That a person dropped a held run is no news to anybody."""
