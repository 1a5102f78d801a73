"""Makes a sync's snapshot and list of targets from the directory, in one pass over its pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_hex

from sync_core import buckets
from sync_core.contacts import item_of
from sync_core.definition import SyncDefinition, TenantSettings
from sync_core.directory import has_usable_mailbox, is_person
from sync_core.engine.context import Context
from sync_core.engine.directory_source import directory_store
from sync_core.fingerprints import Fingerprinter
from sync_core.model import Item
from sync_core.ports import TenantKeys
from sync_core.state.snapshots import SnapshotHead, SnapshotStore
from sync_core.state.sources import SourceHead
from sync_core.state.syncs import Sync


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the sources and the definition ask for, before any brake has been asked."""

    items: Mapping[str, Item]
    targets: list[str]  # mailbox ids, sorted


def made_from(source: SourceHead, sync: Sync, settings: TenantSettings) -> str:
    """Names everything that a snapshot and its targets depend on."""
    parts = (source.digest, str(sync.revision), settings.model_dump_json())
    return blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()


async def propose(context: Context, keys: TenantKeys, sync: Sync, settings: TenantSettings, source: SourceHead) -> Proposal:
    """Select and map. Raises LostPagesError when the source is purged meanwhile."""
    fingerprinter = Fingerprinter(keys.fingerprint_key, keys.fingerprint_key_id)
    items: dict[str, Item] = {}
    targets: list[str] = []
    is_target = _target_rule(sync.definition)
    async for user in directory_store(context, keys, sync.tenant).objects(source):
        if is_person(user):
            item = item_of(
                user,
                installation=context.installation,
                sync=sync.sync,
                fingerprinter=fingerprinter,
                default_country=settings.default_country,
            )
            items[item.key] = item
        if has_usable_mailbox(user) and is_target(user["id"]):
            targets.append(user["id"])
    return Proposal(items, sorted(targets))


async def store_snapshot(
    store: SnapshotStore, sync: Sync, proposal: Proposal, *, origin: str, source: SourceHead, previous: SnapshotHead | None
) -> SnapshotHead:
    """Make a proposal the sync's current snapshot. Raises ConflictError when another writer was first."""
    sync.buckets = buckets.bucket_count(len(proposal.items), sync.buckets or None)
    spread: list[dict[str, Item]] = [{} for _ in range(sync.buckets)]
    for key, item in proposal.items.items():
        spread[buckets.bucket_of(key, sync.buckets)][key] = item
    return await store.write(
        token_hex(8), spread, made_from=origin, read_at=source.full_at, previous_etag=previous.etag if previous else ""
    )


def _target_rule(definition: SyncDefinition) -> Callable[[str], bool]:
    named = None if definition.targets.include == "all" else {str(mailbox) for mailbox in definition.targets.include}
    excluded = {str(mailbox) for mailbox in definition.targets.exclude}
    return lambda mailbox: mailbox not in excluded and (named is None or mailbox in named)
