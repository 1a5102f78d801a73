"""What all mailboxes of a chunk share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sync_core.engine.context import Context
from sync_core.errors import ClaimLostError
from sync_core.fingerprints import Fingerprinter
from sync_core.marks import key_in
from sync_core.model import Counts, Replica, SeenItem
from sync_core.ports import Mailboxes
from sync_core.state.ledgers import LedgerStore
from sync_core.state.runs import Check
from sync_core.state.snapshots import SnapshotHead, SnapshotStore
from sync_core.state.syncs import Sync

BATCH = 20
"""Operations per call: what one Graph batch takes."""


class OutOfTimeError(Exception):
    """This delivery has worked long enough: the rest is for the next one."""


@dataclass(slots=True)
class Work:
    """One delivery of a chunk. `snapshot` is None while the sync is being deleted: then every replica leaves."""

    context: Context
    sync: Sync
    mailboxes: Mailboxes
    fingerprinter: Fingerprinter
    snapshots: SnapshotStore
    snapshot: SnapshotHead | None
    ledgers: LedgerStore
    check: Check
    released: bool
    deadline: datetime
    counts: dict[str, Counts] = field(default_factory=dict)

    def count(self, mailbox: str) -> Counts:
        """The account of one mailbox in this delivery, kept even when its service breaks off."""
        return self.counts.setdefault(mailbox, Counts())

    def our_key(self, item: SeenItem | None) -> str | None:
        """The key of an item of this installation and sync, None for anything else."""
        return key_in(item.mark, self.context.installation, self.sync.sync) if item is not None else None

    def check_claim(self, replica: Replica) -> None:
        """Before each write. Raises ClaimLostError when our claim is about to run out, OutOfTimeError after long enough work."""
        now = self.context.now()
        if replica.owned_until is None or now >= replica.owned_until - self.context.lease / 5:
            raise ClaimLostError("the claim has run out")
        if now >= self.deadline:
            raise OutOfTimeError
