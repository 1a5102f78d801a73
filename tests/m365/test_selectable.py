"""Everything that the product asks of users can be asked of the stand-in, and changes of it are told."""

from __future__ import annotations

from sync_core.directory import SELECT
from tests.m365.conftest import World

ATTRIBUTES = {
    "employeeType": "Contractor",
    "isResourceAccount": True,
    "onPremisesExtensionAttributes": {"extensionAttribute1": "Blue", "extensionAttribute2": None},
}


async def test_all_that_the_product_selects_is_served(world: World) -> None:
    world.tenant.change_user(world.user, ATTRIBUTES)
    people, link = await world.changes(f"/users/delta?$select={','.join(SELECT)}")
    (person,) = [one for one in people if one["id"] == world.user]
    assert {name: person[name] for name in ATTRIBUTES} == ATTRIBUTES
    world.tenant.change_user(world.user, {"onPremisesExtensionAttributes": {"extensionAttribute1": "Red"}})
    (changed,), _ = await world.changes(link)
    assert (changed["id"], changed["onPremisesExtensionAttributes"]) == (world.user, {"extensionAttribute1": "Red"})
