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
    for folder_id in _homes(replica):
        await remove_folder(work, replica, folder_id)
    return await _taken_leave(work, replica, "removed")


async def release_replica(work: Work, replica: Replica) -> MailboxResult:
    """Take our marks off everything in one mailbox: from then on it is the user's. Otherwise like `remove_replica`."""
    replica.dirty = must_look(replica, work.context.now())
    async for folder in folders.all_folders(work.mailboxes, replica.mailbox):
        await _release_items(work, replica, folder.folder_id)
        if is_folder_of(folder.mark, work.context.installation, work.sync.sync):
            work.check_claim(replica)
            await work.mailboxes.unmark_folder(replica.mailbox, folder.folder_id)
    return await _taken_leave(work, replica, "kept")


async def release_elsewhere(work: Work, replica: Replica) -> None:
    """Take our marks off whatever lies outside the replica's folder; further folders of ours, at any depth, are removed.

    A folder that the replica moves out of is left alone too: what is in it is ours.
    """
    installation, sync = work.context.installation, work.sync.sync
    homes = _homes(replica)
    extra: list[str] = []
    places = [folder async for folder in folders.all_folders(work.mailboxes, replica.mailbox)]
    if work.mailboxes.kind.nests:
        default = places.pop(0)
        if folders.DEFAULT not in homes:
            await _release_items(work, replica, default.folder_id)
    for folder in places:
        if folder.folder_id in homes:
            continue
        if is_folder_of(folder.mark, installation, sync):
            extra.append(folder.folder_id)
        else:
            await _release_items(work, replica, folder.folder_id)
    for folder_id in reversed(extra):  # what lies deeper first
        await remove_folder(work, replica, folder_id)


async def remove_folder(work: Work, replica: Replica, folder_id: str) -> None:
    """Delete our items of a folder, then the folder; one that holds something else stays, and is the user's from then on.

    The default folder always stays: it is known by its name here, `folders.DEFAULT`.
    """
    try:
        foreign = await _delete_items(work, replica, folder_id)
        if folder_id == folders.DEFAULT:
            return
        if foreign or await work.mailboxes.child_folders(replica.mailbox, folder_id):
            await work.mailboxes.unmark_folder(replica.mailbox, folder_id)
        else:
            work.check_claim(replica)
            await work.mailboxes.delete_folder(replica.mailbox, folder_id)
    except LedgerDoubtError:
        return  # it is gone


async def leave_old_folder(work: Work, replica: Replica) -> None:
    """Clean the folder that a replica has moved out of; once more when a write to it may still commit."""
    if replica.left_folder:
        await remove_folder(work, replica, replica.left_folder)
    if replica.look_after is None:
        replica.left_folder = ""


async def _taken_leave(work: Work, replica: Replica, outcome: str) -> MailboxResult:
    await work.ledgers.remove(replica.mailbox)
    replica.dirty, replica.due = replica.look_after is not None, replica.look_after
    return MailboxResult(replica.mailbox, outcome)


def _homes(replica: Replica) -> list[str]:
    """The folders in which items of ours are where we have put them."""
    home = folders.DEFAULT if replica.in_default_folder else replica.folder_id
    return [folder_id for folder_id in (home, replica.left_folder) if folder_id]


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
    pages = work.mailboxes.items(replica.mailbox, folder_id)
    ids = [item.item_id async for page in pages for item in page if work.our_key(item) is not None]
    for start in range(0, len(ids), BATCH):
        work.check_claim(replica)
        await work.mailboxes.unmark(replica.mailbox, *ids[start : start + BATCH])
