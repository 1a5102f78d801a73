"""The daily purge: one timer hands out one message for each tenant, so that one tenant's failure is its own."""

from __future__ import annotations

from datetime import timedelta

from gdpr import rotation
from gdpr.audit_trail import forget_trail, prune
from gdpr.privacy_queue import look_after_requests
from gdpr.retention import purge_expired, purge_requests, tenants_with_data
from sync_core import messages
from sync_core.definition import Retention
from sync_core.engine.context import Context
from sync_core.errors import NotFoundError
from sync_core.state.tenants import load_tenant


async def hand_out_purges(context: Context) -> None:
    """One `purge-tenant` message for every tenant that has a row anywhere."""
    async for tenant in tenants_with_data(context.tables):
        await context.queues.send(messages.PURGE_TENANT, messages.as_dict(messages.PurgeTenant(tenant)))


async def purge_tenant(context: Context, message: messages.PurgeTenant) -> None:
    """Delete what of the tenant's has outlived its retention, and take a step in what goes on day by day. Repeatable."""
    tenant, now = message.tenant, context.now()
    try:
        keep = (await load_tenant(context.tables, tenant)).settings.retention
        connected = True
    except NotFoundError:
        keep, connected = Retention(), False
    await purge_expired(context.tables, tenant, now, keep_runs=timedelta(days=keep.runs))
    await purge_requests(context.tables, tenant, now - timedelta(days=keep.requests))
    await prune(context, tenant, before=now - timedelta(days=keep.audit))
    if not connected:
        # of a tenant that was erased only the trail is left, and it opens without the key that is gone
        await forget_trail(context.tables, tenant, before=now - timedelta(days=keep.audit))
        return
    await look_after_requests(context, tenant)
    delay = await rotation.advance(context, tenant)
    if delay is not None:
        await context.queues.send(messages.PURGE_TENANT, messages.as_dict(message), delay=delay)
