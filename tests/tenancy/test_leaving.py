"""A tenant is let go: nothing runs any more, what was written goes if that is wanted, and nothing is left."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from gdpr.tenants import KEPT, erase_tenant
from local.m365.mailbox import MailboxState
from sync_core.engine import runs, schedule
from sync_core.errors import InputError, NotFoundError
from sync_core.ports import Put
from sync_core.state import names
from sync_core.state.tenants import load_tenant
from tenancy import connection, leaving
from tenancy.refusals import ConnectionRefusedError
from tests.engine.world import NIGHTLY, SYNC, TENANT
from tests.tenancy.conftest import ADMIN, Site


class Leaving(Site):
    """A tenant with two syncs that have run; to erase it is to erase it."""

    async def settled(self) -> list[str]:
        self.tenancy.core.keyring.forget(TENANT)  # type: ignore[attr-defined] # as the app's wiring does
        people = [self.world.hire(f"Person Number{n}") for n in range(3)]
        await connection.connect(self.tenancy, TENANT, ADMIN)
        for sync in (SYNC, "second"):
            await self.world.define({"folder": sync, "schedule": NIGHTLY}, sync=sync)
            await self.world.run(sync=sync)
        return people

    async def _erase(self, tenant: str) -> None:
        await super()._erase(tenant)
        await erase_tenant(self.world.context, tenant)

    async def rows(self) -> dict[str, int]:
        tables = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and value.islower()}
        tables.discard(names.AUDIT)  # the receipt stays
        found = {table: len([row async for row in self.world.tables.scan(table)]) for table in tables}
        return {table: count for table, count in found.items() if count}

    def ours(self, person: str) -> int:
        return len(self.world.ours(person)) + len(self.world.ours(person, sync="second"))


async def test_all_that_was_written_is_removed_and_then_everything_is_erased() -> None:
    site = Leaving()
    people = await site.settled()
    assert all(site.ours(person) == 6 for person in people)
    await leaving.leave(site.world.context, TENANT, by=ADMIN, remove=True)
    under_way = await leaving.departure(site.world.context, TENANT)
    assert (under_way.by, under_way.remove, under_way.step, under_way.syncs) == (ADMIN, True, "removing", 2)
    await site.settle()
    assert not any(site.ours(person) for person in people)
    assert await site.rows() == {}
    with pytest.raises(NotFoundError):
        await leaving.departure(site.world.context, TENANT)


async def test_without_removal_the_contacts_stay_and_nothing_runs() -> None:
    site = Leaving()
    people = await site.settled()
    requests = site.cloud.counters.requests
    await leaving.leave(site.world.context, TENANT, by=ADMIN, remove=False)
    await site.settle()
    assert all(site.ours(person) == 6 for person in people)
    assert site.cloud.counters.requests == requests
    assert await site.rows() == {}


async def test_nothing_begins_while_a_tenant_is_being_erased() -> None:
    site = Leaving()
    await site.settled()
    site.erase_fails = 1
    await leaving.leave(site.world.context, TENANT, by=ADMIN, remove=False)
    await site.settle(dying=OSError, most=1)
    assert (await leaving.departure(site.world.context, TENANT)).step == "erasing"
    with pytest.raises(InputError, match="disconnected"):
        await runs.request_run(site.world.context, TENANT, SYNC, by_hand=True)
    with pytest.raises(ConnectionRefusedError) as caught:
        await connection.connect(site.tenancy, TENANT, ADMIN)
    assert caught.value.code == "disconnecting"
    site.world.clock.advance(timedelta(days=1))
    await schedule.schedule_syncs(site.world.context)  # does not stumble over it


async def test_a_mailbox_that_cannot_be_reached_holds_it_up_until_the_rest_is_left() -> None:
    site = Leaving()
    people = await site.settled()
    site.tenant.set_mailbox_state(people[0], MailboxState.MOVING)
    await leaving.leave(site.world.context, TENANT, by=ADMIN, remove=True)
    await site.settle(most=60)
    waiting = await leaving.departure(site.world.context, TENANT)
    assert (waiting.step, waiting.syncs) == ("removing", 2)
    assert not any(site.ours(person) for person in people[1:])
    await leaving.leave(site.world.context, TENANT, by=ADMIN, remove=False)
    await site.settle(most=400)
    assert await site.rows() == {}
    assert site.ours(people[0]) == 6


async def test_without_consent_nothing_can_be_removed_and_that_is_not_tried_for_ever() -> None:
    site = Leaving()
    people = await site.settled()
    for sync in (SYNC, "second"):
        await site.world.define({"folder": sync, "schedule": {"kind": "manual"}}, sync=sync)
    site.tenant.app.consent = "revoked"
    site.world.clock.advance(timedelta(hours=2))
    await leaving.leave(site.world.context, TENANT, by=ADMIN, remove=True)
    await site.settle(most=80)
    waiting = await leaving.departure(site.world.context, TENANT)
    assert (waiting.step, waiting.syncs) == ("removing", 2)
    assert (await load_tenant(site.world.tables, TENANT)).stopped == "consent_missing"
    assert len([row async for row in site.world.tables.query("runs", TENANT)]) <= 6
    site.tenant.app.consent = "granted"
    await connection.connect(site.tenancy, TENANT, ADMIN)
    await site.settle()
    assert await site.rows() == {}
    assert not any(site.ours(person) for person in people)


async def test_a_sync_that_is_defined_meanwhile_goes_too() -> None:
    site = Leaving()
    people = await site.settled()
    await leaving.leave(site.world.context, TENANT, by=ADMIN, remove=True)
    await site.settle(most=2)
    await site.world.define({"folder": "Third"}, sync="third")
    await site.settle()
    assert await site.rows() == {}
    assert not any(site.world.ours(person, sync="third") for person in people)


@pytest.mark.parametrize("remove", [True, False])
async def test_a_death_anywhere_is_gone_on_from(remove: bool) -> None:
    """Storage fails now and then, before a write or after it; each message is delivered again."""
    site = Leaving()
    people = await site.settled()
    chance = Random(20261122)
    deaths = [0]

    async def die(when: str, operation: str, target: str) -> None:
        if operation == "commit" and chance.random() < 0.06:
            deaths[0] += 1
            raise DeathError

    await leaving.leave(site.world.context, TENANT, by=ADMIN, remove=remove)
    site.world.tables.hook = die
    await site.settle(dying=DeathError)
    site.world.tables.hook = _calm
    assert deaths[0] > 0
    assert await site.rows() == {}
    assert all(site.ours(person) == (0 if remove else 6) for person in people)


async def test_a_death_right_after_the_keys_were_destroyed_is_gone_on_from() -> None:
    """Nothing of the tenant opens any more then, nor does what says how far it has got."""
    site = Leaving()
    await site.settled()
    stored = site.world.tables.stored
    deaths: list[str] = []

    async def die(when: str, operation: str, target: str) -> None:
        if (when, operation, target) != ("after", "commit", names.TENANTS) or deaths:
            return
        if await stored.get(names.TENANTS, TENANT, "keys") is None:
            site.world.context.keyring.forget(TENANT)  # type: ignore[attr-defined] # the next process has none
            deaths.append(target)
            raise DeathError

    await leaving.leave(site.world.context, TENANT, by=ADMIN, remove=False)
    stored.hook = die
    await site.settle(dying=DeathError, most=1)
    assert deaths
    assert (await leaving.departure(site.world.context, TENANT)).step == "erasing"
    await site.settle(dying=DeathError)
    assert await site.rows() == {}


async def _calm(when: str, operation: str, target: str) -> None:
    return None


class DeathError(Exception):
    """The worker is gone."""


async def test_only_a_connected_tenant_can_be_disconnected(site: Site) -> None:
    with pytest.raises(NotFoundError):
        await leaving.leave(site.world.context, TENANT, by=ADMIN, remove=False)


async def test_erasure_takes_every_table_and_no_other_tenant(site: Site) -> None:
    tables = site.world.tables
    other = "bbbbbbbb-2222-4333-8444-555555555555"
    everywhere = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and value.islower()}
    for table in everywhere:
        for partition in (TENANT, f"{TENANT}:x", other, f"{other}:x"):
            await tables.commit(table, partition, [Put("row", {"A": 1}), Put("row2", {"A": 1})])
    await erase_tenant(site.world.context, TENANT)
    left = {(table, row.partition.partition(":")[0]) for table in everywhere async for row in tables.scan(table)}
    assert left == {(table, other) for table in everywhere} | {(table, TENANT) for table in KEPT}
