"""Rewrites mirrored events that name a person, and removes those of a calendar that is the person's own.

The snapshots that are kept say which events these are and what is left of them. Where none is kept, only a run knows: it reads
the calendars anew, and leaves out who is suppressed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from gdpr.erasure import Task, WaitError
from gdpr.named_events import rewritten
from gdpr.subject import syncs_of
from sync_core.engine import folders, runs
from sync_core.engine.work import BATCH
from sync_core.errors import InputError, LedgerDoubtError, LostPagesError
from sync_core.events import canonical
from sync_core.kinds import EVENTS
from sync_core.marks import key_in
from sync_core.model import Create, Delete, Held, Item, Operation, Replica, RunState, Update
from sync_core.ports import Mailboxes
from sync_core.state.ledgers import Ledger, LedgerStore
from sync_core.state.replicas import all_replicas
from sync_core.state.runs import load_run
from sync_core.state.snapshots import SnapshotStore
from sync_core.state.sources import CALENDAR, owner_of
from sync_core.state.suppressions import load_suppressions
from sync_core.state.syncs import Sync

_RUN_DELAY = 15.0
_BODY = "body"


async def rewrite_events(
    task: Task, mailboxes: Mailboxes, ledgers: LedgerStore, ledger: Ledger | None, sync: str, replica: Replica
) -> None:
    """Serve one mailbox, which is claimed: each event that names the person is written, or removed, and looked at again."""
    affected = await _affected(task, sync)
    if not affected or not (replica.folder_id or replica.dirty):
        return
    if ledger is not None:
        held = {key: one for key, one in ledger.everything().items() if key in affected}
    else:
        held = await _listed(task, mailboxes, sync, replica, affected)
    steps: list[Operation] = []
    for key, one in held.items():
        item = affected[key]
        if item is None:
            steps.append(Delete(key, one.item_id))
        elif item.fingerprint != one.fingerprint:
            steps.append(Update(key, one.item_id, item.body))
    for start in range(0, len(steps), BATCH):
        batch = steps[start : start + BATCH]
        for outcome in await mailboxes.write(replica.mailbox, replica.folder_id, batch):
            if outcome.error is not None and not isinstance(outcome.error, LedgerDoubtError):
                raise outcome.error  # one that was moved is its user's by now
        await _look_again(task, mailboxes, replica.mailbox, batch, affected)
    if ledger is not None and steps:
        for step in steps:
            item = affected[step.key]
            ledger.put(step.key, Held(held[step.key].item_id, item.fingerprint) if item is not None else None)
            ledger.doubt(ledger.bucket_of(step.key))
        await ledgers.save(replica.mailbox, ledger)
        replica.applied = ""


async def _affected(task: Task, sync: str) -> Mapping[str, Item | None]:
    if sync not in task.events:
        store = SnapshotStore(task.context.tables, task.keys.sealer, task.tenant, sync)
        suppressed = await load_suppressions(task.context.tables, task.keys.suppression_key, task.tenant)
        try:
            task.events[sync] = await rewritten(store, task.keys, suppressed)
        except LostPagesError:  # then a run goes over all events
            task.events[sync] = {}
    return task.events[sync]


async def _listed(
    task: Task, mailboxes: Mailboxes, sync: str, replica: Replica, affected: Mapping[str, Item | None]
) -> dict[str, Held]:
    """The events by their marks."""
    held: dict[str, Held] = {}
    async for folder in folders.all_folders(mailboxes, replica.mailbox):
        try:
            async for page in mailboxes.items(replica.mailbox, folder.folder_id):
                for item in page:
                    key = key_in(item.mark, task.context.installation, sync)
                    if key is not None and key in affected:
                        held[key] = Held(item.item_id, item.fingerprint or "")
        except LedgerDoubtError:
            continue
    return held


async def _look_again(
    task: Task, mailboxes: Mailboxes, mailbox: str, batch: Sequence[Operation], affected: Mapping[str, Item | None]
) -> None:
    ids = [step.item_id for step in batch if not isinstance(step, Create)]
    seen = await mailboxes.look(mailbox, ids, fields=(_BODY,))
    for step, there in zip(batch, seen, strict=True):
        item = affected[step.key]
        if item is None:
            task.request.count("eventsRemoved")
            task.request.count("itemsInDeletedItems", there is not None)
        elif there is not None and there.fields is not None:
            wanted = canonical(_BODY, orjson.loads(item.body)[_BODY])
            is_as_wanted = canonical(_BODY, there.fields.get(_BODY)) == wanted
            task.request.count("eventsRewritten" if is_as_wanted else "eventsNotRewritten")


async def mirror_anew(task: Task) -> None:
    """Have calendars of which no snapshot is kept mirrored by a run. Raises WaitError until it has ended."""
    at_sync, _, run_id = task.request.cursor.partition("|")
    async for sync in syncs_of(task.context, task.tenant):
        if sync.definition.kind is not EVENTS or sync.sync < at_sync:
            continue
        await _forget_calendar(task, sync)
        if sync.sync != at_sync:
            if not await _needs_run(task, sync):
                continue
            run_id = await _ask(task, sync)
        run = await load_run(task.context.tables, task.tenant, run_id) if run_id else None
        if run is not None and not run.state.final:
            raise WaitError(_RUN_DELAY)
        assert task.request.started_at is not None
        if run is not None and run.requested_at <= task.request.started_at:
            await _ask(task, sync)  # it knew of no suppression
            raise WaitError(_RUN_DELAY)
        if run is None or run.state not in (RunState.SUCCEEDED, RunState.PARTIAL):
            task.request.count("calendarsNotMirroredAnew")


async def _needs_run(task: Task, sync: Sync) -> bool:
    store = SnapshotStore(task.context.tables, task.keys.sealer, task.tenant, sync.sync)
    if await store.head() is not None:
        return False
    async for _ in all_replicas(task.context.tables, task.tenant, sync.sync):
        return True
    return False


async def _ask(task: Task, sync: Sync) -> str:
    """Ask for a run, and note which one; "" where none can begin."""
    try:
        run_id = await runs.request_run(task.context, task.tenant, sync.sync)
    except InputError:
        run_id = ""
    task.request.cursor = f"{sync.sync}|{run_id}"
    await task.save()
    return run_id


async def _forget_calendar(task: Task, sync: Sync) -> None:
    """Let brakes forget what came from a calendar that is not mirrored any more: its events go on purpose."""
    suppressed = await load_suppressions(task.context.tables, task.keys.suppression_key, task.tenant)
    theirs = [one for one in sync.sources if one.startswith(CALENDAR) and suppressed.covers(f"u:{owner_of(one)}", {})]

    def forget(fresh: Sync) -> None:
        for source in theirs:
            fresh.people -= fresh.sources.pop(source, 0)

    if theirs:
        await runs.change_sync(task.context, task.tenant, sync.sync, forget)
