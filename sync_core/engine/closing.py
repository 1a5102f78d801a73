"""`run-check`: is the run complete? Re-send what fell silent, stop what goes wrong everywhere, and close."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta

from sync_core import brakes
from sync_core.engine import runs
from sync_core.engine.context import CHUNKS_AHEAD, Context
from sync_core.engine.runs import STUCK_AFTER
from sync_core.errors import NotFoundError, Reason
from sync_core.messages import RunCheck
from sync_core.model import MailboxResult, ReplicaState, RunState
from sync_core.state import replicas as register
from sync_core.state.choices import remove_choices
from sync_core.state.runs import Chunk, Run, all_chunks, count_failures, load_run, open_chunks
from sync_core.state.syncs import Sync, load_sync, remove_sync

_RESEND_EVERY = 15
"""Looks between two re-sendings of open chunks: a quarter of an hour once looks are a minute apart."""


async def check_run(context: Context, message: RunCheck) -> None:
    """Look at a run's chunks. Repeatable; ends by itself when the run is final or gone."""
    try:
        run = await load_run(context.tables, message.tenant, message.run)
    except NotFoundError:
        return
    sync: Sync | None = None
    with suppress(NotFoundError):  # a run that deletes its sync may die after it has done so
        sync = await load_sync(context.tables, message.tenant, message.sync, ended=True)
    if run.state.final:
        await runs.clear_active(context, run)
        return
    if run.state is RunState.QUEUED:
        return
    if sync is not None and not await _is_over(context, run):
        await _wait(context, run, sync, message)
        return
    chunks = [chunk async for chunk in all_chunks(context.tables, run)]
    done = [chunk for chunk in chunks if chunk.done]
    results = [result for chunk in done for result in chunk.results]
    deleting = sync is None or sync.deleting
    # where everything is to go anyway, there is nothing to hold
    hold_nothing = deleting or run.state is RunState.CANCELLING
    alike = None if hold_nothing else brakes.failures_alike(_news(chunks, results), run.targets)
    if len(done) < run.chunks and alike is None and sync is not None:
        await _wait(context, run, sync, message)
        return
    _sum_up(run, chunks, results)
    run.set_aside = await register.count_set_aside(context.tables, run.tenant, run.sync)
    purge = sync is not None and sync.definition.purge_after_sync
    await _close(context, run, deleting=deleting, purge=purge, alike=alike, chunks=chunks)


async def _is_over(context: Context, run: Run) -> bool:
    """Whether all chunks may be done, or too many mailboxes failed alike: only then it pays to read every chunk."""
    if not await open_chunks(context.tables, run):
        return True
    return brakes.may_be_alike(await count_failures(context.tables, run), run.targets)


async def _wait(context: Context, run: Run, sync: Sync, message: RunCheck) -> None:
    """Look again later; now and then send what is still open once more."""
    if sync.active_since is not None and context.now() - sync.active_since >= STUCK_AFTER / 3:
        await runs.stay_alive(context, run)
    if message.attempt % _RESEND_EVERY == _RESEND_EVERY - 1:
        for number, part in (await open_chunks(context.tables, run))[:CHUNKS_AHEAD]:
            await runs.send_chunk(context, run, number, part=part)
    await runs.send_check(context, run, attempt=message.attempt + 1)


def _news(chunks: list[Chunk], results: list[MailboxResult]) -> list[MailboxResult]:
    """Results of mailboxes that were not known to fail before this run."""
    known = {replica.mailbox for chunk in chunks for replica in chunk.replicas if replica.state is ReplicaState.SET_ASIDE}
    return [result for result in results if result.mailbox not in known and result.reason != Reason.TENANT_STOPPED]


def _sum_up(run: Run, chunks: list[Chunk], results: list[MailboxResult]) -> None:
    run.outcomes = dict(Counter(result.outcome for result in results))
    run.reasons = dict(Counter(result.reason for result in results if result.reason))
    for result in results:
        run.counts.add(result.counts)
    for chunk in chunks:
        run.spent.add(chunk.spent)
        for carried in chunk.carried.values():
            run.counts.add(carried.counts)


async def _close(context: Context, run: Run, *, deleting: bool, purge: bool, alike: str | None, chunks: list[Chunk]) -> None:
    stopped = run.reasons.get(Reason.TENANT_STOPPED, 0)
    if purge or deleting:
        # before the run is final, so that a crash in between repeats it
        await context.purge(run.tenant, run.sync)
    if deleting:
        await _forget_if_clean(context, run)
    if run.state is RunState.CANCELLING:
        await runs.end_run(context, run, RunState.CANCELLED)
        return
    if stopped:
        await runs.end_run(context, run, RunState.FAILED, Reason.TENANT_STOPPED)
    elif alike is not None:
        await runs.end_run(context, run, RunState.HELD, Reason.TOO_MANY_FAILURES, alike)
    elif not run.source_problem and set(run.outcomes) <= {"done", "removed", "kept"}:
        await runs.end_run(context, run, RunState.SUCCEEDED)
    else:
        await runs.end_run(context, run, RunState.PARTIAL)
    look = min((chunk.look_after for chunk in chunks if chunk.look_after is not None), default=None)
    if look is not None:
        await _look_later(context, run, look + timedelta(seconds=1))


async def _look_later(context: Context, run: Run, when: datetime) -> None:
    """Bring the next run forward: a write whose answer was lost may have committed late."""

    def earlier(sync: Sync) -> None:
        if sync.next_run is None or when < sync.next_run:
            sync.next_run = when

    with suppress(NotFoundError):
        await runs.change_sync(context, run.tenant, run.sync, earlier)


async def _forget_if_clean(context: Context, run: Run) -> None:
    """Remove a deleted sync's row once no mailbox holds anything of it; else have a run go on when the first of them is due.

    Where all that are left are gone, the sync has ended for everybody but us.
    """
    left = [replica async for replica in register.all_replicas(context.tables, run.tenant, run.sync)]
    with suppress(NotFoundError):
        if left:
            if all(replica.gone_since is not None for replica in left):
                await runs.change_sync(context, run.tenant, run.sync, _end)
            due = min((replica.due for replica in left if replica.due is not None), default=context.now())
            await _look_later(context, run, due)
        else:
            await remove_choices(context.tables, run.tenant, run.sync)
            await remove_sync(context.tables, await load_sync(context.tables, run.tenant, run.sync, ended=True))


def _end(sync: Sync) -> None:
    if sync.deleting:
        sync.ended, sync.next_run = True, None
