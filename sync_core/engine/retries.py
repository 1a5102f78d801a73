"""Mailboxes that could not be served are tried again at once instead of in a day."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from sync_core.engine import runs
from sync_core.engine.context import Context
from sync_core.errors import ConflictError, InputError
from sync_core.model import Replica, ReplicaState
from sync_core.state import replicas as register
from sync_core.state.runs import all_chunks, load_run
from sync_core.state.syncs import load_sync

_FAILURES = ("failed", "set_aside", "held")


async def retry_set_aside(context: Context, tenant: str, sync_id: str, mailboxes: Collection[str]) -> str:
    """Have a run look at mailboxes that were set aside: those named, or all. Returns the run's id. Raises NotFoundError."""
    await load_sync(context.tables, tenant, sync_id)
    await _make_due(context, tenant, sync_id, _set_aside(context, tenant, sync_id, mailboxes))
    return await runs.request_run(context, tenant, sync_id, by_hand=True)


async def replay(context: Context, tenant: str, run_id: str) -> str:
    """Have another run serve anew the mailboxes in which an ended run failed. Returns its id.

    They count as dirty: their folders are listed before anything is created. Raises NotFoundError, or InputError when there is
    nothing to replay.
    """
    run = await load_run(context.tables, tenant, run_id)
    if not run.state.final:
        raise InputError("run", "is under way: wait until it has ended")
    chunks = all_chunks(context.tables, run)
    failed = {result.mailbox async for chunk in chunks for result in chunk.results if result.outcome in _FAILURES}
    if not failed:
        raise InputError("run", "has no failures, or its results are not kept any more")
    await _make_due(context, tenant, run.sync, _found(context, tenant, run.sync, failed), dirty=True)
    return await runs.request_run(context, tenant, run.sync, by_hand=True)


async def _set_aside(context: Context, tenant: str, sync_id: str, mailboxes: Collection[str]) -> AsyncIterator[Replica]:
    async for replica in register.set_aside(context.tables, tenant, sync_id):
        if not mailboxes or replica.mailbox in mailboxes:
            yield replica


async def _found(context: Context, tenant: str, sync_id: str, mailboxes: Collection[str]) -> AsyncIterator[Replica]:
    for mailbox in sorted(mailboxes):
        replica = await register.load_replica(context.tables, tenant, sync_id, mailbox)
        if replica is not None:
            yield replica


async def _make_due(
    context: Context, tenant: str, sync_id: str, replicas: AsyncIterator[Replica], *, dirty: bool = False
) -> None:
    """Have the next run serve these replicas, but for those that a worker serves at this moment."""
    now = context.now()
    async for replica in replicas:
        if replica.owner and replica.owned_until is not None and replica.owned_until > now:
            continue
        replica.due, replica.dirty = now, replica.dirty or (dirty and replica.state is not ReplicaState.LEAVING)
        try:
            await register.save_replicas(context.tables, tenant, sync_id, [replica])
        except ConflictError:
            continue
