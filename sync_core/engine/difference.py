"""How a proposal differs from what was last applied, and which brakes that touches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sync_core import brakes
from sync_core.choices import Choice
from sync_core.engine.context import Context
from sync_core.engine.snapshot import Proposal
from sync_core.errors import Reason
from sync_core.model import Item, ReplicaState
from sync_core.state import replicas as register
from sync_core.state.snapshots import SnapshotHead, SnapshotStore
from sync_core.state.syncs import Sync


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a run is held."""

    reason: Reason
    detail: str


class HeldError(Exception):
    """The run is held, and changes nothing."""

    def __init__(self, hold: Hold) -> None:
        super().__init__(hold.reason, hold.detail)
        self.hold = hold


@dataclass(frozen=True, slots=True)
class People:
    """How the people differ from those of the snapshot."""

    added: int = 0
    changed: int = 0
    removed: list[Item] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Difference:
    """`people` is None when they cannot be compared: the snapshot was purged."""

    people: People | None
    targets_added: int
    targets_removed: int

    def counts(self) -> dict[str, int]:
        """The counts alone: they name nobody."""
        counts = {"targets_added": self.targets_added, "targets_removed": self.targets_removed}
        if self.people is not None:
            counts |= {
                "people_added": self.people.added,
                "people_changed": self.people.changed,
                "people_removed": len(self.people.removed),
            }
        return counts


async def difference(
    context: Context, store: SnapshotStore, snapshot: SnapshotHead | None, sync: Sync, proposal: Proposal
) -> Difference:
    """Compare a proposal with the current snapshot and the register of replicas. Raises LostPagesError."""
    registered = {
        replica.mailbox
        async for replica in register.all_replicas(context.tables, sync.tenant, sync.sync)
        if replica.state not in (ReplicaState.LEAVING, ReplicaState.DECLINED)
    }
    targets = {mailbox for mailbox, choice in proposal.targets.items() if choice is not Choice.OFF}
    return Difference(await _people(store, snapshot, sync, proposal), len(targets - registered), len(registered - targets))


async def _people(store: SnapshotStore, snapshot: SnapshotHead | None, sync: Sync, proposal: Proposal) -> People | None:
    if snapshot is None:
        return None if sync.people else People(added=proposal.people)
    known = changed = 0
    removed: list[Item] = []
    for number in range(len(snapshot.digests)):
        for key, before in (await store.page(snapshot, number)).items():
            after = proposal.items.get(key)
            if after is None and key not in proposal.kept:
                removed.append(before)
                continue
            known += 1
            changed += after is not None and after.fingerprint != before.fingerprint
    return People(proposal.people - known, changed, removed)


def holds_on(sync: Sync, proposal: Proposal) -> list[Hold]:
    """The brakes that hold a proposal. Events that the window has left behind are no loss."""
    left: Mapping[str, int] = {}
    if sync.forecast is not None and proposal.window is not None:
        left = sync.forecast.left_behind(proposal.window)
    released = sync.released_sources or {}
    people = sync.people - sum(left.values())
    holds = [_brake(sync, Reason.SOURCE_DROPPED, people, sync.released_people, proposal.people)]
    for source, after in proposal.sources.items():
        # what one of several sources no longer says may go unnoticed in the sum
        before = sync.sources.get(source, 0) - left.get(source, 0)
        holds.append(_brake(sync, Reason.SOURCE_DROPPED, before, released.get(source), after, source))
    holds.append(_brake(sync, Reason.TARGETS_DROPPED, sync.targets, sync.released_targets, len(proposal.targets)))
    return [hold for hold in holds if hold is not None]


def _brake(sync: Sync, reason: Reason, before: int, released: int | None, after: int, name: str = "") -> Hold | None:
    limits = sync.definition.brakes
    allowed = before if released is None else min(before, released)
    if not brakes.drop(allowed, after, percent=limits.percent, at_least=limits.at_least):
        return None
    return Hold(reason, f"{name}: {before} -> {after}" if name else f"{before} -> {after}")
