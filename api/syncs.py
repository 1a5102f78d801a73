"""Syncs: what an admin configures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, RootModel

from api.endpoint import ADMINS, READERS, Audit, Call, Endpoints, Listed, Reply, Strict, SyncId
from api.paging import Paging, page_of
from api.problems import ProblemError
from api.started import Started, started
from sync_core.definition import SyncDefinition, parse
from sync_core.engine import admin
from sync_core.errors import ConflictError
from sync_core.state.syncs import Sync, load_sync, syncs_of

endpoints = Endpoints("Syncs")


class SyncPath(Strict):
    """A sync."""

    sync: SyncId


class NewSync(Strict):
    """A sync to be. Its id stands in the mark of every contact and never changes."""

    sync: SyncId
    definition: SyncDefinition


class SyncShown(Strict):
    """A sync and where it stands. `held` says why its last run held; `people` and `targets` are the counts last applied."""

    sync: str
    definition: SyncDefinition
    revision: int
    deleting: bool
    paused: bool
    next_run: datetime | None
    active_run: str | None
    held: str | None
    people: int
    targets: int


class MergePatch(RootModel[dict[str, Any]]):
    """A JSON merge patch (RFC 7396) of a definition: null takes a field back to its default."""


class Leaving(Strict):
    """What becomes of the contacts that the sync has written."""

    contacts: Literal["remove", "keep"] = Field(
        default="remove", description="remove them from all mailboxes, or keep them there as their users' own"
    )


@endpoints.get("syncs", roles=READERS)
async def list_syncs(call: Call, query: Paging) -> Listed[SyncShown]:
    """All syncs, by id."""
    rows = syncs_of(call.context.tables, call.tenant, start=query.page)
    return await page_of(rows, query, lambda sync: sync.sync, shown)


@endpoints.post("syncs", roles=ADMINS, audits="sync.created", status=201, idempotent=True)
async def create_sync(call: Call, body: NewSync, audit: Audit) -> Reply[SyncShown]:
    """Create a sync. It first runs at once if it has a schedule."""
    await audit(after=_plain(body.definition))
    try:
        sync = await admin.create_sync(call.context, call.tenant, body.sync, body.definition)
    except ConflictError:
        raise ProblemError(409, "sync_exists", "There is a sync of this id: take another id, or replace that sync") from None
    return Reply(shown(sync), etag=etag(sync), location=f"syncs/{sync.sync}")


@endpoints.get("syncs/{sync}", roles=READERS)
async def read_sync(call: Call, path: SyncPath) -> Reply[SyncShown]:
    """A sync's definition and where it stands. The ETag is the definition's."""
    return _reply(await load_sync(call.context.tables, call.tenant, path.sync))


@endpoints.put("syncs/{sync}", roles=ADMINS, audits="sync.replaced", conditional=True)
async def replace_sync(call: Call, path: SyncPath, body: SyncDefinition, audit: Audit) -> Reply[SyncShown]:
    """Replace the definition of a sync."""
    return await _redefine(call, path.sync, body, audit)


@endpoints.patch("syncs/{sync}", roles=ADMINS, audits="sync.patched", conditional=True)
async def patch_sync(call: Call, path: SyncPath, body: MergePatch, audit: Audit) -> Reply[SyncShown]:
    """Change parts of the definition of a sync. To write into the default folder (`folder` null), replace it instead."""
    sync = await load_sync(call.context.tables, call.tenant, path.sync)
    merged = _merged(_plain(sync.definition), body.root)
    return await _redefine(call, path.sync, parse(SyncDefinition, merged), audit, read=sync)


@endpoints.delete("syncs/{sync}", roles=ADMINS, audits="sync.deleted", conditional=True, status=202)
async def delete_sync(call: Call, path: SyncPath, query: Leaving, audit: Audit) -> Reply[Started]:
    """Remove all that a sync ever wrote, or leave it to the users, then the sync."""
    sync = await load_sync(call.context.tables, call.tenant, path.sync)
    admin.check_version(sync, call.version)
    await audit(before=_plain(sync.definition), after={"contacts": query.contacts})
    keep = query.contacts == "keep"
    return started(await admin.delete_sync(call.context, call.tenant, path.sync, keep_contacts=keep, version=call.version))


@endpoints.post("syncs/{sync}/pause", roles=ADMINS, audits="sync.paused")
async def pause_sync(call: Call, path: SyncPath) -> Reply[SyncShown]:
    """Let nothing new into the mailboxes."""
    return _reply(await admin.pause_sync(call.context, call.tenant, path.sync))


@endpoints.post("syncs/{sync}/resume", roles=ADMINS, audits="sync.resumed")
async def resume_sync(call: Call, path: SyncPath) -> Reply[SyncShown]:
    """Go on with a paused sync: at once, if it has a schedule."""
    return _reply(await admin.resume_sync(call.context, call.tenant, path.sync))


async def _redefine(
    call: Call, sync_id: str, definition: SyncDefinition, audit: Audit, *, read: Sync | None = None
) -> Reply[SyncShown]:
    sync = read or await load_sync(call.context.tables, call.tenant, sync_id)
    admin.check_version(sync, call.version)
    await audit(before=_plain(sync.definition), after=_plain(definition))
    # a patch is one of what was read, whatever the caller is content with
    version = sync.version if read else call.version
    return _reply(await admin.replace_sync(call.context, call.tenant, sync_id, definition, version=version))


def etag(sync: Sync) -> str:
    """Names the definition; what runs change of a sync does not change it."""
    return f'"{sync.version}"'


def shown(sync: Sync) -> SyncShown:
    """What the API says of a sync."""
    return SyncShown(
        sync=sync.sync,
        definition=sync.definition,
        revision=sync.revision,
        deleting=sync.deleting,
        paused=sync.paused,
        next_run=sync.next_run,
        active_run=sync.active_run or None,
        held=sync.held or None,
        people=sync.people,
        targets=sync.targets,
    )


def _reply(sync: Sync) -> Reply[SyncShown]:
    return Reply(shown(sync), etag=etag(sync))


def _plain(definition: SyncDefinition) -> dict[str, Any]:
    return definition.model_dump(mode="json")


def _merged(target: object, patch: object) -> object:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
