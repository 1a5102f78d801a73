"""Undo: brings every replica back to the snapshot that a run started from, and runs of a paused sync, which stay at theirs."""

from __future__ import annotations

from sync_core.engine import runs
from sync_core.engine.context import Context
from sync_core.engine.difference import HeldError, Hold
from sync_core.engine.veil import veil
from sync_core.errors import InputError, Reason
from sync_core.policies import NAMES
from sync_core.ports import TenantKeys
from sync_core.state.runs import NOTHING, Run, load_run, new_run_id, save_run
from sync_core.state.snapshots import SnapshotHead, SnapshotStore
from sync_core.state.suppressions import current_epoch
from sync_core.state.syncs import Sync, load_sync


async def undo(context: Context, tenant: str, run_id: str) -> str:
    """Pause the sync and start a run that brings its mailboxes back to what they held before `run_id`; returns the new run's id.

    Raises NotFoundError, or InputError that says why it cannot be done.
    """
    undone = await load_run(context.tables, tenant, run_id)
    if not undone.state.final:
        raise InputError("run", "is under way: wait until it has ended")
    if not undone.base:
        raise InputError("run", "has not changed the list: there is nothing to undo")
    if undone.base == NOTHING:
        raise InputError("run", "started from no snapshot: it was the first one, or the caches had been purged before")
    sync = await load_sync(context.tables, tenant, undone.sync)
    keys = await context.keyring.keys(tenant)
    store = SnapshotStore(context.tables, keys.sealer, tenant, sync.sync)
    head, previous = await store.head(), await store.previous()
    if head is not None and head.digest == undone.base:
        raise InputError("run", "started from the list as it is now: there is nothing to undo")
    if head is None or previous is None or previous.digest != undone.base:
        raise InputError(
            "run", "started from a snapshot that is not kept any more: only the last change can be undone, until it is purged"
        )
    run = Run(tenant, new_run_id(context.now()), sync.sync, requested_at=context.now(), undoes=run_id)

    def claim(fresh: Sync) -> None:
        if fresh.deleting:
            raise InputError("sync", "is being deleted")
        if fresh.active_run:
            raise InputError("sync", "has a run under way: wait until it has ended")
        fresh.paused, fresh.next_run = True, None
        runs.occupy(fresh, run)

    await runs.change_sync(context, tenant, sync.sync, claim)
    await runs.announce(context, run)
    return run.run


async def restore(context: Context, store: SnapshotStore, run: Run, sync: Sync, keys: TenantKeys) -> str:
    """Make the snapshot current that the undone run started from, less what people hide by now; returns its digest. Repeatable.

    What it deletes counts as released, and the brakes compare with it from now on. Raises HeldError when it was purged meanwhile.
    """
    undone = await load_run(context.tables, run.tenant, run.undoes)
    await note_base(context, run, await store.head())
    epoch = await current_epoch(context.tables, run.tenant)
    head, restored = await store.head(), f"undone:{undone.base}"
    if head is None or head.made_from != restored or head.epoch != epoch:
        head = await store.restore(undone.base, epoch)
    if head is None:
        raise HeldError(Hold(Reason.SNAPSHOT_GONE, ""))
    head = await veil(context, store, head, sync, keys, made_from=restored)
    run.people, run.targets, run.sources, run.released = head.count, sync.targets, sync.sources, True

    def applied(fresh: Sync) -> None:
        fresh.people, fresh.buckets = head.count, len(head.digests)
        fresh.resolved = ""  # whoever resumes has to plan anew

    await runs.change_sync(context, run.tenant, run.sync, applied)
    return head.digest


async def written_since(store: SnapshotStore, restored: SnapshotHead) -> tuple[str, ...]:
    """The fields that only the snapshot wrote which an undo has left: nothing in the restored one says what to do with them.

    What was there before is not known: it was blank or, where a rule overwrote it, is lost. A field that was only filled where it
    was blank may hold the user's own text, and a name cannot be blank: these stay.
    """
    left = await store.previous()
    if left is None:
        return ()
    return tuple(name for name in left.owned if name not in {*restored.owned, *left.filled, *NAMES})


async def keep(context: Context, store: SnapshotStore, run: Run, sync: Sync, keys: TenantKeys) -> str:
    """Leave the current snapshot as it is, but for what people hide by now; returns its digest.

    Raises HeldError when it was purged or is of an older epoch.
    """
    head = await store.head()
    if head is None or head.epoch != await current_epoch(context.tables, run.tenant):
        raise HeldError(Hold(Reason.SNAPSHOT_GONE, "resume the sync"))
    head = await veil(context, store, head, sync, keys, made_from=f"kept:{head.digest}")
    run.people, run.targets, run.sources = sync.people, sync.targets, sync.sources
    return head.digest


async def note_base(context: Context, run: Run, head: SnapshotHead | None) -> None:
    """Note what a run starts from, before it makes another snapshot: a repetition would find that one."""
    if not run.base:
        run.base = head.digest if head is not None else NOTHING
        await save_run(context.tables, run)
