"""Connects a tenant on this machine, where nobody has to consent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from cloud.settings import Settings
from composition import build
from sync_core.definition import TenantSettings
from sync_core.engine import admin


async def connect(environment: Mapping[str, str], tenant: str, *, default_country: str | None = None) -> None:
    """Connect a tenant to the app with these settings."""
    context = build(Settings.from_environment(environment))
    try:
        await admin.connect_tenant(context, tenant, TenantSettings(default_country=default_country))
    finally:
        for adapter in cast("tuple[Any, ...]", (context.tables, context.queues, context.blobs, context.graph)):
            await adapter.close()
