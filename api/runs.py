"""Runs: started, looked at, cancelled, released, dropped, undone, replayed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from api.endpoint import ADMINS, READERS, Call, Endpoints, Listed, Reply, RunId, Strict, SyncId
from api.paging import Paging, page_of
from api.started import Started, started
from api.syncs import SyncPath
from sync_core.engine import retries, runs, undo
from sync_core.errors import InputError
from sync_core.model import MailboxResult, Replica, RunState
from sync_core.state import replicas as register
from sync_core.state.runs import Check, Run, all_chunks, load_run, newest_runs
from sync_core.state.syncs import load_sync

endpoints = Endpoints("Runs")

MOST_MAILBOXES = 1000


class RunPath(Strict):
    """A run."""

    run: RunId


class StartOptions(Strict):
    """How closely a run looks: what is due, what users changed in all mailboxes, or everything anew."""

    check: Literal["due", "changes", "everything"] = "due"


class RunsPage(Paging):
    """Which runs."""

    sync: SyncId | None = Field(default=None, description="Only the runs of this sync")


class CountsShown(Strict):
    """What was done to contacts."""

    created: int
    updated: int
    deleted: int
    photos: int


class SpentShown(Strict):
    """What was asked of Microsoft Graph."""

    requests: int
    http_calls: int
    throttled: int


class RunShown(Strict):
    """A run. `mailboxes` counts them by outcome, `would` what a held run would do to people and targets.

    `photos` counts people by what became of their photos, `photo_problem` says why reading these was given up.
    `source_problem` says which of several calendars could not be read: what they said last was mirrored.
    """

    run: str
    sync: str
    state: RunState
    reason: str | None
    detail: str | None
    check: Check
    undoes: str | None
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    people: int
    targets: int
    sources: dict[str, int]
    set_aside: int
    mailboxes: dict[str, int]
    reasons: dict[str, int]
    counts: CountsShown
    would: dict[str, int] | None
    photos: dict[str, int] | None
    photo_problem: str | None
    source_problem: str | None
    graph: SpentShown


class ResultShown(Strict):
    """What a run did in one mailbox."""

    mailbox: str
    outcome: str
    reason: str | None
    detail: str | None
    counts: CountsShown


class SetAsideShown(Strict):
    """A mailbox that cannot be reached at present, why, and when it is tried again."""

    mailbox: str
    reason: str
    next_try: datetime | None


class RetryChoice(Strict):
    """Which of the mailboxes set aside to try again: none named means all."""

    mailboxes: tuple[UUID, ...] = Field(default=(), max_length=MOST_MAILBOXES)


@endpoints.post("syncs/{sync}/runs", roles=ADMINS, audits="run.started", status=202, idempotent=True)
async def start_run(call: Call, path: SyncPath, body: StartOptions) -> Reply[Started]:
    """Start a run.

    While one is active its id is returned, and another follows it.
    """
    return started(await runs.request_run(call.context, call.tenant, path.sync, check=Check(body.check), by_hand=True))


@endpoints.get("runs", roles=READERS)
async def list_runs(call: Call, query: RunsPage) -> Listed[RunShown]:
    """Runs, the newest first."""
    found = newest_runs(call.context.tables, call.tenant, start=query.page, sync=query.sync or "")
    return await page_of(found, query, lambda run: run.run, shown)


@endpoints.get("runs/{run}", roles=READERS)
async def read_run(call: Call, path: RunPath) -> RunShown:
    """One run: state, counts and cost."""
    return shown(await load_run(call.context.tables, call.tenant, path.run))


@endpoints.get("runs/{run}/mailboxes", roles=READERS)
async def list_results(call: Call, path: RunPath, query: Paging) -> Listed[ResultShown]:
    """What a run did in each mailbox, as far as it has got. Kept for 60 days."""
    run = await load_run(call.context.tables, call.tenant, path.run)
    return await page_of(_results(call, run, query.page), query, lambda found: found[0], lambda found: _result(found[1]))


@endpoints.post("runs/{run}/cancel", roles=ADMINS, audits="run.cancelled", status=202)
async def cancel_run(call: Call, path: RunPath) -> Reply[RunShown]:
    """Let a run write nothing after what it is writing now.

    It ends as cancelled once its workers have stopped. The next run goes on where it broke off.
    """
    return Reply(shown(await runs.cancel(call.context, call.tenant, path.run)), location=f"runs/{path.run}")


@endpoints.post("runs/{run}/release", roles=ADMINS, audits="run.released", status=202, idempotent=True)
async def release_run(call: Call, path: RunPath) -> Reply[Started]:
    """Let a held run's change through: starts a run that may go as far."""
    return started(await runs.release(call.context, call.tenant, path.run))


@endpoints.post("runs/{run}/drop", roles=ADMINS, audits="run.dropped")
async def drop_run(call: Call, path: RunPath) -> RunShown:
    """Refuse a held run's change."""
    await runs.drop(call.context, call.tenant, path.run)
    return shown(await load_run(call.context.tables, call.tenant, path.run))


@endpoints.post("runs/{run}/undo", roles=ADMINS, audits="run.undone", status=202, idempotent=True)
async def undo_run(call: Call, path: RunPath) -> Reply[Started]:
    """Bring the mailboxes back to what they held before a run, and pause the sync."""
    return started(await undo.undo(call.context, call.tenant, path.run))


@endpoints.post("runs/{run}/replay", roles=ADMINS, audits="run.replayed", status=202, idempotent=True)
async def replay_run(call: Call, path: RunPath) -> Reply[Started]:
    """Serve the mailboxes anew in which a run failed: starts a run that lists their folders first."""
    return started(await retries.replay(call.context, call.tenant, path.run))


@endpoints.get("syncs/{sync}/set-aside", roles=READERS)
async def list_set_aside(call: Call, path: SyncPath, query: Paging) -> Listed[SetAsideShown]:
    """The mailboxes that cannot be reached at present, by id."""
    await load_sync(call.context.tables, call.tenant, path.sync)
    found = register.set_aside(call.context.tables, call.tenant, path.sync, start=query.page)
    return await page_of(found, query, lambda replica: replica.mailbox, _set_aside)


@endpoints.post("syncs/{sync}/set-aside/retry", roles=ADMINS, audits="mailboxes.retried", status=202, idempotent=True)
async def retry_set_aside(call: Call, path: SyncPath, body: RetryChoice) -> Reply[Started]:
    """Try mailboxes again now that were set aside: starts a run that looks at them."""
    mailboxes = frozenset(map(str, body.mailboxes))
    return started(await retries.retry_set_aside(call.context, call.tenant, path.sync, mailboxes))


def shown(run: Run) -> RunShown:
    """What the API says of a run."""
    return RunShown(
        run=run.run,
        sync=run.sync,
        state=run.state,
        reason=run.reason or None,
        detail=run.detail or None,
        check=run.check,
        undoes=run.undoes or None,
        requested_at=run.requested_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        people=run.people,
        targets=run.targets,
        sources=run.sources,
        set_aside=run.set_aside,
        mailboxes=run.outcomes,
        reasons=run.reasons,
        counts=CountsShown(**asdict(run.counts)),
        would=run.would or None,
        photos=run.photos or None,
        photo_problem=run.photo_problem or None,
        source_problem=run.source_problem or None,
        graph=SpentShown(**asdict(run.spent)),
    )


async def _results(call: Call, run: Run, place: str) -> AsyncIterator[tuple[str, MailboxResult]]:
    """Results from a place on: the number of a chunk, and of the result in it."""
    try:
        chunk, _, at = place.partition(".")
        first, skip = int(chunk or 0), int(at or 0)
    except ValueError:
        raise InputError("page", "must be the next of another page, as it was") from None
    async for chunk_row in all_chunks(call.context.tables, run, start=first):
        for number, result in enumerate(chunk_row.results):
            if chunk_row.number > first or number >= skip:
                yield f"{chunk_row.number}.{number}", result


def _result(result: MailboxResult) -> ResultShown:
    return ResultShown(
        mailbox=result.mailbox,
        outcome=result.outcome,
        reason=result.reason or None,
        detail=result.detail or None,
        counts=CountsShown(**asdict(result.counts)),
    )


def _set_aside(replica: Replica) -> SetAsideShown:
    return SetAsideShown(mailbox=replica.mailbox, reason=replica.reason, next_try=replica.due)
