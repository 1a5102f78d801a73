"""The end of a tenant: keys first, then rows, then a receipt that can still be checked."""

from __future__ import annotations

from gdpr import audit_trail
from gdpr.audit_check import verify
from gdpr.requests import RequestKind
from gdpr.tenants import erase_tenant
from sync_core.state import names
from tests.engine.world import TENANT, World
from tests.gdpr.privacy import OFFICER, asked, done


async def test_the_data_key_goes_first_then_rows_and_files_and_a_receipt_is_left() -> None:
    world = World()
    world.hire("Anna Berg")
    await world.connect()
    await world.run()
    await audit_trail.record(world.context, TENANT, actor=OFFICER, action="sync.replaced", after={"name": "Anna"})
    await done(world, await asked(world, RequestKind.EXPORT, "anna.berg@example.com"))
    order: list[str] = []

    async def hook(moment: str, operation: str, target: str) -> None:
        if (moment, operation) == ("before", "commit"):
            order.append(target)

    world.tables.hook = hook
    deleted = await erase_tenant(world.context, TENANT)
    assert order[0] == names.TENANTS
    assert (await world.tables.get(names.TENANTS, TENANT, "keys")) is None
    assert deleted["snapshots"] > 0
    assert world.blobs.files == {}
    await erase_tenant(world.context, TENANT)  # repeated: one receipt
    found = [entry async for entry in audit_trail.entries(world.worker("later"), TENANT)]
    assert [entry.action for entry in found] == ["sync.replaced", "export.done", "tenant.erased"]
    assert [entry.details is None for entry in found] == [True, True, False]
    assert found[-1].details
    assert found[-1].details["after"]["deleted"]["snapshots"] == deleted["snapshots"]
    assert any("law" in line for line in found[-1].details["after"]["remains"])
    assert (await verify(world.worker("later"), TENANT)).sound


async def test_a_death_at_any_step_leaves_one_receipt() -> None:
    for at in range(1, 60, 5):
        world = World()
        world.hire("Anna Berg")
        await world.connect()
        await world.run()
        count = 0

        async def hook(_moment: str, _operation: str, _target: str) -> None:
            nonlocal count
            count += 1
            if count == at:  # noqa: B023 - it ends with this round
                raise SystemError

        world.tables.hook = hook
        try:
            await erase_tenant(world.context, TENANT)
        except SystemError:
            await erase_tenant(world.context, TENANT)
        tables = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and value.islower()}
        left = {table for table in tables if [row async for row in world.tables.scan(table)]}
        assert left == {names.AUDIT}, at
        verdict = await verify(world.worker("later"), TENANT)
        assert (verdict.sound, verdict.entries) == (True, 1), at
