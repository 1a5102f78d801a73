"""Takes everything of a sync out of a mailbox: our items first, then the folder if nothing else is in it.

A folder that others share is handed over to one of them (see `sharing`): who leaves takes only what is theirs.
"""

from __future__ import annotations

from collections.abc import Collection

from sync_core.engine import folders, sharing
from sync_core.engine.work import BATCH, Work, must_look
from sync_core.errors import LedgerDoubtError, MailboxError, Reason
from sync_core.marks import folder_mark, installed_by, is_folder_of, parse
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
    homes = _homes(replica)
    async for folder in folders.all_folders(work.mailboxes, replica.mailbox):
        await _release_items(work, replica, folder.folder_id)
        is_ours = is_folder_of(folder.mark, work.context.installation, work.sync.sync)
        if not is_ours and folder.folder_id not in homes:
            continue
        work.check_claim(replica)
        if await _is_shared(work, replica, folder.folder_id):
            await _give_up(work, replica, folder.folder_id, delete=False)
        elif is_ours:
            await work.mailboxes.unmark_folder(replica.mailbox, folder.folder_id)
    return await _taken_leave(work, replica, "kept")


async def release_elsewhere(work: Work, replica: Replica) -> None:
    """Take our marks off whatever lies outside the replica's folder; further folders of ours, at any depth, are removed.

    A folder that the replica moves out of is left alone too: what is in it is ours. What is ours in a folder that several syncs
    shared, and that its user took back after they had all got another one, is deleted.
    """
    installation, sync = work.context.installation, work.sync.sync
    homes = _homes(replica)
    extra: list[str] = []
    places = [folder async for folder in folders.all_folders(work.mailboxes, replica.mailbox)]
    if work.mailboxes.kind.nests:
        default = places.pop(0)
        if folders.DEFAULT not in homes:
            await _release_items(work, replica, default.folder_id)
    marked = any(installed_by(folder.mark, installation) for folder in places if folder.folder_id not in homes)
    there = await sharing.others(work.context, work.sync, replica.mailbox) if marked else []
    for folder in places:
        if folder.folder_id in homes:
            continue
        if is_folder_of(folder.mark, installation, sync):
            extra.append(folder.folder_id)
        elif sharing.came_back(there, folder, installation):
            await _delete_items(work, replica, folder.folder_id)
        else:
            await _release_items(work, replica, folder.folder_id)
    for folder_id in reversed(extra):  # what lies deeper first
        await remove_folder(work, replica, folder_id)


async def remove_folder(work: Work, replica: Replica, folder_id: str) -> None:
    """Delete our items of a folder, then the folder; one that holds something else stays.

    It is another sync's from then on that shares it, or else the user's. The default folder always stays: it is known by its name
    here, `folders.DEFAULT`.
    """
    mailboxes, mailbox = work.mailboxes, replica.mailbox
    try:
        inside, foreign = await _delete_items(work, replica, folder_id)
        if folder_id == folders.DEFAULT:
            return
        foreign = foreign or bool(await mailboxes.child_folders(mailbox, folder_id))
        if await _is_shared(work, replica, folder_id, inside):
            await _give_up(work, replica, folder_id, delete=True)
        elif foreign:
            await mailboxes.unmark_folder(mailbox, folder_id)
        else:
            work.check_claim(replica)
            await mailboxes.delete_folder(mailbox, folder_id)
    except LedgerDoubtError:
        return  # it is gone


async def leave_old_folder(work: Work, replica: Replica) -> None:
    """Clean the folders that a replica has moved out of; once more when a write to them may still commit."""
    for folder_id in replica.left_folders:
        await remove_folder(work, replica, folder_id)
    if replica.look_after is None:
        replica.left_folders = ()


async def _taken_leave(work: Work, replica: Replica, outcome: str) -> MailboxResult:
    await work.ledgers.remove(replica.mailbox)
    replica.dirty, replica.due = replica.look_after is not None, replica.look_after
    return MailboxResult(replica.mailbox, outcome)


def _homes(replica: Replica) -> list[str]:
    """The folders in which items of ours are where we have put them."""
    home = folders.DEFAULT if replica.in_default_folder else replica.folder_id
    return [folder_id for folder_id in (home, *replica.left_folders) if folder_id]


async def _give_up(work: Work, replica: Replica, folder_id: str, *, delete: bool) -> None:
    """Leave a folder that other syncs may share: to one of them, or to its user, or `delete` it when nothing is in it.

    What is ours in it has been dealt with. Every step looks again at what the steps before were for, so that whoever comes
    in or leaves meanwhile is noticed, or notices. Into one that came back from Deleted Items nobody comes any more.
    """
    mailboxes, mailbox, installation = work.mailboxes, replica.mailbox, work.context.installation
    came_back = folder_id not in _homes(replica)
    for _ in range(folders.TRIES):
        folder = await mailboxes.folder(mailbox, folder_id)
        if folder is None:
            return
        late: list[str] = []
        inside, foreign = await _look_inside(work, replica, folder_id, late)
        there = await sharing.others(work.context, work.sync, mailbox)
        heirs = sharing.heirs(there, folder_id, inside, came_back=came_back)
        work.check_claim(replica)
        if heirs:
            if installed_by(folder.mark, installation) in heirs:
                return
            await mailboxes.mark_folder(mailbox, folder_id, folder_mark(installation, heirs[0]))
            continue
        empty = not (foreign or inside or late) and not await mailboxes.child_folders(mailbox, folder_id)
        if installed_by(folder.mark, installation) and not (came_back and empty and delete):
            await mailboxes.unmark_folder(mailbox, folder_id)
        else:
            if empty and delete:
                await mailboxes.delete_folder(mailbox, folder_id)
            return
    raise MailboxError(Reason.MAILBOX_BUSY, "a shared folder")


async def _is_shared(work: Work, replica: Replica, folder_id: str, inside: Collection[str] = ()) -> bool:
    there = await sharing.others(work.context, work.sync, replica.mailbox)
    return sharing.concerned(there, folder_id, replica.folder_name, inside)


async def _delete_items(work: Work, replica: Replica, folder_id: str) -> tuple[set[str], bool]:
    """Delete our items; returns the other syncs that have items in the folder, and whether there is anything else."""
    ids: list[str] = []
    inside, foreign = await _look_inside(work, replica, folder_id, ids)
    for start in range(0, len(ids), BATCH):
        work.check_claim(replica)
        batch = [Delete("", item_id) for item_id in ids[start : start + BATCH]]
        outcomes = await work.mailboxes.write(replica.mailbox, folder_id, batch)
        work.count(replica.mailbox).deleted += sum(outcome.error is None for outcome in outcomes)
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
    return inside, foreign


async def _look_inside(work: Work, replica: Replica, folder_id: str, ours: list[str]) -> tuple[set[str], bool]:
    """Add the ids of our items to `ours`; otherwise like `_delete_items`."""
    inside: set[str] = set()
    foreign = False
    async for page in work.mailboxes.items(replica.mailbox, folder_id):
        for item in page:
            mark = parse(item.mark) if item.mark else None
            if work.our_key(item) is not None:
                ours.append(item.item_id)
            elif mark is not None and mark.keys and mark.installation == work.context.installation:
                inside.add(mark.sync)
            else:
                foreign = True
    return inside, foreign


async def _release_items(work: Work, replica: Replica, folder_id: str) -> None:
    pages = work.mailboxes.items(replica.mailbox, folder_id)
    ids = [item.item_id async for page in pages for item in page if work.our_key(item) is not None]
    for start in range(0, len(ids), BATCH):
        work.check_claim(replica)
        await work.mailboxes.unmark(replica.mailbox, *ids[start : start + BATCH])
