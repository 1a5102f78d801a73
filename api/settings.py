"""What holds for a whole tenant, and its caches."""

from __future__ import annotations

from typing import Any

from api.endpoint import ADMINS, READERS, Audit, Call, Endpoints, Reply, Strict, SyncId
from sync_core.definition import TenantSettings
from sync_core.engine import admin
from sync_core.state.syncs import load_sync
from sync_core.state.tenants import Tenant, load_tenant

endpoints = Endpoints("Settings")


class PurgeOptions(Strict):
    """Whose caches to empty: one sync's, or all of the tenant's, uploads and pushed items too."""

    sync: SyncId | None = None


@endpoints.get("settings", roles=READERS)
async def read_settings(call: Call) -> Reply[TenantSettings]:
    """The tenant's settings."""
    return _reply(await load_tenant(call.context.tables, call.tenant))


@endpoints.put("settings", roles=ADMINS, audits="settings.replaced", conditional=True)
async def replace_settings(call: Call, body: TenantSettings, audit: Audit) -> Reply[TenantSettings]:
    """Replace the tenant's settings."""
    tenant = await load_tenant(call.context.tables, call.tenant)
    admin.check_version(tenant, call.version)
    await audit(before=_plain(tenant.settings), after=_plain(body))
    return _reply(await admin.change_settings(call.context, call.tenant, body, version=call.version))


@endpoints.post("purge", roles=ADMINS, audits="caches.purged")
async def purge_caches(call: Call, body: PurgeOptions) -> None:
    """Empty the caches now. The next run reads everything anew."""
    if body.sync is not None:
        await load_sync(call.context.tables, call.tenant, body.sync)
    await call.context.purge(call.tenant, body.sync)


def _reply(tenant: Tenant) -> Reply[TenantSettings]:
    return Reply(tenant.settings, etag=f'"{tenant.version}"')


def _plain(settings: TenantSettings) -> dict[str, Any]:
    return settings.model_dump(mode="json")
