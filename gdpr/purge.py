"""The daily purge: one timer hands out one message for each tenant, so that one tenant's failure is its own."""

from __future__ import annotations

from gdpr import rotation
from gdpr.privacy_queue import look_after_requests
from gdpr.retention import purge_expired, tenants_with_data
from sync_core import messages
from sync_core.engine.context import Context


async def hand_out_purges(context: Context) -> None:
    """One `purge-tenant` message for every tenant that has a row anywhere."""
    async for tenant in tenants_with_data(context.tables):
        await context.queues.send(messages.PURGE_TENANT, messages.as_dict(messages.PurgeTenant(tenant)))


async def purge_tenant(context: Context, message: messages.PurgeTenant) -> None:
    """Delete what of the tenant's has outlived its retention. Repeatable."""
    await purge_expired(context.tables, message.tenant, context.now())
    await look_after_requests(context, message.tenant)
    delay = await rotation.advance(context, message.tenant)
    if delay is not None:
        await context.queues.send(messages.PURGE_TENANT, messages.as_dict(message), delay=delay)
