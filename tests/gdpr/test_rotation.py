"""Rotation of keys: nothing is lost, nothing is written to a mailbox, and the old key opens nothing afterwards."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gdpr import audit_trail, rotation
from gdpr.audit_check import verify
from gdpr.encryption import KEYS_ROW, TenantKeyring
from gdpr.purge import purge_tenant
from gdpr.requests import RequestKind
from gdpr.rotation import advance, begin_rotation
from gdpr.sealed_tables import SealedTables, place
from sync_core.engine import runs
from sync_core.errors import InputError, LostPagesError
from sync_core.messages import PurgeTenant
from sync_core.notices import Kind
from sync_core.ports import Entity, Sealer
from sync_core.state.names import AUDIT, CACHES, LEDGERS, READ_AT, TENANTS
from sync_core.state.pages import open_values
from sync_core.state.runs import load_run
from sync_core.state.syncs import load_sync
from tenancy import webhooks
from tests.engine.world import SYNC, TENANT, OneSecret, World
from tests.gdpr.opened import sealed_values
from tests.gdpr.privacy import OFFICER, asked, done, fetch_export


class Clockwork:
    """The keyring's own clock, moved with the world's."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self) -> float:
        return self._world.clock.now().timestamp()


async def running_world() -> World:
    world = World()
    keyring = TenantKeyring(world.tables, OneSecret(), monotonic=Clockwork(world))
    world.context = replace(world.context, keyring=keyring, tables=SealedTables(world.tables.stored, keyring))
    for number in range(5):
        world.hire(f"Person Number{number}")
    await world.connect()
    await run(world)
    await audit_trail.record(world.context, TENANT, actor=OFFICER, action="sync.replaced", after={"name": "n"})
    return world


async def run(world: World) -> tuple[int, int]:
    """A run; returns how many writes to mailboxes and how many requests it took."""
    run_id = await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    while world.queues.next_at() is not None:
        await world.settle()
    done = await load_run(world.context.tables, TENANT, run_id)
    return done.counts.created + done.counts.updated + done.counts.deleted, done.spent.requests


async def ages(world: World) -> dict[tuple[str, str], datetime]:
    return {
        (entity.partition, entity.row): at
        for table in CACHES
        async for entity in world.tables.scan(table)
        if isinstance(at := entity.values[READ_AT], datetime)
    }


def opened(sealer: Sealer, table: str, entity: Entity) -> bytes:
    if table != LEDGERS:
        return open_values(sealer, table, entity)
    sealed = {name: value for name, value in entity.values.items() if isinstance(value, bytes)}
    return b"".join(sealer.open(value, place=place(table, entity.partition, entity.row, name)) for name, value in sealed.items())


async def test_a_data_key_is_rotated_without_a_write_to_any_mailbox_and_without_renewing_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rotation, "ROWS_PER_STEP", 3)
    world = await running_world()
    before, old = await ages(world), (await world.context.keyring.keys(TENANT)).sealer
    quiet = await run(world)
    await begin_rotation(world.context, TENANT)
    with pytest.raises(InputError, match="under way"):
        await begin_rotation(world.context, TENANT)
    steps = 0
    while (delay := await advance(world.context, TENANT)) is not None:
        world.clock.advance(timedelta(seconds=delay))
        assert await run(world) == quiet, "old rows stay readable at every step, and nothing is written"
        steps += 1
    assert steps > 5
    assert quiet[0] == 0
    fresh = (await world.context.keyring.keys(TENANT)).sealer
    for table in CACHES:
        async for entity in world.tables.scan(table):
            assert opened(fresh, table, entity)
            with pytest.raises(LostPagesError):
                opened(old, table, entity)
    assert before.items() <= (await ages(world)).items()
    assert (await load_sync(world.context.tables, TENANT, SYNC)).definition.name == "People"
    world.clock.advance(timedelta(days=9))
    assert await advance(world.context, TENANT) is None
    keys = await world.tables.get(TENANTS, TENANT, KEYS_ROW)
    assert keys
    assert not {"FormerDataKey", "NextDataKey"} & keys.values.keys()
    assert (await verify(world.context, TENANT)).sound
    assert [entry.actor async for entry in audit_trail.entries(world.context, TENANT)] == [OFFICER]
    await run(world)


async def test_a_process_that_read_the_keys_before_goes_on_beside_one_that_knows_the_new_ones() -> None:
    world = await running_world()
    stale = replace(world.context, keyring=TenantKeyring(world.tables, OneSecret(), monotonic=lambda: 0.0))
    await stale.keyring.keys(TENANT)
    await begin_rotation(world.context, TENANT)
    known = TenantKeyring(world.tables, OneSecret(), monotonic=Clockwork(world))
    await known.keys(TENANT)  # read between announcement and activation
    world.clock.advance(timedelta(minutes=14))
    sealed = (await stale.keyring.keys(TENANT)).sealer.seal(b"x", place="p")
    assert (await known.keys(TENANT)).sealer.open(sealed, place="p") == b"x"
    world.clock.advance(timedelta(minutes=7))
    await advance(world.context, TENANT)
    sealed = (await world.context.keyring.keys(TENANT)).sealer.seal(b"x", place="p")
    assert (await known.keys(TENANT)).sealer.open(sealed, place="p") == b"x"


async def test_the_keys_of_a_webhook_are_sealed_anew() -> None:
    world = await running_world()
    await webhooks.set_up(world.context, TENANT, "https://hook.example.com/x", [Kind.CONSENT_LOST])
    await webhooks.rotate(world.context, TENANT)
    before = await webhooks.load(world.context, TENANT)
    assert before
    assert len(before.keys) == 2
    old = (await world.context.keyring.keys(TENANT)).sealer
    await begin_rotation(world.context, TENANT)
    while (delay := await advance(world.context, TENANT)) is not None:
        world.clock.advance(timedelta(seconds=delay))
    fresh = (await world.context.keyring.keys(TENANT)).sealer
    names = set()
    async for value in sealed_values(world):
        if value.table == TENANTS:
            names.add(value.name)
            assert value.opened(fresh)
            with pytest.raises(LostPagesError):
                value.opened(old)
    assert names == {"Settings", "Url", "Key", "PreviousKey"}
    after = await webhooks.load(world.context, TENANT)
    assert after
    assert (after.url, after.keys) == (before.url, before.keys)


async def test_a_request_that_waits_survives_a_rotation_and_exports_can_be_fetched() -> None:
    world = await running_world()
    request = await asked(world, RequestKind.EXPORT, "person.number1@example.com")
    await begin_rotation(world.context, TENANT)
    for _ in range(4):
        world.clock.advance(timedelta(minutes=21))
        await purge_tenant(world.context, PurgeTenant(TENANT))
    request = await done(world, request)
    pieces = await fetch_export(world.context, TENANT, request.request, by=OFFICER, is_officer=False)
    assert [piece async for piece in pieces]


class TwoSecrets:
    """Another secret for every name."""

    def __init__(self) -> None:
        self.secrets: dict[str, bytes] = {}

    async def get(self, name: str) -> bytes:
        return self.secrets.setdefault(name, b64encode(os.urandom(32)))


async def test_a_master_key_is_rotated_by_wrapping_the_keys_anew() -> None:
    world, secrets = World(), TwoSecrets()
    before = TenantKeyring(world.tables, secrets, master="first")
    keys, audit_key = await before.keys(TENANT), await before.audit_key(TENANT)
    after = TenantKeyring(world.tables, secrets, master="second")
    assert (await after.keys(TENANT)).fingerprint_key == keys.fingerprint_key, "what the first wrapped still opens"
    assert await after.rewrap(TENANT)
    assert not await after.rewrap(TENANT)
    del secrets.secrets["first"]
    fresh = TenantKeyring(world.tables, secrets, master="second")
    assert (await fresh.keys(TENANT)).suppression_key == keys.suppression_key
    assert await fresh.audit_key(TENANT) == audit_key
    assert (await fresh.keys(TENANT)).sealer.open(keys.sealer.seal(b"x", place="p"), place="p") == b"x"
    for table, row in ((TENANTS, KEYS_ROW), (AUDIT, "key")):
        entity = await world.tables.get(table, TENANT, row)
        assert entity
        assert entity.values["MasterKey"] == "second"
