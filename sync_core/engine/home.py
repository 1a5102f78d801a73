"""Where a replica is: finds its folder, shares that of another sync, makes one, and follows the name in the definition."""

from __future__ import annotations

from sync_core.engine import folders, sharing
from sync_core.engine.removal import remove_folder
from sync_core.engine.work import Work, expect_late_write
from sync_core.errors import AnswerLostError, ConflictError, LedgerDoubtError, MailboxError, Reason
from sync_core.marks import folder_mark, installed_by
from sync_core.model import Folder, Replica

_REMOVAL = 5.0
"""Seconds in which somebody else removes an empty folder: then its name is free, or it is ours."""


async def find_or_make(work: Work, replica: Replica) -> tuple[Folder, bool]:
    """Our folder, and whether it was just made: then it is known to be empty."""
    mailbox, mailboxes = replica.mailbox, work.mailboxes
    installation, sync = work.context.installation, work.sync.sync
    name = work.sync.definition.folder or replica.folder_name
    taken: set[str] = set()
    for _ in range(folders.TRIES):
        located = await folders.locate(mailboxes, replica, installation=installation, sync=sync)
        for extra in located.extra:
            await remove_folder(work, replica, extra.folder_id)
        if located.folder is not None:
            return located.folder, False
        work.check_claim(replica)
        place = await sharing.place_for(work.context, work.sync, mailboxes, replica, name, located.beside)
        if place is not None:
            if await _come_in(work, replica, *place):
                return place[0], False
            continue
        free = folders.free_name(name, located.names | taken)
        try:
            folder = await mailboxes.create_folder(mailbox, free, folder_mark(installation, sync))
        except AnswerLostError:
            expect_late_write(work, replica)
        except ConflictError:
            taken.add(free.casefold())  # by something that is not listed, if the next look does not show what
        else:
            replica.folder_name, replica.folder_color = name, work.sync.definition.color
            return folder, True
    raise MailboxError(Reason.MAILBOX_BUSY, "no folder")


async def _come_in(work: Work, replica: Replica, folder: Folder, name: str) -> bool:
    """Share a folder of another sync, or return to one; whether it is still there and ours once the register says so."""
    folders.move_in(replica, folder.folder_id)
    replica.folder_name = name
    await work.note(replica)
    now = await work.mailboxes.folder(replica.mailbox, folder.folder_id)
    if now is not None and installed_by(now.mark, work.context.installation):
        return True
    replica.folder_id = ""
    await work.note(replica)
    await work.context.clock.sleep(_REMOVAL)
    return False


async def follow_name(work: Work, replica: Replica) -> None:
    """Follow the definition when it calls our folder otherwise than it did before; until then the user's name for it stands.

    Raises LedgerDoubtError when another folder is wanted instead: the replica has moved out.
    """
    name = work.sync.definition.folder
    if name is None or replica.in_default_folder or name == replica.folder_name:
        return
    work.check_claim(replica)
    if await sharing.must_move_out(work.context, work.sync, replica, name):
        folders.move_out(replica, name)
        await work.note(replica)
        raise LedgerDoubtError("it moves to another folder")
    await folders.rename(work.mailboxes, replica.mailbox, replica.folder_id, name)
    replica.folder_name = name


async def follow_color(work: Work, replica: Replica) -> None:
    """Follow the definition when it gives our calendar another colour than before; until then the user's colour for it stands."""
    color = work.sync.definition.color
    if color != replica.folder_color:
        work.check_claim(replica)
        await work.mailboxes.color_folder(replica.mailbox, replica.folder_id, color)
        replica.folder_color = color
