"""The answer to what starts a run."""

from __future__ import annotations

from api.endpoint import Reply, Strict


class Started(Strict):
    """Work that goes on after the answer: look at the run in `Location` until it has ended."""

    run: str


def started(run: str) -> Reply[Started]:
    """Says where the run can be looked at."""
    return Reply(Started(run=run), location=f"runs/{run}")
