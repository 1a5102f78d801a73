"""What is no cache is kept as long as the tenant's settings say, within bounds."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from gdpr import audit_trail
from gdpr.audit_chain import SYSTEM
from gdpr.audit_check import verify
from gdpr.purge import hand_out_purges, purge_tenant
from gdpr.requests import RequestKind
from gdpr.tenants import erase_tenant
from sync_core.definition import Retention, TenantSettings
from sync_core.engine import admin
from sync_core.messages import PurgeTenant
from sync_core.state import names
from tests.engine.world import TENANT, World
from tests.gdpr.privacy import asked, done


async def test_runs_requests_and_the_trail_are_kept_as_the_tenant_says() -> None:
    world = World()
    world.hire("Anna Berg")
    await world.connect()
    await admin.connect_tenant(world.context, TENANT, TenantSettings(retention=Retention(runs=30, audit=400, requests=500)))
    await world.run()
    await done(world, await asked(world, RequestKind.OBJECTION, "anna.berg@example.com"))
    await audit_trail.record(world.context, TENANT, actor=SYSTEM, action="sync.replaced")
    kept = []
    for days in (29, 2, 368, 2, 98, 3):
        world.clock.advance(timedelta(days=days))
        await purge_tenant(world.context, PurgeTenant(TENANT))
        counts = [len([row async for row in world.tables.query(name, TENANT)]) for name in (names.RUNS, names.REQUESTS)]
        kept.append((*counts, (await verify(world.context, TENANT)).entries))
    assert kept == [(1, 1, 2), (0, 1, 2), (0, 1, 2), (0, 1, 1), (0, 1, 1), (0, 0, 1)]
    assert (await verify(world.context, TENANT)).sound


@pytest.mark.parametrize("wrong", [{"runs": 29}, {"runs": 731}, {"audit": 364}, {"requests": 3651}])
def test_retention_has_bounds(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Retention(**wrong)


async def test_of_an_erased_tenant_nothing_is_left_when_its_trail_is_old() -> None:
    world = World()
    await world.connect()
    await erase_tenant(world.context, TENANT)
    world.context = world.worker("later")
    for days in (1000, 100):
        world.clock.advance(timedelta(days=days))
        await hand_out_purges(world.context)
        await world.settle()
    tables = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and value.islower()}
    assert {table for table in tables if [row async for row in world.tables.scan(table)]} == set()
