"""Keeps the register of replicas equal to the targets, and picks those that a run must serve."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from sync_core.engine.context import ITEMS_PER_CHUNK, MAILBOXES_PER_CHUNK, Context
from sync_core.model import Replica, ReplicaState
from sync_core.state import replicas as register
from sync_core.state.runs import Check, Chunk
from sync_core.state.syncs import Sync


async def register_targets(context: Context, sync: Sync, targets: Iterable[str]) -> None:
    """Add new targets, take returning ones back, and mark those that are none any more as leaving.

    May be repeated after a crash. Raises ConflictError when a worker of an earlier run still writes: try again later.
    """
    wanted = set(targets)
    changed: list[Replica] = []
    now = context.now()
    async for replica in register.all_replicas(context.tables, sync.tenant, sync.sync):
        if replica.mailbox in wanted:
            wanted.discard(replica.mailbox)
            if replica.state is not ReplicaState.LEAVING:
                continue
            # what the removal has already done is unknown
            replica.state, replica.dirty, replica.due = ReplicaState.ACTIVE, True, now
        elif replica.state is ReplicaState.LEAVING:
            continue
        else:
            replica.state, replica.due = ReplicaState.LEAVING, now
        replica.reason = ""
        changed.append(replica)
        if len(changed) == register.ROWS_PER_COMMIT:
            await register.save_replicas(context.tables, sync.tenant, sync.sync, changed)
            changed = []
    await register.save_replicas(context.tables, sync.tenant, sync.sync, changed)
    new = [Replica(mailbox, folder_name=sync.definition.folder or "", due=now) for mailbox in sorted(wanted)]
    await register.insert_replicas(context.tables, sync.tenant, sync.sync, new)


async def pick_chunks(context: Context, sync: Sync, *, current: str, people: int, check: Check) -> AsyncIterator[Chunk]:
    """The replicas with something to do, in chunks. `current` is the digest of the snapshot they should have applied."""
    size = max(1, min(MAILBOXES_PER_CHUNK, ITEMS_PER_CHUNK // max(people, 1)))
    number = 0
    batch: list[Replica] = []
    rows = register.replicas_to_serve(
        context.tables,
        sync.tenant,
        sync.sync,
        current=current,
        folder_name=sync.definition.folder or "",
        now=context.now(),
        check_all=check is not Check.DUE,
    )
    async for replica in rows:
        batch.append(replica)
        if len(batch) == size:
            yield Chunk(number, batch)
            number, batch = number + 1, []
    if batch:
        yield Chunk(number, batch)
