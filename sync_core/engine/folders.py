"""Finding, making and judging our folder in a mailbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count

from sync_core.errors import ConflictError, MailboxError, Reason
from sync_core.marks import is_folder_of
from sync_core.model import Folder, Replica
from sync_core.ports import Mailboxes

DEFAULT = "contacts"
"""The name under which Graph knows every mailbox's default contact folder."""

_DEEPEST = 20
TRIES = 4


@dataclass(frozen=True, slots=True)
class Located:
    """Our folder in a mailbox (None: there is none), further folders with our mark, and all that are beside it."""

    folder: Folder | None
    extra: list[Folder]
    beside: list[Folder]

    @property
    def names(self) -> set[str]:
        """The names that are taken, case-folded."""
        return {folder.name.casefold() for folder in self.beside}


async def locate(mailboxes: Mailboxes, replica: Replica, *, installation: str, sync: str) -> Located:
    """Find a replica's folder: the default one, or the registered one wherever the user put it, or else one with our mark.

    One that the replica has moved out of is not its folder.
    """
    if replica.in_default_folder:
        return await _locate_default(mailboxes, replica, installation=installation, sync=sync)
    mailbox, registered = replica.mailbox, replica.folder_id
    there = await mailboxes.folders(mailbox)
    marked = [folder for folder in there if is_folder_of(folder.mark, installation, sync)]
    found = next((folder for folder in there if folder.folder_id == registered), None)
    if found is None and registered:
        found = await still_there(mailboxes, mailbox, registered)
    marked = [folder for folder in marked if folder.folder_id not in replica.left_folders]
    if found is None and marked:
        found = min(marked, key=lambda folder: folder.folder_id)
    extra = [folder for folder in marked if found is None or folder.folder_id != found.folder_id]
    return Located(found, extra, there)


async def _locate_default(mailboxes: Mailboxes, replica: Replica, *, installation: str, sync: str) -> Located:
    """The default folder; folders with our mark are left over from a time when the sync had one of its own."""
    mailbox = replica.mailbox
    default = await mailboxes.folder(mailbox, DEFAULT)
    if default is None:
        raise MailboxError(Reason.REFUSED, "no default folder")
    there = await mailboxes.folders(mailbox)
    marked = [folder for folder in there if is_folder_of(folder.mark, installation, sync)]
    return Located(default, [folder for folder in marked if folder.folder_id not in replica.left_folders], there)


def relocate(replica: Replica, name: str | None) -> None:
    """Note that a replica belongs into the default folder (None) or a folder of its own, if it is not there yet.

    To be stored before anything is written to the new place. The old place is remembered until it is cleaned.
    """
    if replica.in_default_folder != (name is None):
        move_out(replica, name)


def move_out(replica: Replica, name: str | None) -> None:
    """Note that a replica gives up its folder for another one, to be found or made, or for the default folder (None)."""
    left = DEFAULT if replica.in_default_folder else replica.folder_id
    replica.left_folders = tuple(dict.fromkeys((*replica.left_folders, left))) if left else replica.left_folders
    replica.folder_id, replica.folder_name, replica.applied = "", name or "", ""
    if name is None:
        replica.left_folders = tuple(folder_id for folder_id in replica.left_folders if folder_id != DEFAULT)


def move_in(replica: Replica, folder_id: str) -> None:
    """Note which folder a replica is in from now on."""
    replica.folder_id = folder_id
    replica.left_folders = tuple(left for left in replica.left_folders if left != folder_id)


async def rename(mailboxes: Mailboxes, mailbox: str, folder_id: str, name: str) -> None:
    """Give our folder another name, or a similar one where the user's has it. Raises LedgerDoubtError when it is gone."""
    taken: set[str] = set()
    for _ in range(TRIES):
        free = free_name(name, taken)
        try:
            await mailboxes.rename_folder(mailbox, folder_id, free)
        except ConflictError:
            taken |= {free.casefold(), *await _names_beside(mailboxes, mailbox, folder_id)}
        else:
            return
    raise MailboxError(Reason.REFUSED, "folder name")


async def still_there(mailboxes: Mailboxes, mailbox: str, folder_id: str) -> Folder | None:
    """One of the user's contact folders or calendars by its id; None when there is none, or it was deleted."""
    folder = await mailboxes.folder(mailbox, folder_id)
    return folder if folder is not None and await in_its_place(mailboxes, mailbox, folder) else None


async def in_its_place(mailboxes: Mailboxes, mailbox: str, folder: Folder) -> bool:
    """Whether a folder is one of the user's contact folders at any depth, or calendars.

    A deleted folder still answers by id, but its parents no longer lead to the default folder.
    """
    if not mailboxes.kind.nests:
        return True
    default = await mailboxes.folder(mailbox, DEFAULT)
    if default is None:
        return False
    step: Folder | None = folder
    for _ in range(_DEEPEST):
        if step is None:
            return False
        if default.folder_id in (step.folder_id, step.parent_id):
            return True
        step = await mailboxes.folder(mailbox, step.parent_id)
    return False


async def all_folders(mailboxes: Mailboxes, mailbox: str) -> AsyncIterator[Folder]:
    """Every contact folder of the user at any depth, the default folder first, or every calendar."""
    default = await mailboxes.folder(mailbox, DEFAULT) if mailboxes.kind.nests else None
    if default is not None:
        yield default
    waiting = await mailboxes.folders(mailbox)
    while waiting:
        folder = waiting.pop()
        yield folder
        waiting += await mailboxes.child_folders(mailbox, folder.folder_id)


async def _names_beside(mailboxes: Mailboxes, mailbox: str, folder_id: str) -> set[str]:
    folder = await mailboxes.folder(mailbox, folder_id)
    if folder is None:
        return set()
    nests = mailboxes.kind.nests
    beside = await (mailboxes.child_folders(mailbox, folder.parent_id) if nests else mailboxes.folders(mailbox))
    return {other.name.casefold() for other in beside if other.folder_id != folder_id}


def free_name(name: str, taken: set[str]) -> str:
    """The name, or the first one with a number behind it that is not `taken` (case-folded)."""
    if name.casefold() not in taken:
        return name
    return next(other for other in (f"{name} ({number})" for number in count(2)) if other.casefold() not in taken)
