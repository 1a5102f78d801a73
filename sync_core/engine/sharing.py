"""Folders in which several syncs write: who is there, where a sync finds the others, and who answers for a folder.

The register says who is where. The mark of the folder names one of them, so that the folder is known as ours without a register;
whose mark it is makes no other difference. Who comes in says so in the register, and then looks whether the folder has a mark of
ours; who removes a folder takes the mark off, and then looks into the register. In whatever order that happens, one of the two
notices the other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sync_core.engine import folders
from sync_core.engine.context import Context
from sync_core.marks import installed_by
from sync_core.model import Folder, Replica, ReplicaState
from sync_core.ports import Mailboxes
from sync_core.state import replicas as register
from sync_core.state.syncs import Sync, syncs_of


@dataclass(frozen=True, slots=True)
class Other:
    """Another sync with a part in a mailbox."""

    sync: Sync
    replica: Replica

    @property
    def stays(self) -> bool:
        """Whether it goes on writing in this mailbox."""
        return not self.sync.deleting and self.replica.state is not ReplicaState.LEAVING

    def is_called(self, name: str) -> bool:
        """Whether its folder was made for this name, whatever the user calls it."""
        return not self.replica.in_default_folder and _alike(self.replica.folder_name, name)

    def wants(self, name: str) -> bool:
        """Whether its folder is to be called so."""
        return self.sync.definition.folder is not None and _alike(self.sync.definition.folder, name)

    def knows(self, folder_id: str) -> bool:
        """Whether something of it may be in a folder for good reason."""
        return folder_id in (self.replica.folder_id, *self.replica.left_folders)


async def others(context: Context, sync: Sync, mailbox: str) -> list[Other]:
    """The other syncs of the same kind that have, or may have, something in a mailbox, by id."""
    found: list[Other] = []
    async for other in syncs_of(context.tables, sync.tenant, ended=True):
        if other.sync == sync.sync or other.definition.kind is not sync.definition.kind:
            continue
        replica = await register.load_replica(context.tables, sync.tenant, other.sync, mailbox)
        if replica is not None and replica.state is not ReplicaState.DECLINED:
            found.append(Other(other, replica))
    return found


async def is_shared(context: Context, sync: Sync, replica: Replica) -> bool:
    """Whether others write in a replica's folder."""
    return any(other.replica.folder_id == replica.folder_id for other in await others(context, sync, replica.mailbox))


async def place_for(
    context: Context, sync: Sync, mailboxes: Mailboxes, replica: Replica, name: str, beside: Sequence[Folder]
) -> tuple[Folder, str] | None:
    """The folder for a replica that has none, and the name it was made for, as far as that is known.

    That of another sync of this name, or one that the replica has left and nobody else is in. None when one has to be made.
    """
    there = await others(context, sync, replica.mailbox)
    for other in there:
        if other.is_called(name):
            folder = await _folder_of(context, mailboxes, other, beside)
            if folder is not None:
                return folder, name
    for folder_id in replica.left_folders:
        if folder_id != folders.DEFAULT and not any(other.knows(folder_id) for other in there):
            folder = await folders.still_there(mailboxes, replica.mailbox, folder_id)
            if folder is not None and installed_by(folder.mark, context.installation):
                return folder, folder.name
    return None


async def _folder_of(context: Context, mailboxes: Mailboxes, other: Other, beside: Sequence[Folder]) -> Folder | None:
    """The folder that another sync is in, or has just made: the register may not say so yet."""
    folder_id, installation = other.replica.folder_id, context.installation
    if folder_id:
        listed = next((folder for folder in beside if folder.folder_id == folder_id), None)
        folder = listed or await folders.still_there(mailboxes, other.replica.mailbox, folder_id)
        if folder is not None and installed_by(folder.mark, installation):
            return folder
    marked = [folder for folder in beside if installed_by(folder.mark, installation) == other.sync.sync]
    just_made = [folder for folder in marked if not other.knows(folder.folder_id)]
    return min(just_made, key=lambda folder: folder.folder_id, default=None)


async def must_move_out(context: Context, sync: Sync, replica: Replica, name: str) -> bool:
    """Whether a replica that is to be called otherwise needs another folder: others stay in this one, or there is one.

    Where all that are in it are to be called so, the folder itself is renamed, for all of them.
    """
    if _alike(name, replica.folder_name):
        return False
    for other in await others(context, sync, replica.mailbox):
        if not other.stays:
            continue
        if other.replica.folder_id == replica.folder_id:
            if other.wants(other.replica.folder_name) and not other.wants(name):
                return True
        elif other.replica.folder_id and other.is_called(name):
            return True
    return False


def concerned(there: Sequence[Other], folder_id: str, name: str, inside: Collection[str]) -> bool:
    """Whether one of the others is in a folder that was made for this name, or may be coming in, or has something inside."""
    return bool(inside) or any(other.knows(folder_id) or other.is_called(name) or other.wants(name) for other in there)


def heirs(there: Sequence[Other], folder_id: str, inside: Collection[str], *, came_back: bool) -> list[str]:
    """Who may answer for a folder that somebody leaves: who stays in it, or else who has still something `inside` to remove.

    In a folder that `came_back` out of Deleted Items after everybody had got another one, that is whoever has something inside.
    """
    staying = [other.sync.sync for other in there if other.replica.folder_id == folder_id and other.stays]
    cleaning = [other.sync.sync for other in there if other.sync.sync in inside and (came_back or other.knows(folder_id))]
    return staying or cleaning


def came_back(there: Sequence[Other], folder: Folder, installation: str) -> bool:
    """Whether a folder bears the mark of a sync that has another one by now: it was deleted, and its user took it back."""
    marked = installed_by(folder.mark, installation)
    return any(other.sync.sync == marked and other.replica.folder_id and not other.knows(folder.folder_id) for other in there)


def _alike(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
