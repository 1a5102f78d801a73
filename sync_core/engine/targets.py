"""Keeps the register of replicas equal to the targets, and picks those that a run must serve."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime

from sync_core.choices import Choice
from sync_core.engine.context import ITEMS_PER_CHUNK, MAILBOXES_PER_CHUNK, Context
from sync_core.model import Replica, ReplicaState
from sync_core.state import replicas as register
from sync_core.state.runs import Check, Chunk
from sync_core.state.syncs import Sync


async def register_targets(context: Context, sync: Sync, targets: Mapping[str, Choice]) -> None:
    """Add new targets, take returning ones back, mark those that are none any more as leaving, and heed what employees chose.

    May be repeated after a crash. Raises ConflictError when a worker of an earlier run still writes: try again later.
    """
    wanted = dict(targets)
    changed: list[Replica] = []
    forgotten: list[str] = []
    async for replica in register.all_replicas(context.tables, sync.tenant, sync.sync):
        choice = wanted.pop(replica.mailbox, None)
        if choice is None and replica.state is ReplicaState.DECLINED:
            forgotten.append(replica.mailbox)
        elif _turn(replica, choice, context.now()):
            changed.append(replica)
        if len(changed) == register.ROWS_PER_COMMIT:
            await register.save_replicas(context.tables, sync.tenant, sync.sync, changed)
            changed = []
    await register.save_replicas(context.tables, sync.tenant, sync.sync, changed)
    await register.remove_replicas(context.tables, sync.tenant, sync.sync, forgotten)
    new = [_new(mailbox, choice, sync, context.now()) for mailbox, choice in sorted(wanted.items())]
    await register.insert_replicas(context.tables, sync.tenant, sync.sync, new)


def _new(mailbox: str, choice: Choice, sync: Sync, now: datetime) -> Replica:
    states = {Choice.ON: ReplicaState.ACTIVE, Choice.PAUSED: ReplicaState.PAUSED, Choice.OFF: ReplicaState.DECLINED}
    return Replica(
        mailbox,
        states[choice],
        folder_name=sync.definition.folder or "",
        folder_color=sync.definition.color,
        due=now if choice is Choice.ON else None,
    )


def _turn(replica: Replica, choice: Choice | None, now: datetime) -> bool:
    """Bring a replica into the state that the choice asks for (None: it is no target); returns whether it has changed."""
    state = replica.state
    match choice:
        case Choice.ON if state in (ReplicaState.LEAVING, ReplicaState.PAUSED, ReplicaState.DECLINED):
            replica.state, replica.due = ReplicaState.ACTIVE, now
        case Choice.PAUSED if state is not ReplicaState.PAUSED:
            replica.state, replica.due = ReplicaState.PAUSED, None
        case Choice.OFF | None if state not in (ReplicaState.LEAVING, ReplicaState.DECLINED):
            replica.state, replica.due = ReplicaState.LEAVING, now
        case _:
            return False
    # what the removal has already done is unknown
    replica.dirty = replica.dirty or state is ReplicaState.LEAVING
    replica.reason = ""
    return True


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
        folder_color=sync.definition.color,
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
