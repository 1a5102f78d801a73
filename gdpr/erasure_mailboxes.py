"""Removes a person from every replica for good, and looks again: two requests per mailbox whose ledger is there.

Each replica is claimed as the workers claim it. So whoever served it with an older snapshot has ended, and whoever serves it next
finds the new epoch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from gdpr.erasure import Task, WaitError
from gdpr.erasure_events import rewrite_events
from gdpr.subject import concerns, syncs_of
from sync_core.engine import folders
from sync_core.engine.context import MAILBOXES_PER_CHUNK
from sync_core.engine.work import BATCH, open_mailboxes
from sync_core.errors import ConflictError, LedgerDoubtError, LostPagesError, MailboxError, TransientError
from sync_core.kinds import EVENTS
from sync_core.marks import key_in
from sync_core.model import Delete, Replica
from sync_core.ports import Mailboxes
from sync_core.state import replicas as register
from sync_core.state.ledgers import Ledger, LedgerStore
from sync_core.state.syncs import Sync, load_sync
from sync_core.suppression import by_mail, by_phone

PER_ROUND = ("mailboxes", "mailboxesUnreachable")
"""What is counted anew when all mailboxes are served once more."""

_BUSY_DELAY = 30.0
_MOST_BUSY = 500
_FIELDS = ("emailAddresses", "mobilePhone", "businessPhones")


async def clean_mailboxes(task: Task) -> None:
    """Serve every replica of every sync, from where the last delivery stopped. Raises WaitError while workers hold some."""
    request = task.request
    at_sync, _, at_mailbox = request.cursor.partition("|")
    async for sync in syncs_of(task.context, task.tenant):
        if sync.sync < at_sync:
            continue
        after = at_mailbox if sync.sync == at_sync else ""
        found = [one async for one in register.all_replicas(task.context.tables, task.tenant, sync.sync) if one.mailbox > after]
        waiting = iter(found)
        while group := list(islice(waiting, MAILBOXES_PER_CHUNK)):
            task.check_time()
            busy = await _serve(task, sync, group)
            request.subject.busy += [(sync.sync, mailbox) for mailbox in busy]
            request.cursor = f"{sync.sync}|{group[-1].mailbox}"
            await task.save()  # a death then counts at most these anew
            if len(request.subject.busy) > _MOST_BUSY:
                break
    again, request.subject.busy = request.subject.busy, []
    for at in range(0, len(again), MAILBOXES_PER_CHUNK):
        for sync_id in sorted({sync_id for sync_id, _ in again[at : at + MAILBOXES_PER_CHUNK]}):
            rows = [
                await register.load_replica(task.context.tables, task.tenant, sync_id, mailbox)
                for one, mailbox in again[at : at + MAILBOXES_PER_CHUNK]
                if one == sync_id
            ]
            sync = await load_sync(task.context.tables, task.tenant, sync_id, ended=True)
            busy = await _serve(task, sync, [row for row in rows if row is not None])
            request.subject.busy += [(sync_id, mailbox) for mailbox in busy]
    if request.subject.busy:
        raise WaitError(min(_BUSY_DELAY, task.context.lease.total_seconds()))


async def _serve(task: Task, sync: Sync, group: Sequence[Replica]) -> list[str]:
    """Clean up to twenty mailboxes side by side; returns those that another worker holds."""
    claimed, busy = await _claim(task, sync.sync, group)
    mailboxes = open_mailboxes(task.context, sync)
    ledgers = LedgerStore(task.context.tables, task.keys.sealer, task.tenant, sync.sync)
    await asyncio.gather(*(_clean(task, mailboxes, ledgers, sync, replica) for replica in claimed))
    task.request.count("requests", mailboxes.spent.requests)
    for replica in claimed:
        replica.owner, replica.owned_until = "", None
    await _save(task, sync.sync, claimed)
    return busy


async def _claim(task: Task, sync: str, group: Sequence[Replica]) -> tuple[list[Replica], list[str]]:
    now = task.context.now()
    free = [one for one in group if not (one.owner and one.owned_until is not None and one.owned_until > now)]
    busy = [one.mailbox for one in group if one not in free]
    until = now + task.context.lease
    # dirty while we write: who comes after a death lists the folder first
    rows = [replace(one, dirty=True, owner=task.context.owner, owned_until=until) for one in free]
    lost = await _save(task, sync, rows)
    claimed = [
        replace(one, etag=row.etag, owner=row.owner, owned_until=until)
        for one, row in zip(free, rows, strict=True)
        if one.mailbox not in lost
    ]
    return claimed, [*busy, *lost]


async def _save(task: Task, sync: str, rows: Sequence[Replica]) -> set[str]:
    """One transaction, or, where somebody else was first, one for each row; returns the mailboxes that others have changed."""
    lost: set[str] = set()
    try:
        await register.save_replicas(task.context.tables, task.tenant, sync, rows)
    except ConflictError:
        for row in rows:
            try:
                await register.save_replicas(task.context.tables, task.tenant, sync, [row])
            except ConflictError:
                lost.add(row.mailbox)
    return lost


async def _clean(task: Task, mailboxes: Mailboxes, ledgers: LedgerStore, sync: Sync, replica: Replica) -> None:
    with mailboxes.sharing():
        try:
            if sync.definition.kind is EVENTS:
                await rewrite_events(task, mailboxes, ledgers, await _ledger(ledgers, replica), sync.sync, replica)
            else:
                await _remove(task, mailboxes, ledgers, sync.sync, replica)
        except TransientError:
            # the ledger has been saved or not: either way the folder is listed before anything is created
            replica.dirty = True
            raise
        except MailboxError:
            # gone, out of scope or refusing: when it can be reached again, the next run removes what its snapshot lacks
            task.request.count("mailboxesUnreachable")
            replica.dirty, replica.applied = True, ""
        else:
            task.request.count("mailboxes")


async def _remove(task: Task, mailboxes: Mailboxes, ledgers: LedgerStore, sync: str, replica: Replica) -> None:
    ledger = await _ledger(ledgers, replica)
    wanted = task.request.subject.keys  # where nobody was known, items have to be looked at
    if ledger is not None and wanted:
        held = {key: one.item_id for key, one in ledger.everything().items() if concerns(wanted, key)}
        ids = list(held.values())
    else:
        held = {}
        ids = await _listed(task, mailboxes, sync, replica)
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        await _delete(mailboxes, replica, batch)
        task.request.count("itemsRemoved", len(batch))
        # a look by id finds them wherever they lie: a cloud without permanentDelete has moved them to Deleted Items
        left = [seen for seen in await mailboxes.look(replica.mailbox, batch) if seen is not None]
        task.request.count("itemsInDeletedItems", len(left))
    if ledger is not None and held:
        for key in held:
            ledger.put(key, None)
            ledger.doubt(ledger.bucket_of(key))
        await ledgers.save(replica.mailbox, ledger)
        replica.applied = ""


async def _delete(mailboxes: Mailboxes, replica: Replica, ids: Sequence[str]) -> None:
    for outcome in await mailboxes.write(replica.mailbox, replica.folder_id, [Delete("", item_id) for item_id in ids]):
        if outcome.error is not None:
            raise outcome.error


async def _ledger(ledgers: LedgerStore, replica: Replica) -> Ledger | None:
    """The whole ledger; None when it cannot be relied on."""
    ledger = await ledgers.open(replica.mailbox, along=True) if replica.folder_id and not replica.dirty else None
    if ledger is None or ledger.head.folder_id != replica.folder_id or replica.left_folders:
        return None
    try:
        await ledgers.load(replica.mailbox, ledger)
    except LostPagesError:
        return None
    return ledger


async def _listed(task: Task, mailboxes: Mailboxes, sync: str, replica: Replica) -> list[str]:
    """The person's items by their marks; where no cache knows the person, by what our items say."""
    if not (replica.folder_id or replica.dirty or replica.left_folders):
        return []  # nothing has ever been written there
    wanted, installation = task.request.subject.meant, task.context.installation
    known = set(task.request.subject.identifiers)
    ids: list[str] = []
    async for folder in folders.all_folders(mailboxes, replica.mailbox):
        is_ours = folder.folder_id == replica.folder_id and not replica.in_default_folder
        fields = () if task.request.subject.keys or not is_ours else _FIELDS
        try:
            async for page in mailboxes.items(replica.mailbox, folder.folder_id, fields=fields):
                for item in page:
                    key = key_in(item.mark, installation, sync)
                    if key is None:
                        continue
                    if concerns(wanted, key) or (item.fields is not None and not known.isdisjoint(_identifiers(item.fields))):
                        ids.append(item.item_id)
        except LedgerDoubtError:
            continue
    return ids


def _identifiers(fields: Mapping[str, Any]) -> set[str]:
    mails = {by_mail(entry["address"]) for entry in fields.get("emailAddresses") or () if entry.get("address")}
    numbers = (fields.get("mobilePhone"), *(fields.get("businessPhones") or ()))
    return mails | {by_phone(number) for number in numbers if number}
