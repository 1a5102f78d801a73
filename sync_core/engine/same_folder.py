"""Other syncs that write under the same folder name: whoever is in both lists appears twice on the phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from sync_core.engine.context import Context
from sync_core.engine.snapshot import Proposal
from sync_core.ports import TenantKeys
from sync_core.state import replicas as register
from sync_core.state.snapshots import SnapshotStore
from sync_core.state.syncs import Sync, syncs_of


@dataclass(frozen=True, slots=True)
class SameFolder:
    """Another sync with the same folder name, in how many mailboxes they meet, and how many people are in both lists."""

    sync: str
    mailboxes: int
    people: int


async def same_folder(context: Context, keys: TenantKeys, sync: Sync, proposal: Proposal) -> AsyncIterator[SameFolder]:
    """The syncs that meet this one in a mailbox, by id. Where several sources merge people, one key in common makes one person.

    Raises LostPagesError when a snapshot is purged meanwhile; one that is purged already counts as empty.
    """
    targets = set(proposal.targets)
    parts = {part for key in proposal.items for part in key.split("+")}
    async for other in syncs_of(context.tables, sync.tenant):
        if other.sync == sync.sync or other.deleting or not _alike(other, sync):
            continue
        there = {replica.mailbox async for replica in register.all_replicas(context.tables, sync.tenant, other.sync)}
        if not there & targets:
            continue
        store = SnapshotStore(context.tables, keys.sealer, sync.tenant, other.sync)
        head = await store.head()
        people = 0
        if head is not None:
            for number in range(len(head.digests)):
                page = await store.page(head, number)
                people += sum(not parts.isdisjoint(key.split("+")) for key in page)
        yield SameFolder(other.sync, len(there & targets), people)


def _alike(one: Sync, other: Sync) -> bool:
    if one.definition.kind != other.definition.kind:
        return False
    names = [sync.definition.folder and sync.definition.folder.casefold() for sync in (one, other)]
    return names[0] == names[1]
