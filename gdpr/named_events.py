"""Events that name a person, or are from their calendar: found by keyed hashes of addresses, as suppressions are.

Only the lines of organiser and attendees can be searched: what people write into subjects and texts says whatever they like.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Any

from sync_core.engine.context import Context
from sync_core.errors import LostPagesError
from sync_core.fingerprints import Fingerprinter
from sync_core.kinds import EVENTS
from sync_core.model import Item, Named
from sync_core.named import NAMED, item_without, owned_by
from sync_core.ports import TenantKeys
from sync_core.state.names import SUPPRESSIONS
from sync_core.state.snapshots import SnapshotStore, kept_items
from sync_core.state.sources import CALENDAR, SourceStore, owner_of
from sync_core.state.suppressions import Suppressions
from sync_core.suppression import hashed

NAMED_KEY = "n:"
"""How the key of a person begins of whom only events tell; the keyed hash of the address follows."""


def hashes_of(identifiers: Iterable[str], keys: TenantKeys) -> dict[str, str]:
    """The identifiers by keyed hash."""
    return {hashed(identifier, keys.suppression_key): identifier for identifier in identifiers}


async def suppressed_by(context: Context, tenant: str, request: str) -> set[str]:
    """The keyed hashes that are suppressed on account of a request."""
    rows = [entity.row async for entity in context.tables.query(SUPPRESSIONS, tenant, select=())]
    return {name for name, _, ground in (row.partition(":") for row in rows) if ground == request}


async def events_naming(
    context: Context, keys: TenantKeys, tenant: str, sources: Iterable[str], hashes: Collection[str]
) -> AsyncIterator[tuple[str, str, Mapping[str, Any], list[Named]]]:
    """Every event of these sources that names one of them, or is from their calendar: source, key, event, on what grounds."""
    for source in sources:
        if not source.startswith(CALENDAR):
            continue
        store = SourceStore(context.tables, keys, tenant, source)
        head = await store.head()
        if head is None:
            continue
        owner = owned_by(owner_of(source), keys.suppression_key)
        try:
            async for key, event in store.objects(head):
                grounds = grounds_in((*event.get(NAMED, ()), owner), hashes)
                if grounds:
                    yield source, key, event, grounds
        except LostPagesError:
            continue


def grounds_in(named: Iterable[Named], hashes: Collection[str]) -> list[Named]:
    """Who of these people is one of them."""
    return [(role, mark, name) for role, mark, name in named if mark in hashes]


async def names_still(store: SnapshotStore, hashes: Collection[str]) -> bool:
    """Whether an event of the snapshots that are kept names one of them."""
    async for item in kept_items(store):
        if grounds_in(item.named, hashes):
            return True
    return False


async def rewritten(store: SnapshotStore, keys: TenantKeys, suppressed: Suppressions) -> dict[str, Item | None]:
    """What is left of the events that name somebody who is suppressed, by key; None of what must go.

    Of one that is in both snapshots, the current one. Raises LostPagesError.
    """
    fingerprinter = Fingerprinter(keys.fingerprint_key, keys.fingerprint_key_id, kind=EVENTS)
    affected: dict[str, Item | None] = {}
    for head in (await store.previous(), await store.head()):
        for number in range(len(head.digests) if head is not None else 0):
            assert head is not None
            for key, item in (await store.page(head, number)).items():
                left = item_without(item, suppressed.holds, fingerprinter)
                if left is not item or key in affected:
                    affected[key] = left
    return affected
