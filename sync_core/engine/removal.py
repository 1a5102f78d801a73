"""Takes everything of a sync out of a mailbox: our items first, then the folder if nothing else is in it."""

from __future__ import annotations

from sync_core.engine import folders
from sync_core.engine.work import BATCH, Work, must_look
from sync_core.errors import LedgerDoubtError
from sync_core.marks import is_folder_of
from sync_core.model import Delete, MailboxResult, Replica


async def remove_replica(work: Work, replica: Replica) -> MailboxResult:
    """Remove what we wrote from one mailbox, wherever it lies now, judged by marks alone.

    What the user moved or copied into another folder stays there without our mark. When `replica.look_after` is set afterwards, a
    write may still commit: the mailbox wants another look before it is forgotten. Raises like `replicate`.
    """
    replica.dirty = must_look(replica, work.context.now())
    await release_elsewhere(work, replica)
    if replica.folder_id:
        await remove_folder(work, replica, replica.folder_id)
    await work.ledgers.remove(replica.mailbox)
    replica.dirty, replica.due = replica.look_after is not None, replica.look_after
    return MailboxResult(replica.mailbox, "removed")


async def release_elsewhere(work: Work, replica: Replica) -> None:
    """Take our marks off whatever lies outside the replica's folder; further folders of ours, at any depth, are removed."""
    installation, sync = work.context.installation, work.sync.sync
    extra: list[str] = []
    async for folder in folders.all_folders(work.mailboxes, replica.mailbox):
        if folder.folder_id == replica.folder_id:
            continue
        if is_folder_of(folder.mark, installation, sync):
            extra.append(folder.folder_id)
        else:
            await _release_items(work, replica, folder.folder_id)
    for folder_id in reversed(extra):  # what lies deeper first
        await remove_folder(work, replica, folder_id)


async def remove_folder(work: Work, replica: Replica, folder_id: str) -> None:
    """Delete our items of a folder, then the folder; one that holds something else stays, and is the user's from then on."""
    try:
        foreign = await _delete_items(work, replica, folder_id)
        if foreign or await work.mailboxes.child_folders(replica.mailbox, folder_id):
            await work.mailboxes.unmark_folder(replica.mailbox, folder_id)
        else:
            work.check_claim(replica)
            await work.mailboxes.delete_folder(replica.mailbox, folder_id)
    except LedgerDoubtError:
        return  # it is gone


async def _delete_items(work: Work, replica: Replica, folder_id: str) -> bool:
    """Delete our items; returns whether something else is in the folder."""
    ids: list[str] = []
    foreign = False
    async for page in work.mailboxes.items(replica.mailbox, folder_id):
        for item in page:
            if work.our_key(item) is not None:
                ids.append(item.item_id)
            else:
                foreign = True
    for start in range(0, len(ids), BATCH):
        work.check_claim(replica)
        batch = [Delete("", item_id) for item_id in ids[start : start + BATCH]]
        outcomes = await work.mailboxes.write(replica.mailbox, folder_id, batch)
        work.count(replica.mailbox).deleted += sum(outcome.error is None for outcome in outcomes)
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
    return foreign


async def _release_items(work: Work, replica: Replica, folder_id: str) -> None:
    async for page in work.mailboxes.items(replica.mailbox, folder_id):
        for item in page:
            if work.our_key(item) is not None:
                work.check_claim(replica)
                await work.mailboxes.unmark(replica.mailbox, item.item_id)
