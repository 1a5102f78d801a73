"""Exit without us: finds whatever this installation wrote in a mailbox by its marks alone, and takes it back.

Needs no database: mailboxes come from the directory, folders and items say themselves whose they are. To repeat it is to go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sync_core.engine.folders import all_folders
from sync_core.engine.work import BATCH
from sync_core.marks import Mark, parse
from sync_core.model import Delete, Folder
from sync_core.ports import Mailboxes


class Exit(StrEnum):
    """What to do with what is found."""

    REPORT = "report"  # change nothing
    REMOVE = "remove"  # what users moved or copied elsewhere stays, without our mark
    UNMARK = "unmark"  # everything stays, and is the users' from then on


@dataclass(frozen=True, slots=True)
class Left:
    """What was done in one mailbox, or would be."""

    deleted: int = 0
    unmarked: int = 0
    folders_deleted: int = 0
    folders_unmarked: int = 0


@dataclass(slots=True)
class _Place:
    """A folder and what of ours is in it. `sync` is None for a folder that is not ours."""

    folder: Folder
    sync: str | None
    ours: list[tuple[str, str]] = field(default_factory=list)  # item id, sync
    foreign: bool = False


async def leave_mailbox(mailboxes: Mailboxes, mailbox: str, *, installation: str, action: Exit) -> Left:
    """Take what this installation wrote out of a mailbox, or only our marks off it. Raises like Mailboxes.

    An item belongs where it was written: in a folder of ours, or in the default folder when its sync has no folder here. Anywhere
    else the user has put it.
    """
    places = [await _look(mailboxes, mailbox, folder, installation) async for folder in all_folders(mailboxes, mailbox)]
    in_default = _in_default(places) if mailboxes.kind.nests else set()
    delete: dict[str, list[str]] = {}
    unmark: list[str] = []
    for number, place in enumerate(places):
        for item_id, sync in place.ours:
            at_home = place.sync is not None or (number == 0 and sync in in_default)
            if at_home and action is not Exit.UNMARK:
                delete.setdefault(place.folder.folder_id, []).append(item_id)
            else:
                unmark.append(item_id)
    ours = [place.folder.folder_id for place in places if place.sync is not None]
    removable = set() if action is Exit.UNMARK else _removable(places)
    if action is not Exit.REPORT:
        await _carry_out(mailboxes, mailbox, delete, unmark, ours, removable)
    return Left(sum(map(len, delete.values())), len(unmark), len(removable), len(ours) - len(removable))


async def _look(mailboxes: Mailboxes, mailbox: str, folder: Folder, installation: str) -> _Place:
    mark = _ours(folder.mark, installation)
    place = _Place(folder, mark.sync if mark is not None and not mark.keys else None)
    async for page in mailboxes.items(mailbox, folder.folder_id):
        for item in page:
            mark = _ours(item.mark, installation)
            if mark is not None and mark.keys:
                place.ours.append((item.item_id, mark.sync))
            else:
                place.foreign = True
    return place


def _in_default(places: Sequence[_Place]) -> set[str]:
    """The syncs at home in the default folder, which is the first place.

    A sync that shares the folder of another one has none with its own mark: it is where most of its items are.
    """
    with_folder = {place.sync for place in places}
    at_home = Counter(sync for place in places if place.sync is not None for _, sync in place.ours)
    default = Counter(sync for _, sync in places[0].ours)
    return {sync for sync, count in default.items() if sync not in with_folder and count > at_home[sync]}


def _ours(text: str | None, installation: str) -> Mark | None:
    mark = parse(text) if text else None
    return mark if mark is not None and mark.installation == installation else None


def _removable(places: Sequence[_Place]) -> set[str]:
    """Folders of ours with nothing else in them. A folder comes before the folders inside it."""
    kept: set[str] = set()
    removable: set[str] = set()
    for place in reversed(places):
        if place.sync is None or place.foreign or place.folder.folder_id in kept:
            kept.add(place.folder.parent_id)
        else:
            removable.add(place.folder.folder_id)
    return removable


async def _carry_out(
    mailboxes: Mailboxes,
    mailbox: str,
    delete: Mapping[str, list[str]],
    unmark: Sequence[str],
    ours: Sequence[str],
    removable: set[str],
) -> None:
    """Items before folders, and deeper folders first: what breaks off leaves nothing that would not be found again."""
    for folder_id, items in delete.items():
        for start in range(0, len(items), BATCH):
            batch = [Delete("", item_id) for item_id in items[start : start + BATCH]]
            for outcome in await mailboxes.write(mailbox, folder_id, batch):
                if outcome.error is not None:
                    raise outcome.error
    for start in range(0, len(unmark), BATCH):
        await mailboxes.unmark(mailbox, *unmark[start : start + BATCH])
    for folder_id in reversed(ours):
        if folder_id in removable:
            await mailboxes.delete_folder(mailbox, folder_id)
        else:
            await mailboxes.unmark_folder(mailbox, folder_id)
