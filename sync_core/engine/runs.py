"""The life of a run: asked for, held, released or dropped, ended. Every step may be repeated."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from sync_core import messages
from sync_core.engine.context import LOOK_FOR_RESTORED, Context
from sync_core.errors import ConflictError, InputError, NotFoundError, Reason
from sync_core.model import RunState
from sync_core.notices import KINDS, Kind, Notice
from sync_core.schedules import next_after
from sync_core.state.runs import Check, Run, closest, insert_run, load_run, new_run_id, save_run
from sync_core.state.syncs import Sync, load_sync, save_sync
from sync_core.state.tenants import load_tenant, save_tenant

log = logging.getLogger("rollcall.runs")

_TRIES = 8
STUCK_AFTER = timedelta(minutes=30)


async def request_run(context: Context, tenant: str, sync_id: str, *, check: Check = Check.DUE, by_hand: bool = False) -> str:
    """Ask for a run and return its id. While one is active, another follows it instead, and the active one's id is returned.

    `by_hand` also clears a stopped tenant: an admin who starts a run says that consent is there again.
    Raises NotFoundError for an unknown tenant or sync; `by_hand` also for a sync that has ended. Raises InputError for a tenant
    that is being disconnected.
    """
    owner = await load_tenant(context.tables, tenant)
    if owner.stopped == Reason.DISCONNECTED:
        raise InputError("tenant", "is being disconnected: nothing runs for it any more")
    if by_hand and owner.stopped:
        owner.stopped = ""
        await save_tenant(context.tables, owner)
    run = Run(tenant, new_run_id(context.now()), sync_id, requested_at=context.now(), check=check)

    def claim(sync: Sync) -> None:
        if by_hand:
            check_not_ended(sync)
        sync.next_run = next_run_after(sync, context.now())
        if sync.active_run:
            sync.rerun = closest(sync.rerun, check)
        else:
            occupy(sync, run)

    sync = await change_sync(context, tenant, sync_id, claim)
    if sync.active_run == run.run:
        await announce(context, run)
    return sync.active_run


async def revive_run(context: Context, sync: Sync) -> None:
    """Send the messages of a silent run once more: they are repeatable."""
    await stay_alive(context, Run(sync.tenant, sync.active_run, sync.sync, requested_at=context.now()))
    try:
        run = await load_run(context.tables, sync.tenant, sync.active_run)
    except NotFoundError:
        run = Run(sync.tenant, sync.active_run, sync.sync, requested_at=context.now())
        run.check, run.undoes = Check(sync.active_check), sync.active_undoes
        await announce(context, run)
        return
    if run.state.final:
        await clear_active(context, run)
    elif run.state is RunState.QUEUED:
        await send_start(context, run)
    else:
        await send_check(context, run, attempt=0)


async def end_run(context: Context, run: Run, state: RunState, reason: Reason | None = None, detail: str = "") -> None:
    """Close a run by a conditional write, then free its sync for the next one. Repeatable; the first ending stands."""
    if not run.state.final:
        run.state, run.reason, run.detail, run.ended_at = state, str(reason or ""), detail, context.now()
        run.started_at = run.started_at or run.ended_at
        try:
            await save_run(context.tables, run)
        except ConflictError:
            run = await load_run(context.tables, run.tenant, run.run)
            if not run.state.final:
                raise
        log.info("run %s of sync %s ended: %s %s", run.run, run.sync, run.state, run.reason)
    await clear_active(context, run)


async def clear_active(context: Context, run: Run) -> None:
    """Free the sync after a final run, or hand it to the run that was asked for meanwhile."""
    if run.state in KINDS:
        # before the sync forgets the run: whoever dies in between is revived, and tells it again
        await context.notify(Notice(run.tenant, run.run, KINDS[run.state], run.sync, run.run, run.reason))
    follower = Run(run.tenant, new_run_id(context.now()), run.sync, requested_at=context.now())

    def free(sync: Sync) -> None:
        if sync.active_run != run.run:
            return
        if sync.rerun:
            # in the same write, so that a death in between does not lose it
            follower.check = Check(sync.rerun)
            occupy(sync, follower)
            sync.rerun = ""
        else:
            sync.active_run, sync.active_since, sync.active_check, sync.active_undoes = "", None, "", ""
        sync.held = run.reason if run.state is RunState.HELD else ""

    with suppress(NotFoundError):
        sync = await change_sync(context, run.tenant, run.sync, free)
        if sync.active_run == follower.run:
            await announce(context, follower)


async def ask_again(context: Context, run: Run, *, check: Check | None = None) -> None:
    """Let another run follow this one, which could not do all it should, and look as closely, or as `check` says."""

    def note(sync: Sync) -> None:
        if sync.active_run == run.run:
            sync.rerun = closest(sync.rerun, check or run.check)

    await change_sync(context, run.tenant, run.sync, note)


async def release(context: Context, tenant: str, run_id: str) -> str:
    """Let through what a held run stopped at, as far as it went then, and plan anew: returns the id of the new run.

    Raises NotFoundError, or InputError when there is nothing to release.
    """
    run = await load_run(context.tables, tenant, run_id)
    held_mailboxes = run.reasons.get(Reason.DELETIONS_HELD, 0)
    if run.state is not RunState.HELD and not held_mailboxes:
        raise InputError("run", f"is {run.state}: only a held run, or one with held mailboxes, can be released")
    if run.reason == Reason.SOURCE_UNREADABLE:
        raise InputError(
            "run", "was held because the source could not be read: nothing can be released; start a run to try again"
        )

    dropped = run.reason in (Reason.SOURCE_DROPPED, Reason.TARGETS_DROPPED)

    def let_through(sync: Sync) -> None:
        if dropped:
            sync.released_people, sync.released_targets, sync.released_sources = run.people, run.targets, run.sources
        if dropped or held_mailboxes:
            sync.released_deletions = True

    await change_sync(context, tenant, run.sync, let_through)
    return await request_run(context, tenant, run.sync, by_hand=True)


async def drop(context: Context, tenant: str, run_id: str) -> None:
    """Refuse what a held run would do. The next run looks again. Raises NotFoundError, or InputError when it is not held."""
    run = await load_run(context.tables, tenant, run_id)
    if run.state is not RunState.HELD:
        raise InputError("run", f"is {run.state}: only a held run can be dropped")
    run.state = RunState.DROPPED
    await save_run(context.tables, run)


async def cancel(context: Context, tenant: str, run_id: str) -> Run:
    """Have a run write nothing after the batches that are under way. Repeatable.

    Nor does one follow that was asked for meanwhile. Returns the run, cancelled if it had not begun to write.
    Raises NotFoundError, or InputError when it has ended.
    """

    def let_none_follow(sync: Sync) -> None:
        if sync.active_run == run_id:
            sync.rerun = ""

    for _ in range(_TRIES):
        run = await load_run(context.tables, tenant, run_id)
        if run.state.final:
            raise InputError("run", f"is {run.state}: only a run that is under way can be cancelled")
        await change_sync(context, tenant, run.sync, let_none_follow)
        try:
            if run.state is RunState.QUEUED:
                await end_run(context, run, RunState.CANCELLED)
                return run
            if run.state is RunState.RUNNING:
                run.state = RunState.CANCELLING
                await save_run(context.tables, run)
        except ConflictError:
            continue
        await send_check(context, run, attempt=0)
        return run
    raise ConflictError("the run's row keeps changing")


async def stop_tenant(context: Context, tenant: str, reason: Reason) -> None:
    """Note that consent or credential is gone: no run touches the tenant until an admin starts one."""
    for _ in range(_TRIES):
        record = await load_tenant(context.tables, tenant)
        if record.stopped == reason:
            return
        # before it is noted, so that a death in between loses nothing; the same row means the same event
        name = hashlib.sha256(record.etag.encode()).hexdigest()[:32]
        await context.notify(Notice(tenant, f"stopped-{name}", Kind.CONSENT_LOST, reason=reason))
        record.stopped = str(reason)
        try:
            await save_tenant(context.tables, record)
        except ConflictError:
            continue
        log.error("tenant %s stopped: %s", tenant, reason)
        return
    raise ConflictError("the tenant's row keeps changing")


async def change_sync(context: Context, tenant: str, sync_id: str, change: Callable[[Sync], None]) -> Sync:
    """Apply `change` to the sync's row by a conditional write, again on the newest row when somebody else was first."""
    for _ in range(_TRIES):
        sync = await load_sync(context.tables, tenant, sync_id, ended=True)
        change(sync)
        try:
            await save_sync(context.tables, sync)
        except ConflictError:
            continue
        return sync
    raise ConflictError("the sync's row keeps changing")


def check_not_ended(sync: Sync) -> None:
    """Raises NotFoundError for a sync that nobody is to see any more."""
    if sync.ended:
        raise NotFoundError("this sync does not exist")


def next_run_after(sync: Sync, now: datetime) -> datetime | None:
    """The next time of the sync's schedule after `now`; None when it only runs on request or is paused."""
    if sync.ended:
        return now + LOOK_FOR_RESTORED
    if sync.paused:
        return None
    return next_after(sync.definition.schedule, now, spread_seed=f"{sync.tenant}/{sync.sync}")


def occupy(sync: Sync, run: Run) -> None:
    """Note in a sync's row which run it now has, and what that one was asked for: its own row may come later."""
    sync.active_run, sync.active_since = run.run, run.requested_at
    sync.active_check, sync.active_undoes = str(run.check), run.undoes


async def stay_alive(context: Context, run: Run, *, asleep: float = 0) -> None:
    """Say that a run is not silent, nor will be for the seconds it is `asleep`: who revived it would do its work twice."""

    def touch(sync: Sync) -> None:
        if sync.active_run == run.run:
            sync.active_since = context.now() + timedelta(seconds=asleep)

    with suppress(NotFoundError):
        await change_sync(context, run.tenant, run.sync, touch)


async def send_start(context: Context, run: Run, *, delay: float = 0) -> None:
    """Enqueue the run's planning."""
    message = messages.SyncStart(run.tenant, run.sync, run.run)
    await context.queues.send(messages.SYNC_START, messages.as_dict(message), delay=delay)


async def send_chunk(context: Context, run: Run, number: int, *, part: int = 0, delay: float = 0) -> None:
    """Enqueue one chunk."""
    message = messages.SyncChunk(run.tenant, run.sync, run.run, number, part)
    await context.queues.send(messages.SYNC_CHUNK, messages.as_dict(message), delay=delay)


async def send_check(context: Context, run: Run, *, attempt: int) -> None:
    """Enqueue a look at whether the run is complete; the first ones come soon."""
    message = messages.RunCheck(run.tenant, run.sync, run.run, attempt)
    await context.queues.send(messages.RUN_CHECK, messages.as_dict(message), delay=min(2**attempt, 60))


async def announce(context: Context, run: Run) -> None:
    """Make the row of a run that its sync knows as active, and have it planned."""
    try:
        await insert_run(context.tables, run)
    except ConflictError:
        log.info("run %s was announced already", run.run)
    await send_start(context, run)
