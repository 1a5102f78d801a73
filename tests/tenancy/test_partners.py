"""A partner acts for those who let it, with what they let it do, and learns of nobody else."""

from __future__ import annotations

import pytest

from sync_core.errors import InputError, NotFoundError
from sync_core.ports import Put
from tenancy import partners
from tests.engine.world import TENANT
from tests.tenancy.conftest import ADMIN, Site

PARTNER = "cccccccc-2222-4333-8444-555555555555"
SECOND = "dddddddd-2222-4333-8444-555555555555"


async def roles(site: Site, customer: str = TENANT, partner: str = PARTNER) -> frozenset[str]:
    return await partners.granted_roles(site.world.tables, customer, partner)


async def customers(site: Site, partner: str = PARTNER) -> list[str]:
    return [grant.customer async for grant in partners.customers_of(site.world.tables, partner)]


async def test_a_grant_is_given_changed_and_taken_back(site: Site) -> None:
    context = site.world.context
    assert (await roles(site), await customers(site)) == (frozenset(), [])
    made = await partners.grant(context, TENANT, PARTNER, ["Rollcall.Viewer"], by=ADMIN)
    assert await roles(site) == {"Rollcall.Viewer"}
    assert [grant async for grant in partners.grants_of(context.tables, TENANT)] == [made]
    assert (await customers(site), await customers(site, SECOND)) == ([TENANT], [])
    await partners.grant(context, TENANT, PARTNER, ["Rollcall.Admin", "Rollcall.Viewer"], by=ADMIN)
    assert await roles(site) == {"Rollcall.Admin", "Rollcall.Viewer"}
    await partners.revoke(context, TENANT, PARTNER)
    assert (await roles(site), await customers(site)) == (frozenset(), [])
    with pytest.raises(NotFoundError):
        await partners.revoke(context, TENANT, PARTNER)


async def test_each_partner_sees_its_own_customers(site: Site) -> None:
    context = site.world.context
    await partners.grant(context, TENANT, PARTNER, ["Rollcall.Viewer"], by=ADMIN)
    await partners.grant(context, SECOND, PARTNER, ["Rollcall.Admin"], by=ADMIN)
    await partners.grant(context, TENANT, SECOND, ["Rollcall.Admin"], by=ADMIN)
    assert await customers(site) == [TENANT, SECOND]
    assert await customers(site, SECOND) == [TENANT]
    assert await roles(site, SECOND) == {"Rollcall.Admin"}
    assert await roles(site, PARTNER, TENANT) == frozenset(), "a grant has a direction"


async def test_only_the_customers_own_row_counts(site: Site) -> None:
    """A death between the two writes leaves at most an entry in the partner's list, which means nothing."""
    await site.world.tables.commit("partners", PARTNER, [Put(TENANT, {"At": site.world.clock.now()})])
    assert (await roles(site), await customers(site)) == (frozenset(), [])


@pytest.mark.parametrize("partner", [TENANT, "contoso", "", SECOND.upper(), f"{SECOND}x", "../x"])
async def test_a_partner_must_be_another_tenant(site: Site, partner: str) -> None:
    with pytest.raises(InputError) as caught:
        await partners.grant(site.world.context, TENANT, partner, ["Rollcall.Viewer"], by=ADMIN)
    assert caught.value.field == "partner"
    assert await partners.granted_roles(site.world.tables, TENANT, partner) == frozenset()
    with pytest.raises(NotFoundError):
        await partners.revoke(site.world.context, TENANT, partner)


async def test_a_grant_names_a_role_and_there_are_not_too_many(site: Site) -> None:
    with pytest.raises(InputError, match="roles"):
        await partners.grant(site.world.context, TENANT, PARTNER, [], by=ADMIN)
    for number in range(partners.MOST_PARTNERS):
        await partners.grant(site.world.context, TENANT, f"{SECOND[:-2]}{number:02}", ["Rollcall.Viewer"], by=ADMIN)
    with pytest.raises(InputError, match="already"):
        await partners.grant(site.world.context, TENANT, PARTNER, ["Rollcall.Viewer"], by=ADMIN)
    await partners.grant(site.world.context, TENANT, f"{SECOND[:-2]}00", ["Rollcall.Admin"], by=ADMIN)
