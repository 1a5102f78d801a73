"""What an admin does to tenants and syncs."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import fields
from datetime import datetime

from sync_core.definition import SyncDefinition, TenantSettings
from sync_core.engine import runs
from sync_core.engine.context import Context
from sync_core.errors import ConflictError, InputError, NotFoundError, StaleError
from sync_core.schedules import Manual
from sync_core.state.rows import LARGEST_VALUE
from sync_core.state.syncs import Sync, insert_sync, load_sync
from sync_core.state.tenants import Tenant, insert_tenant, load_tenant, save_tenant

_TRIES = 8
_SYNC_ID = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")
_TENANT_ID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


async def connect_tenant(context: Context, tenant_id: str, settings: TenantSettings) -> None:
    """Connect a tenant, or change the settings of a connected one. Raises InputError for what is no tenant id."""
    if not _TENANT_ID.match(tenant_id):
        raise InputError("tenant", "must be a tenant id: a lower-case GUID")
    await context.keyring.keys(tenant_id)  # makes them: a preview must not need to
    try:
        await insert_tenant(context.tables, Tenant(tenant_id, settings))
    except ConflictError:
        tenant = await load_tenant(context.tables, tenant_id)
        tenant.settings = settings
        await save_tenant(context.tables, tenant)


async def change_settings(context: Context, tenant_id: str, settings: TenantSettings, *, version: str = "") -> Tenant:
    """Replace the settings of a connected tenant, if they are still at `version` ("": at any). Raises StaleError."""
    for _ in range(_TRIES):
        tenant = await load_tenant(context.tables, tenant_id)
        check_version(tenant, version)
        tenant.settings = settings
        with suppress(ConflictError):
            await save_tenant(context.tables, tenant)
            return tenant
    raise ConflictError("the tenant's row keeps changing")


async def define_sync(context: Context, tenant_id: str, sync_id: str, definition: SyncDefinition) -> Sync:
    """Create a sync or replace its definition. It first runs at once if it has a schedule.

    Raises InputError for an unusable id or a sync that is being deleted, NotFoundError for an unknown tenant.
    """
    if not _SYNC_ID.match(sync_id):
        raise InputError("sync", "must be 1 to 63 characters: lower-case letters, digits and hyphens")
    _check_size(definition)
    await load_tenant(context.tables, tenant_id)
    first = _first_run(definition, context.now())
    sync = Sync(tenant_id, sync_id, definition, next_run=first)
    try:
        await insert_sync(context.tables, sync)
    except ConflictError:
        return await runs.change_sync(context, tenant_id, sync_id, lambda known: _redefine(known, definition, first))
    return sync


def _check_size(definition: SyncDefinition) -> None:
    # tables hold text in UTF-16
    if len(definition.model_dump_json().encode("utf-16-le")) > LARGEST_VALUE:
        raise InputError("definition", "is too large: 32,000 characters of JSON are the most; name groups instead of so many ids")


async def create_sync(context: Context, tenant_id: str, sync_id: str, definition: SyncDefinition) -> Sync:
    """Like `define_sync`, but raises ConflictError when there is one of this id."""
    with suppress(NotFoundError):
        await load_sync(context.tables, tenant_id, sync_id)
        raise ConflictError("there is a sync of this id")
    return await define_sync(context, tenant_id, sync_id, definition)


async def replace_sync(context: Context, tenant_id: str, sync_id: str, definition: SyncDefinition, *, version: str = "") -> Sync:
    """Replace the definition of a sync, if it is still at `version` ("": at any).

    Raises NotFoundError, StaleError, and InputError for a sync that is being deleted.
    """
    _check_size(definition)
    first = _first_run(definition, context.now())

    def redefine(sync: Sync) -> None:
        runs.check_not_ended(sync)
        check_version(sync, version)
        _redefine(sync, definition, first)

    return await runs.change_sync(context, tenant_id, sync_id, redefine)


async def delete_sync(context: Context, tenant_id: str, sync_id: str, *, keep_contacts: bool = False, version: str = "") -> str:
    """Remove everything the sync ever wrote from all mailboxes, then the sync itself. Returns the id of the run that does it.

    With `keep_contacts` only our marks come off, and the users have the contacts for their own. Raises StaleError when it
    is not at `version` any more.
    """

    def leave(sync: Sync) -> None:
        runs.check_not_ended(sync)
        check_version(sync, version)
        sync.deleting, sync.keep_contacts = True, keep_contacts
        sync.revision += 1

    await runs.change_sync(context, tenant_id, sync_id, leave)
    return await runs.request_run(context, tenant_id, sync_id, by_hand=True)


async def pause_sync(context: Context, tenant_id: str, sync_id: str) -> Sync:
    """Let nothing new into the mailboxes until `resume_sync`: what is under way is finished, and no run reads a source."""

    def pause(sync: Sync) -> None:
        runs.check_not_ended(sync)
        sync.paused, sync.next_run = True, None

    return await runs.change_sync(context, tenant_id, sync_id, pause)


async def resume_sync(context: Context, tenant_id: str, sync_id: str) -> Sync:
    """Go on with a paused sync: at once, if it has a schedule."""

    def resume(sync: Sync) -> None:
        runs.check_not_ended(sync)
        if sync.paused:
            sync.paused, sync.next_run = False, _first_run(sync.definition, context.now())

    return await runs.change_sync(context, tenant_id, sync_id, resume)


def check_version(known: Sync | Tenant, version: str) -> None:
    """Check that what is known is at `version` ("": any). Raises StaleError."""
    if version not in ("", known.version):
        raise StaleError("it was changed meanwhile")


def _redefine(sync: Sync, definition: SyncDefinition, first: datetime | None) -> None:
    if sync.ended:
        # begins anew, with the mailboxes registered that may still come back
        fresh = Sync(sync.tenant, sync.sync, definition, revision=sync.revision + 1, next_run=first)
        keep = ("active_run", "active_since", "active_check", "active_undoes", "rerun", "etag")
        for name in {field.name for field in fields(Sync)}.difference(keep):
            setattr(sync, name, getattr(fresh, name))
        return
    if sync.deleting:
        raise InputError("sync", "is being deleted: wait until its contacts are removed, or use another id")
    if definition == sync.definition:
        return
    if definition.kind is not sync.definition.kind:
        raise InputError("sources", "cannot turn from people into calendars or back: define another sync")
    if definition.schedule != sync.definition.schedule:
        sync.next_run = None if sync.paused else first
    sync.definition = definition
    sync.revision += 1


def _first_run(definition: SyncDefinition, now: datetime) -> datetime | None:
    return None if isinstance(definition.schedule, Manual) else now
