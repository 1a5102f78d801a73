"""`sync-chunk`: claim up to twenty replicas, serve them side by side, note what became of each."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync_core.engine import folders, runs, undo
from sync_core.engine.context import CHUNKS_AHEAD, LOOK_AGAIN, LOOK_FOR_RESTORED, WORKING_TIME, Context
from sync_core.engine.delivery import UnexpectedError
from sync_core.engine.photos import Shelf
from sync_core.engine.removal import release_replica, remove_replica
from sync_core.engine.replicate import replicate
from sync_core.engine.work import OutOfTimeError, Work, open_mailboxes
from sync_core.errors import (
    ClaimLostError,
    ConflictError,
    LostPagesError,
    MailboxError,
    MailboxGoneError,
    NotFoundError,
    ParkedError,
    Reason,
    RollcallError,
    TenantError,
    TransientError,
)
from sync_core.fingerprints import Fingerprinter
from sync_core.kinds import CONTACTS
from sync_core.messages import SyncChunk
from sync_core.model import MailboxResult, Replica, ReplicaState, RunState
from sync_core.policies import Policies
from sync_core.state import replicas as register
from sync_core.state.ledgers import LedgerStore
from sync_core.state.photos import PhotoRows
from sync_core.state.refusals import RefusalStore
from sync_core.state.runs import Chunk, Run, load_chunk, load_run, open_chunks, save_chunk
from sync_core.state.snapshots import SnapshotStore
from sync_core.state.syncs import Sync, load_sync
from sync_core.state.tenants import load_tenant

log = logging.getLogger("rollcall.chunk")

_WAIT_FOR_OTHER = 30.0
_HEED_CANCEL_EVERY = 5.0
_MOST_WAITS = 12
"""How often a run comes back to a mailbox that asks for time: a move between servers takes hours, and the run must end."""

_RESTORABLE = timedelta(days=31)
"""Users can be restored, mailbox and all, for 30 days: https://learn.microsoft.com/entra/fundamentals/users-restore."""

_PURGED = "snapshot purged"
_SET_ASIDE = frozenset({Reason.NO_MAILBOX, Reason.MAILBOX_GONE, Reason.OUT_OF_SCOPE, Reason.QUOTA_FULL, Reason.MAILBOX_MOVING})


@dataclass(slots=True)
class _Served:
    """One mailbox after this delivery.

    `delay` is None when it is finished, else when to go on (seconds). `forget` says that nothing of ours is left in it.
    """

    replica: Replica
    result: MailboxResult
    delay: float | None = None
    forget: bool = False
    claim_lost: bool = False
    tenant_error: TenantError | None = None


async def run_chunk(context: Context, message: SyncChunk) -> None:
    """Serve one chunk. A delivery that finds it done, continued or claimed by another worker does nothing, or waits."""
    try:
        sync = await load_sync(context.tables, message.tenant, message.sync, ended=True)
        run = await load_run(context.tables, message.tenant, message.run)
        tenant = await load_tenant(context.tables, message.tenant)
    except NotFoundError:
        log.warning("chunk %s of run %s: its tenant, sync or run row is gone", message.chunk, message.run)
        return
    chunk = await load_chunk(context.tables, run, message.chunk)
    if chunk is None or chunk.done or chunk.part != message.part or run.state.final or sync.active_run != run.run:
        return
    if run.state is RunState.CANCELLING:
        await _finish_unserved(context, run, chunk, "cancelled")
        return
    if tenant.stopped:
        await _finish_unserved(context, run, chunk, "failed", Reason.TENANT_STOPPED)
        return
    keys = await context.keyring.keys(run.tenant)
    snapshots = SnapshotStore(context.tables, keys.sealer, run.tenant, run.sync)
    snapshot = None if sync.deleting else await snapshots.head()
    if snapshot is None and not sync.deleting:
        # purged while the run was under way: the next run makes it again
        await runs.ask_again(context, run)
        await _finish_unserved(context, run, chunk, "failed", Reason.INTERNAL_ERROR, _PURGED)
        return
    claimed = await _claim(context, sync, run, chunk)
    if claimed is None:
        await runs.send_chunk(context, run, chunk.number, part=chunk.part, delay=_WAIT_FOR_OTHER)
        return
    # a delivery before this one cleaned them, and died before it could say so
    there = {replica.mailbox for replica in claimed} | {result.mailbox for result in chunk.results}
    left = "kept" if _keeps(sync) else "removed"
    chunk.results += [MailboxResult(one.mailbox, left) for one in chunk.replicas if one.mailbox not in there]
    mailboxes = open_mailboxes(context, sync)
    definition = sync.definition
    owned, filled = (definition.owned, definition.fields.filled) if snapshot is None else (snapshot.owned, snapshot.filled)
    takes_back = run.undoes and snapshot is not None and definition.kind is CONTACTS
    emptied = await undo.written_since(snapshots, snapshot) if takes_back and snapshot is not None else ()
    work = Work(
        context=context,
        sync=sync,
        mailboxes=mailboxes,
        fingerprinter=Fingerprinter(keys.fingerprint_key, keys.fingerprint_key_id, owned, definition.kind),
        policies=Policies.over(sync.definition, owned={*owned, *emptied}, filled=filled),
        emptied=emptied,
        snapshots=snapshots,
        snapshot=snapshot,
        ledgers=LedgerStore(context.tables, keys.sealer, run.tenant, run.sync),
        refusals=RefusalStore(context.tables, keys.fingerprint_key, run.tenant, run.sync),
        check=run.check,
        released=run.released,
        deadline=context.now() + min(WORKING_TIME, context.lease * 0.6),
        shelf=Shelf(lambda source: PhotoRows(context.tables, keys, run.tenant, source)) if sync.definition.photo_side else None,
        progress=chunk.carried,
    )
    served = await _serve_all(work, run, claimed)
    for one in served:
        one.result.counts = work.count(one.replica.mailbox)
    chunk.spent.add(mailboxes.spent)
    await work.refusals.remove([one.replica.mailbox for one in served if one.forget])
    await _give_back(context, run, served)
    if any(one.result.detail == _PURGED for one in served):
        await runs.ask_again(context, run)
    await _note(context, run, chunk, served)
    broken = next((one.tenant_error for one in served if one.tenant_error is not None), None)
    if broken is not None:
        await runs.stop_tenant(context, run.tenant, broken.reason)


async def _claim(context: Context, sync: Sync, run: Run, chunk: Chunk) -> list[Replica] | None:
    """Own the chunk's replicas by one conditional write; None while another worker does.

    The rows in the chunk are as fresh as the plan, so that usually nothing has to be read. What comes back still says whether the
    replica was dirty before; the stored row says dirty from now on.
    """
    finished = {result.mailbox for result in chunk.results}
    replicas = [replica for replica in chunk.replicas if replica.mailbox not in finished]
    for fresh in (False, True):
        if fresh:
            found = [await register.load_replica(context.tables, run.tenant, run.sync, one.mailbox) for one in replicas]
            replicas = [replica for replica in found if replica is not None]
        for replica in replicas:
            if replica.state is not ReplicaState.LEAVING and not sync.deleting:
                folders.relocate(replica, sync.definition.folder)
        now = context.now()
        if any(one.owner and one.owned_until is not None and one.owned_until > now for one in replicas):
            if fresh:
                return None
            continue
        until = now + context.lease
        rows = [replace(replica, dirty=True, owner=context.owner, owned_until=until) for replica in replicas]
        try:
            await register.save_replicas(context.tables, run.tenant, run.sync, rows)
        except ConflictError:
            continue
        return [
            replace(replica, owner=context.owner, owned_until=until, etag=row.etag)
            for replica, row in zip(replicas, rows, strict=True)
        ]
    return None


async def _serve_all(work: Work, run: Run, replicas: list[Replica]) -> list[_Served]:
    """Serve replicas side by side; when somebody cancels the run meanwhile, none writes another batch."""
    watching = asyncio.create_task(_stop_when_cancelled(work, run))
    try:
        return await asyncio.gather(*(_serve(work, replica) for replica in replicas))
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _stop_when_cancelled(work: Work, run: Run) -> None:
    while True:
        await work.context.clock.sleep(_HEED_CANCEL_EVERY)
        with suppress(RollcallError):
            if (await load_run(work.context.tables, run.tenant, run.run)).state is not RunState.RUNNING:
                work.deadline = work.context.now()
                return


async def _serve(work: Work, replica: Replica) -> _Served:
    """Serve one replica and turn whatever happens into a result and the row to store."""
    with work.mailboxes.sharing():
        now = work.context.now()
        try:
            if work.snapshot is None or replica.state is ReplicaState.LEAVING:
                replica.state = ReplicaState.LEAVING
                take_leave = release_replica if _keeps(work.sync) else remove_replica
                result = await take_leave(work, replica)
                replica.reason, replica.gone_since = "", None
                return _Served(replica, result, forget=replica.look_after is None)
            result = await replicate(work, work.snapshot, replica)
            replica.state, replica.reason, replica.gone_since = ReplicaState.ACTIVE, "", None
            return _Served(replica, result)
        except OutOfTimeError:
            return _Served(replica, MailboxResult(replica.mailbox, "continued"), delay=0)
        except ParkedError as parked:
            progress = work.so_far(replica.mailbox)
            progress.waits += 1
            if progress.waits <= _MOST_WAITS:
                return _Served(replica, MailboxResult(replica.mailbox, "continued"), delay=parked.delay)
            replica.due = now + LOOK_AGAIN
            return _Served(replica, MailboxResult(replica.mailbox, "failed", Reason.MAILBOX_BUSY))
        except MailboxError as error:
            if isinstance(error, MailboxGoneError) and replica.state is ReplicaState.LEAVING:
                return _leave_gone(replica, now)
            replica.due = now + LOOK_AGAIN
            if error.reason not in _SET_ASIDE:
                return _Served(replica, MailboxResult(replica.mailbox, "failed", error.reason, error.detail))
            if replica.state is not ReplicaState.LEAVING:
                replica.state = ReplicaState.SET_ASIDE
            replica.reason = str(error.reason)
            return _Served(replica, MailboxResult(replica.mailbox, "set_aside", error.reason, error.detail))
        except TenantError as error:
            result = MailboxResult(replica.mailbox, "failed", Reason.TENANT_STOPPED, error.reason)
            return _Served(replica, result, tenant_error=error)
        except TransientError:
            return _Served(replica, MailboxResult(replica.mailbox, "failed", Reason.MAILBOX_BUSY))
        except (ClaimLostError, ConflictError):
            result = MailboxResult(replica.mailbox, "failed", Reason.INTERNAL_ERROR, "claim lost")
            return _Served(replica, result, claim_lost=True)
        except LostPagesError:
            return _Served(replica, MailboxResult(replica.mailbox, "failed", Reason.INTERNAL_ERROR, _PURGED))
        except Exception as error:
            # one mailbox's bug must not take its nineteen neighbours down; the stored row stays dirty
            log.error("mailbox %s could not be served: %s", replica.mailbox, UnexpectedError(error))
            result = MailboxResult(replica.mailbox, "failed", Reason.INTERNAL_ERROR, type(error).__name__)
            replica.dirty = True
            return _Served(replica, result)


def _keeps(sync: Sync) -> bool:
    """Whether the contacts in mailboxes that leave stay there, as their users' own."""
    return sync.keep_contacts if sync.deleting else sync.definition.targets.leavers == "keep"


def _leave_gone(replica: Replica, now: datetime) -> _Served:
    """A leaving mailbox that is gone holds nothing of ours; but only when it cannot be restored any more it can be forgotten."""
    replica.gone_since = replica.gone_since or now
    replica.reason = str(Reason.MAILBOX_GONE)
    end = replica.gone_since + _RESTORABLE
    replica.due = min(now + LOOK_FOR_RESTORED, end)
    return _Served(replica, MailboxResult(replica.mailbox, "removed"), forget=now >= end)


async def _give_back(context: Context, run: Run, served: list[_Served]) -> None:
    """Store what is now true of each replica and end our claims: one transaction, unless somebody interfered."""
    clean = [one.replica.mailbox for one in served if one.forget]
    kept = [one.replica for one in served if not one.forget and not one.claim_lost]
    for replica in kept:
        replica.owner, replica.owned_until = "", None
    try:
        await register.save_replicas(context.tables, run.tenant, run.sync, kept)
    except ConflictError:
        for replica in kept:
            try:
                await register.save_replicas(context.tables, run.tenant, run.sync, [replica])
            except ConflictError:
                log.warning("the claim on mailbox %s was lost while it was served", replica.mailbox)
    await register.remove_replicas(context.tables, run.tenant, run.sync, clean)


async def _note(context: Context, run: Run, chunk: Chunk, served: list[_Served]) -> None:
    """Store results; hand on to the next chunk, or to the next part of this one."""
    waits = [one for one in served if one.delay is not None]
    finished = [one for one in served if one.delay is None]
    chunk.results += [one.result for one in finished]
    if waits:
        chunk.part += 1
        chunk.replicas = [one.replica for one in waits]
    chunk.carried = {one.replica.mailbox: chunk.carried[one.replica.mailbox] for one in waits}
    chunk.done = not waits
    looks = [one.replica.look_after for one in finished if one.replica.look_after is not None]
    chunk.look_after = min([*looks, *([chunk.look_after] if chunk.look_after else [])], default=None)
    try:
        await save_chunk(context.tables, run, chunk)
    except ConflictError:
        log.info("chunk %s of run %s was noted by another delivery", chunk.number, run.run)
        return
    if waits:
        delay = max(one.delay or 0 for one in waits)
        await runs.send_chunk(context, run, chunk.number, part=chunk.part, delay=delay)
    else:
        await _hand_on(context, run, chunk)


async def _hand_on(context: Context, run: Run, chunk: Chunk) -> None:
    """After a finished chunk: the next one that waits, or, after the last of all, a look that closes the run."""
    if chunk.number + CHUNKS_AHEAD < run.chunks:
        await runs.send_chunk(context, run, chunk.number + CHUNKS_AHEAD)
    elif not await open_chunks(context.tables, run):
        await runs.send_check(context, run, attempt=0)


async def _finish_unserved(context: Context, run: Run, chunk: Chunk, outcome: str, reason: str = "", detail: str = "") -> None:
    """Close a chunk whose mailboxes cannot be served now: their replicas stay as they are for the next run."""
    served = {result.mailbox for result in chunk.results}
    for replica in chunk.replicas:
        if replica.mailbox not in served:
            chunk.results.append(MailboxResult(replica.mailbox, outcome, reason, detail))
    chunk.done = True
    try:
        await save_chunk(context.tables, run, chunk)
    except ConflictError:
        return
    await _hand_on(context, run, chunk)
