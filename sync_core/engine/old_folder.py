"""Moving over from another product: what its folder holds in each mailbox, and taking the folder away once that is wanted."""

from __future__ import annotations

from dataclasses import dataclass

from sync_core.engine.folders import all_folders
from sync_core.marks import parse
from sync_core.model import Folder
from sync_core.ports import Mailboxes


@dataclass(frozen=True, slots=True)
class OldFolders:
    """The folders of a name in one mailbox, and how many contacts are in them."""

    folders: int = 0
    contacts: int = 0


async def old_folders(mailboxes: Mailboxes, mailbox: str, *, name: str, delete: bool) -> OldFolders:
    """Count the folders of this name and what is in them; with `delete` move them to Deleted Items. Raises like Mailboxes.

    Never the default folder, nor a folder with a mark of ours. What is in them is never adopted.
    """
    _default, *others = [folder async for folder in all_folders(mailboxes, mailbox)]
    found = [folder for folder in others if _is_old(folder, name)]
    contacts = 0
    for folder in found:
        async for page in mailboxes.items(mailbox, folder.folder_id):
            contacts += len(page)
    if delete:
        for folder in reversed(found):
            await mailboxes.discard_folder(mailbox, folder.folder_id)
    return OldFolders(len(found), contacts)


def _is_old(folder: Folder, name: str) -> bool:
    return folder.name.casefold() == name.casefold() and (folder.mark is None or parse(folder.mark) is None)
