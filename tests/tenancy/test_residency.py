"""A tenant of the EU is served in the EU, and nobody is served whose region nobody knows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync_core.engine import admin
from sync_core.errors import NotAdmittedError, Reason
from sync_core.model import RunState
from tenancy import residency
from tests.engine.world import SYNC, TENANT
from tests.tenancy.conftest import Site


@pytest.mark.parametrize("region", sorted(residency.EU_REGIONS))
async def test_an_installation_in_the_eu_serves_tenants_of_the_eu(region: str) -> None:
    assert await residency.admit(Site(region=region).tenancy, TENANT) == "EU"


@pytest.mark.parametrize("region", ["eastus", "uksouth", "switzerlandnorth", "norwayeast", "a-region-to-come"])
async def test_no_other_installation_does(region: str) -> None:
    with pytest.raises(NotAdmittedError) as refused:
        await residency.admit(Site(region=region).tenancy, TENANT)
    assert (refused.value.reason, refused.value.detail) == (Reason.REGION_REFUSED, f"EU: {region}")


@pytest.mark.parametrize("region", ["westeurope", "eastus"])
async def test_tenants_of_elsewhere_are_served_anywhere(region: str) -> None:
    site = Site(region=region)
    site.tenant.region = "NA"
    assert await residency.admit(site.tenancy, TENANT) == "NA"


@pytest.mark.parametrize("said", ["", None, 7, "EU;NA", "somewhere else"])
async def test_what_cannot_be_understood_lets_nobody_in(said: object) -> None:
    site = Site()
    site.tenant.region = said  # type: ignore[assignment] # as nobody should answer
    with pytest.raises(NotAdmittedError) as refused:
        await residency.admit(site.tenancy, TENANT)
    assert refused.value.reason is Reason.REGION_UNKNOWN


async def test_the_answer_is_asked_for_daily_and_good_for_a_week() -> None:
    site = Site()
    site.documents_down = True
    with pytest.raises(NotAdmittedError) as refused:
        await residency.admit(site.tenancy, TENANT)
    assert refused.value.reason is Reason.REGION_UNKNOWN
    site.documents_down = False
    await residency.admit(site.tenancy, TENANT)
    asked = site.cloud.counters.token_calls
    await residency.admit(site.tenancy, TENANT)
    assert site.cloud.counters.token_calls == asked

    site.documents_down = True
    site.world.clock.advance(timedelta(days=6, hours=23))
    assert await residency.admit(site.tenancy, TENANT) == "EU"
    site.world.clock.advance(timedelta(hours=1))
    with pytest.raises(NotAdmittedError):
        await residency.admit(site.tenancy, TENANT)

    site.documents_down = False
    site.tenant.region = "NA"
    assert await residency.admit(site.tenancy, TENANT) == "NA"


async def test_a_run_of_a_tenant_that_may_not_be_served_is_held_before_anything_is_read() -> None:
    site = Site(region="eastus")
    world = site.world
    world.hire("Anna Berg")
    await world.connect()
    world.context = site.working()
    run = await world.run()
    assert (run.state, run.reason, run.detail) == (RunState.HELD, Reason.REGION_REFUSED, "EU: eastus")
    assert site.cloud.counters.requests == 0

    site.tenant.region = "NA"
    world.clock.advance(timedelta(days=1))
    assert (await world.run()).state is RunState.SUCCEEDED


async def test_what_was_written_can_be_removed_all_the_same() -> None:
    site = Site(region="eastus")
    world = site.world
    anna = world.hire("Anna Berg")
    await world.connect()
    await world.run()
    assert world.ours(anna)
    world.context = site.working()
    await admin.delete_sync(world.context, TENANT, SYNC)
    await world.settle()
    assert not world.ours(anna)
