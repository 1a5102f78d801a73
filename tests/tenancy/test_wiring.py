"""The app's own wiring: the region is asked of the authority over HTTP, and notices reach the queue, on real storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

import composition
from local.azurite import Azurite
from local.clock import SystemClock
from local.m365.server import Server
from local.m365.service import Microsoft365
from local.m365.tenant import App
from sync_core.errors import NotAdmittedError, Reason
from sync_core.notices import Kind, Notice
from tenancy import connection, webhooks
from tenancy.refusals import ConnectionRefusedError
from tests.system.machine import CLIENT, CLIENT_SECRET, make_secrets, settings

ADMIN = "aaaaaaaa-0000-4000-8000-000000000001"


async def test_the_app_as_it_is_wired(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = str(uuid4())
    cloud = Microsoft365(SystemClock())
    record = cloud.add_tenant(tenant, "Example", App(CLIENT, CLIENT_SECRET))
    await make_secrets(tmp_path / "secrets.json")
    async with Server(cloud) as server:
        environment = settings(
            server.url,
            azurite.connection_string,
            tmp_path / "secrets.json",
            ROLLCALL_REGION="eastus",
            ROLLCALL_TENANTS=tenant,
            ROLLCALL_EU_ADDRESS="https://eu.rollcall.example",
        )
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        composition.context.cache_clear()
        try:
            services = composition.tenancy()
            core = composition.context()
            assert services.core is core
            with pytest.raises(NotAdmittedError) as refused:
                await core.admit(tenant)
            assert refused.value.reason is Reason.REGION_REFUSED
            with pytest.raises(ConnectionRefusedError, match=r"eu\.rollcall\.example"):
                await connection.connect(services, tenant, ADMIN)

            record.region = "NA"
            made = await connection.connect(services, tenant, ADMIN)
            assert (made.region, made.roles) == ("NA", record.app.permissions)
            await core.admit(tenant)

            await webhooks.set_up(core, tenant, "https://hooks.example/", [Kind.RUN_HELD])
            await core.notify(Notice(tenant, "one", Kind.RUN_HELD))
            row = await core.tables.get("notices", tenant, "one")
            assert row is not None
            assert row.values["State"] == "pending"
        finally:
            for adapter in cast("tuple[Any, ...]", (composition.context().tables, composition.context().queues)):
                await adapter.close()
            await cast("Any", composition.context().graph).close()
            composition.context.cache_clear()
