"""Takes what people hide by now out of a snapshot that no run makes anew: that of an undo, or of a paused sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec.structs import replace

from sync_core.encoding import kept
from sync_core.engine.context import Context
from sync_core.engine.material import hiders_in
from sync_core.fingerprints import PHOTO, Fingerprinter
from sync_core.hiding import CardField, Hiders, allowed
from sync_core.kinds import CONTACTS
from sync_core.marks import FINGERPRINT_PROPERTY
from sync_core.model import Item
from sync_core.policies import Policies
from sync_core.ports import TenantKeys
from sync_core.state.choices import load_hidden
from sync_core.state.snapshots import SnapshotHead, SnapshotStore
from sync_core.state.sources import USERS, SourceStore
from sync_core.state.syncs import Sync
from sync_core.state.tenants import load_tenant


async def veil(
    context: Context, store: SnapshotStore, head: SnapshotHead, sync: Sync, keys: TenantKeys, *, made_from: str
) -> SnapshotHead:
    """The current snapshot without what people hide; when that changes it, it counts as `made_from` that. Repeatable.

    Raises LostPagesError, ConflictError.
    """
    if sync.definition.kind is not CONTACTS:
        return head
    hiders = await _hiders(context, sync.tenant, keys)
    fingerprinter = Fingerprinter(keys.fingerprint_key, keys.fingerprint_key_id, head.owned)

    def veiled(item: Item) -> Item:
        body = orjson.loads(item.body)
        hiding = hiders.hiding(item.key, {"otherMails": _addresses(body)})
        if not hiding:
            return item
        photo = "" if CardField.PHOTO in hiding.fields else item.photo
        marks = body.pop("singleValueExtendedProperties")
        contact = hiding.veil(head.fed)(body)
        same_photo = () if photo == "" else (PHOTO,)
        fingerprint = fingerprinter.combined(fingerprinter.of(contact), item.fingerprint, same_photo)
        if fingerprint == item.fingerprint and photo == item.photo:
            return item
        for mark in marks:
            if mark["id"] == FINGERPRINT_PROPERTY:
                mark["value"] = fingerprint
        contact["singleValueExtendedProperties"] = marks
        return replace(item, fingerprint=fingerprint, body=kept(contact), photo=photo, hides=item.hides or item.fingerprint)

    if not hiders.known:
        return head
    return await store.revise(head, veiled, made_from=made_from, policies=Policies.of(sync.definition).name)


async def _hiders(context: Context, tenant: str, keys: TenantKeys) -> Hiders:
    """Who hides something, known by addresses as far as the directory is still kept: nothing is read of Microsoft here."""
    settings = (await load_tenant(context.tables, tenant)).settings
    chosen = allowed(await load_hidden(context.tables, tenant), settings.hideable)
    if not chosen:
        return Hiders()
    directory = SourceStore(context.tables, keys, tenant, USERS)
    return await hiders_in(directory, await directory.head(), chosen)


def _addresses(body: Mapping[str, Any]) -> list[str]:
    return [entry["address"] for entry in body.get("emailAddresses") or () if entry.get("address")]
