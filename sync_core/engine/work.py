"""What all mailboxes of a chunk share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sync_core.engine.context import LATE_WRITE, Context
from sync_core.engine.photos import Shelf
from sync_core.errors import ClaimLostError, LostPagesError
from sync_core.fingerprints import Fingerprinter
from sync_core.kinds import EVENTS
from sync_core.marks import key_in
from sync_core.model import Counts, Replica, SeenItem
from sync_core.policies import Policies
from sync_core.ports import Mailboxes
from sync_core.state import replicas as register
from sync_core.state.ledgers import LedgerStore
from sync_core.state.refusals import RefusalStore
from sync_core.state.runs import Carried, Check
from sync_core.state.snapshots import SnapshotHead, SnapshotStore
from sync_core.state.suppressions import current_epoch
from sync_core.state.syncs import Sync

BATCH = 20
"""Operations per call: what one Graph batch takes."""

_EPOCH_EVERY = timedelta(seconds=5)


class OutOfTimeError(Exception):
    """This delivery has worked long enough: the rest is for the next one."""


@dataclass(slots=True)
class Work:
    """One delivery of a chunk. `snapshot` is None while the sync is being deleted: then every replica leaves.

    `emptied` are fields that an undo takes back as a whole, because the list it brings back does not write them.

    `shelf` has the photos of a sync that wants them. `owed` are, by mailbox, the contacts whose photo is not as their mark says.
    `progress` is what was done so far in each mailbox, by earlier parts of the chunk and by this one; it is kept even when the
    service of a mailbox breaks off.
    """

    context: Context
    sync: Sync
    mailboxes: Mailboxes
    fingerprinter: Fingerprinter
    policies: Policies
    snapshots: SnapshotStore
    snapshot: SnapshotHead | None
    ledgers: LedgerStore
    refusals: RefusalStore
    check: Check
    released: bool
    deadline: datetime
    emptied: Sequence[str] = ()
    shelf: Shelf | None = None
    owed: dict[str, set[str]] = field(default_factory=dict)
    progress: dict[str, Carried] = field(default_factory=dict)
    epoch_read_at: datetime | None = None
    reading_epoch: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def check_epoch(self, snapshot: SnapshotHead) -> None:
        """Once the mailboxes are claimed, and before each batch: raises LostPagesError when the snapshot is of an older epoch.

        The row is read every few seconds only. Whoever removes a person from a mailbox waits until claims like ours have ended.
        """
        async with self.reading_epoch:  # one read for the mailboxes that are served side by side
            now = self.context.now()
            if self.epoch_read_at is not None and now - self.epoch_read_at < _EPOCH_EVERY:
                return
            if await current_epoch(self.context.tables, self.sync.tenant) != snapshot.epoch:
                raise LostPagesError("somebody has been suppressed since the snapshot was made")
            self.epoch_read_at = now

    def so_far(self, mailbox: str) -> Carried:
        """The progress of one mailbox."""
        return self.progress.setdefault(mailbox, Carried())

    def count(self, mailbox: str) -> Counts:
        """The account of one mailbox."""
        return self.so_far(mailbox).counts

    def check_of(self, mailbox: str) -> Check:
        """How closely to look at a mailbox: once as the run asks, afterwards only as usual."""
        return Check.DUE if self.so_far(mailbox).looked else self.check

    def our_key(self, item: SeenItem | None) -> str | None:
        """The key of an item of this installation and sync, None for anything else."""
        return key_in(item.mark, self.context.installation, self.sync.sync) if item is not None else None

    async def note(self, replica: Replica) -> None:
        """Store what a replica is from now on, before what follows relies on it. Raises ConflictError when the claim is lost."""
        row = replace(replica, dirty=True)
        await register.save_replicas(self.context.tables, self.sync.tenant, self.sync.sync, [row])
        replica.etag = row.etag

    def check_claim(self, replica: Replica) -> None:
        """Before each write. Raises ClaimLostError when our claim is about to run out, OutOfTimeError after long enough work."""
        self.check_lease(replica)
        if self.context.now() >= self.deadline:
            raise OutOfTimeError

    def check_lease(self, replica: Replica) -> None:
        """Before a write that belongs to one just made. Raises ClaimLostError when our claim is about to run out."""
        if replica.owned_until is None or self.context.now() >= replica.owned_until - self.context.lease / 5:
            raise ClaimLostError("the claim has run out")


def open_mailboxes(context: Context, sync: Sync) -> Mailboxes:
    """The mailboxes of the sync's tenant, as far as its kind of items goes."""
    if sync.definition.kind is EVENTS:
        return context.graph.calendars(sync.tenant, color=sync.definition.color)
    return context.graph.mailboxes(sync.tenant)


def must_look(replica: Replica, now: datetime) -> bool:
    """Whether writes to a mailbox may be lost or under way, so that only a look at it tells what it holds.

    Notes in the replica whether yet another look is wanted after that.
    """
    if replica.look_after is not None and replica.look_after <= now:
        replica.look_after = None
        return True
    if replica.dirty and replica.look_after is None:
        # a worker before us broke off: its last write may still commit
        replica.look_after = now + LATE_WRITE
    return replica.dirty


def expect_late_write(work: Work, replica: Replica) -> None:
    """A write without an answer may commit late: the mailbox gets one more look after that."""
    replica.look_after = work.context.now() + LATE_WRITE
